package simdisk

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

func TestMovesLossUndoesDirectoriesAndKeepsBytes(t *testing.T) {
	m := newMachine(t, 1, Options{})
	f := m.durableFile("kept", []byte("durable"))
	m.write(f, 7, []byte(" and not"))
	m.write(m.open("new"), 0, []byte("x"))
	m.node.Kill()
	loss := m.MovesLoss()
	m.settle()
	if got := m.Peek("kept"); string(got) != "durable and not" {
		t.Errorf("the file holds %q", got)
	}
	if m.Peek("new") != nil || loss.Moves != 1 {
		t.Errorf("%d moves undone; files %v", loss.Moves, m.Names())
	}
}

func TestWipeLeavesNothing(t *testing.T) {
	m := newMachine(t, 1, Options{})
	m.durableFile("a", []byte("123"))
	m.node.Kill()
	if loss := m.Wipe(); loss.Bytes != 3 {
		t.Errorf("%d bytes lost", loss.Bytes)
	}
	if names := m.Names(); len(names) != 0 || m.Used() != 0 {
		t.Errorf("%v are left, %d bytes", names, m.Used())
	}
	m.durableFile("a", []byte("4")) // the disk works
	if got := m.Peek("a"); string(got) != "4" {
		t.Errorf("the file holds %q", got)
	}
}

func TestMisdirectedWriteTakesAnotherSectorsPlace(t *testing.T) {
	m := newMachine(t, 1, Options{})
	m.durableFile("a", bytes.Repeat([]byte("a"), 3*sector))
	m.durableFile("b", bytes.Repeat([]byte("b"), 2*sector+10))
	if !m.Misdirect("a", sector+5, "b", 2*sector+3) {
		t.Fatal("nothing happened")
	}
	want := slices.Concat(bytes.Repeat([]byte("b"), 2*sector), bytes.Repeat([]byte("a"), 10))
	if got := m.Peek("b"); !bytes.Equal(got, want) {
		t.Errorf("the file holds %q", got)
	}
	if m.Misdirect("a", 0, "a", sector) || m.Misdirect("none", 0, "a", 0) || m.Misdirect("a", 3*sector, "b", 0) {
		t.Error("what changes nothing counts")
	}
}

func TestOperationsUnderWayEndSoonAfterADiskWasSlow(t *testing.T) {
	m := newMachine(t, 1, Options{SyncDelay: Range{Min: 20 * time.Millisecond, Max: 20 * time.Millisecond}})
	f := m.open("a")
	m.SetSlow(1000)
	done := 0
	f.Sync(func(error) { done++ })
	m.sleep(time.Second)
	if done != 0 {
		t.Fatal("a slow disk is not slow")
	}
	m.SetSlow(1)
	m.sleep(time.Second)
	m.settle()
	if done != 1 {
		t.Errorf("done %d times", done)
	}
}

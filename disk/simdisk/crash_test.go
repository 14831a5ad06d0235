package simdisk

import (
	"errors"
	"testing"
	"time"

	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/scheduler/virtual"
	"pgregory.net/rapid"
)

// only returns the one image that a disk without anything pending may leave.
func (m *machine) only() *Image {
	m.Helper()
	var all []*Image
	for image := range m.CrashStates() {
		all = append(all, image)
	}
	if len(all) != 1 {
		m.Fatalf("%d images of a disk on which nothing is pending", len(all))
	}
	return all[0]
}

// pending leaves a few operations on a disk that are not durable.
func pending(m *machine) {
	f := m.durableFile("a", fill(1, 700))
	m.write(f, 600, fill(2, 700))
	m.must(func(done func(error)) { f.Truncate(900, done) })
	m.write(f, 900, fill(3, 300))
	m.write(m.open("b.tmp"), 0, fill(4, 10))
	m.must(func(done func(error)) { m.Rename("b.tmp", "b", done) })
	m.must(func(done func(error)) { m.Mkdir("c", done) })
}

func TestRandomPowerLossesAreTheEnumeratedCrashStates(t *testing.T) {
	want := map[uint64]bool{} // and whether a power loss drew it
	m := newMachine(t, 1, Options{})
	pending(m)
	for image := range m.CrashStates() {
		want[image.Hash()] = false
	}
	for seed := range uint64(20_000) {
		m := newMachine(t, seed, Options{})
		pending(m)
		m.powerLoss()
		h := m.only().Hash()
		if _, ok := want[h]; !ok {
			t.Fatalf("seed %d left a state that is not among the %d enumerated: %v", seed, len(want), m.only())
		}
		want[h] = true
	}
	missed := 0
	for _, drawn := range want { // order: a sum
		if !drawn {
			missed++
		}
	}
	if missed > len(want)/4 { // a power loss mostly keeps or loses long stretches: to lose one sector in the middle is rare
		t.Errorf("%d of %d enumerated states were never drawn", missed, len(want))
	}
	t.Logf("%d states", len(want))
}

func TestAnyPowerLossIsAnEnumeratedCrashState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t, rapid.Uint64().Draw(t, "seed"), Options{})
		files := []*File{m.open("a"), m.open("d")}
		for range rapid.IntRange(1, 5).Draw(t, "operations") {
			f := rapid.SampledFrom(files).Draw(t, "file")
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				m.must(f.Sync)
			case 1:
				m.must(func(done func(error)) { f.Truncate(rapid.Int64Range(0, 1500).Draw(t, "size"), done) })
			case 2:
				m.syncDir(".")
			case 3:
				m.must(func(done func(error)) { m.Rename("a", "x", ignoreMissing(done)) })
			default:
				m.write(f, rapid.Int64Range(0, 1500).Draw(t, "pos"), fill(byte(rapid.IntRange(1, 9).Draw(t, "value")), rapid.IntRange(1, 900).Draw(t, "n")))
			}
		}
		want := map[uint64]bool{}
		for image := range m.CrashStates() {
			want[image.Hash()] = true
		}
		m.powerLoss()
		if !want[m.only().Hash()] {
			t.Fatalf("not among %d states", len(want))
		}
	})
}

func ignoreMissing(done func(error)) func(error) {
	return func(err error) {
		if errors.Is(err, disk.ErrNotExist) {
			err = nil
		}
		done(err)
	}
}

func TestDiskFromAnImageHoldsItDurably(t *testing.T) {
	m := newMachine(t, 1, Options{})
	pending(m)
	for image := range m.CrashStates() {
		node := virtual.New(2).Node(3)
		d := NewFrom(node, 2, Options{}, image)
		node.Kill()
		d.WorstPowerLoss()
		again := &machine{t, d, nil, nil}
		if again.only().Hash() != image.Hash() {
			t.Fatal("differs after a loss of power")
		}
	}
}

func TestForgottenSyncLosesWhatALaterSyncSeemsToMakeDurable(t *testing.T) {
	m := newMachine(t, 1, Options{})
	m.ForgetFailedSyncs(true)
	f := m.durableFile("a", fill(1, 10))
	m.write(f, 10, fill(2, 10))
	m.FailNext(OpSync, disk.ErrIO)
	if err := m.err(f.Sync); !errors.Is(err, disk.ErrIO) {
		t.Fatal(err)
	}
	m.must(f.Sync) // the system has told its loss once
	m.write(f, 20, fill(3, 10))
	m.must(f.Sync)
	if got := m.Peek("a"); string(got) != string(fill(1, 10))+string(fill(2, 10))+string(fill(3, 10)) {
		t.Fatalf("reads see %v", got)
	}
	m.sleep(time.Hour)
	want := string(fill(1, 10)) + string(fill(0, 10)) + string(fill(3, 10))
	if got := m.PeekDurable("a"); string(got) != want {
		t.Errorf("durable: %v", got)
	}
	m.powerLoss()
	if got := m.Peek("a"); string(got) != want {
		t.Errorf("left: %v", got)
	}
}

func TestBytesWrittenAnewAfterAForgottenSyncBecomeDurable(t *testing.T) {
	m := newMachine(t, 1, Options{})
	m.ForgetFailedSyncs(true)
	f := m.durableFile("a", fill(1, 10))
	m.write(f, 0, fill(2, 10))
	m.FailNext(OpSync, disk.ErrIO)
	if m.err(f.Sync) == nil {
		t.Fatal("no error")
	}
	m.write(f, 4, fill(3, 2))
	m.must(f.Sync)
	m.powerLoss()
	if got := m.Peek("a"); string(got) != string(fill(1, 4))+string(fill(3, 2))+string(fill(1, 4)) {
		t.Errorf("left: %v", got)
	}
}

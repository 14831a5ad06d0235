package storage

import (
	"errors"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/disk/simdisk"
	"pgregory.net/rapid"
)

// patient makes the node's disk one that waits.
func (n *node) patient() *PatientDisk {
	p := NewPatientDisk(n.env, nil)
	n.env.Disk = p
	return p
}

func (n *node) fill() { n.disk.SetCapacity(max(n.disk.Used(), 1)) }

func (n *node) wait(d time.Duration) { n.world.RunUntil(n.world.Now().Add(d)) }

func (n *node) count(kind event.Kind) (count int) {
	for i := range n.events {
		if n.events[i].Kind == kind {
			count++
		}
	}
	return count
}

// Whatever is asked for, in whatever order space comes and goes: nothing fails, and in the end the files are as on a disk with space.
func TestAPatientDiskIsASlowDisk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newNode(t, rapid.Uint64().Draw(t, "seed"))
		p := n.patient()
		l := n.open(n.options(smallConfig()))
		var sent, acked int64
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				n.fill()
			case 1:
				n.disk.SetCapacity(0)
			case 2:
				n.wait(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			default:
				end := l.NextOffset() + 2
				_, err := n.lead(l, batch(0, 0, 2, 300, 1000), 0, func(err error) {
					if err != nil || end <= acked {
						t.Fatalf("append up to %d: %v, after %d", end, err, acked)
					}
					acked = end
				})
				if err == nil {
					sent = end
				} else if err != ErrOffline || !p.IsFull() {
					t.Fatalf("refused with %v, full: %v", err, p.IsFull())
				}
			}
			if l.LogEndOffset() < acked {
				t.Fatalf("%d are acknowledged, %d written", acked, l.LogEndOffset())
			}
		}
		n.disk.SetCapacity(0)
		n.wait(3 * time.Second)
		if acked != sent || p.IsFull() || n.count(event.DiskFull) != n.count(event.DiskHasRoom) {
			t.Fatalf("%d of %d are written; full: %v", acked, sent, p.IsFull())
		}
		n.must("close", l.Close)
		if again := n.open(n.options(smallConfig())); again.LogEndOffset() != sent {
			t.Fatalf("opened again it ends at %d, not %d", again.LogEndOffset(), sent)
		}
	})
}

func TestOnlySpaceIsWaitedFor(t *testing.T) {
	n := newNode(t, 1)
	n.patient()
	l := n.open(n.options(smallConfig()))
	n.disk.FailNext(simdisk.OpWrite, disk.ErrIO)
	if err := n.await("append", func(done func(error)) { n.lead(l, batch(0, 0, 1, 10, 1), 0, done) }); err != ErrOffline {
		t.Errorf("a failing write: %v", err)
	}
	n = newNode(t, 1)
	n.patient()
	l = n.open(n.options(smallConfig()))
	n.append(l, batch(0, 0, 1, 10, 1), 0)
	n.disk.FailNext(simdisk.OpSync, disk.ErrNoSpace)
	if err := n.await("flush", l.Flush); err != ErrOffline || n.count(event.DiskFull) > 0 {
		t.Errorf("a sync that finds no space is final: %v", err)
	}
}

func TestAFollowerOfAFullDiskIsRefused(t *testing.T) {
	n := newNode(t, 1)
	n.patient()
	l := n.open(n.options(smallConfig()))
	n.fill()
	n.lead(l, batch(0, 0, 1, 10, 1), 0, nil)
	n.wait(time.Millisecond * 100)
	if _, err := l.AppendAsFollower(batch(1, 0, 1, 10, 1), nil, nil); err != ErrFull {
		t.Errorf("%v", err)
	}
}

// What is deleted does not wait, whatever it was about to write, and whether that has found no space yet or is about to: it may be what space is taken by.
func TestALogThatWaitsForSpaceCanBeDeleted(t *testing.T) {
	for name, begin := range map[string]func(n *node, l *Log){ // order: cases are independent
		"append":       func(n *node, l *Log) { n.lead(l, batch(0, 0, 1, 100, 1), 0, nil) },
		"epochs":       func(_ *node, l *Log) { l.AssignEpoch(5, l.NextOffset()) },
		"roll":         func(_ *node, l *Log) { l.roll() },
		"append, roll": func(n *node, l *Log) { n.lead(l, batch(0, 0, 1, 100, 1), 0, nil); l.roll() },
		"clean": func(n *node, l *Log) {
			cfg := DefaultCleanerConfig()
			l.clean(&cfg, l.cleanable(), func() {})
		},
	} {
		waited := false
		for turns := range 40 {
			n := newNode(t, 1)
			p := n.patient()
			l := n.open(n.options(compactConfig()))
			for range 12 {
				n.put(l, put("k", "v"))
			}
			n.roll(l)
			n.put(l, put("k", "v"))
			n.fill()
			begin(n, l)
			for range turns {
				n.world.Step()
			}
			waited = waited || p.IsFull()
			deleted := false
			l.Delete(func(err error) { deleted = err == nil })
			n.wait(time.Minute)
			if !deleted || p.IsFull() || l.failure != nil || len(n.names(".")) > 0 {
				t.Fatalf("%s, %d turns: deleted: %t; full: %t; left: %v; %v", name, turns, deleted, p.IsFull(), n.names("."), l.failure)
			}
		}
		if !waited {
			t.Errorf("%s: there is space", name)
		}
	}
}

// Who waits for a log that is deleted is told.
func TestAnAppendThatWaitsForSpaceIsAnsweredByADeletion(t *testing.T) {
	n := newNode(t, 1)
	p := n.patient()
	l := n.open(n.options(smallConfig()))
	n.append(l, batch(0, 0, 1, 100, 1), 0)
	n.fill()
	var failed error
	n.lead(l, batch(0, 0, 1, 100, 1), 0, func(err error) { failed = err })
	n.wait(time.Second / 2)
	if !p.IsFull() {
		t.Fatal("there is space")
	}
	n.must("delete", l.Delete)
	if failed != ErrOffline {
		t.Errorf("append: %v", failed)
	}
}

// A log that waits for space does not wait the less because another one is deleted.
func TestADeletionEndsNoOtherWaiting(t *testing.T) {
	n := newNode(t, 1)
	p := n.patient()
	l := n.open(n.options(smallConfig()))
	o := n.options(smallConfig())
	o.Dir, o.Partition.Index = "t-1", 1
	other := n.open(o)
	n.append(l, batch(0, 0, 1, 1000, 1), 0)
	n.fill()
	written := errors.New("not yet")
	n.lead(l, batch(0, 0, 1, 100, 1), 0, nil)
	n.lead(other, batch(0, 0, 1, 100, 1), 0, func(err error) { written = err })
	n.wait(time.Second / 2)
	n.must("delete", l.Delete)
	n.wait(3 * time.Second)
	if written != nil || p.IsFull() {
		t.Errorf("append: %v; full: %t", written, p.IsFull())
	}
}

func TestGivingUpEndsTheWaiting(t *testing.T) {
	n := newNode(t, 1)
	p := n.patient()
	l := n.open(n.options(smallConfig()))
	n.fill()
	n.lead(l, batch(0, 0, 1, 10, 1), 0, nil)
	n.wait(time.Second / 2)
	p.GiveUp()
	if err := n.await("close", l.Close); err != ErrOffline || !errors.Is(l.failure, disk.ErrNoSpace) {
		t.Errorf("close: %v, %v", err, l.failure)
	}
}

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

// What is deleted does not wait: it may be what space is taken by.
func TestALogThatWaitsForSpaceCanBeDeleted(t *testing.T) {
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
	if failed != ErrOffline || p.IsFull() || n.disk.Used() > 100 || l.failure != nil {
		t.Errorf("append: %v; full: %v; %d bytes are left; %v", failed, p.IsFull(), n.disk.Used(), l.failure)
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

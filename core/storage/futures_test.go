package storage

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/disk/simdisk"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// twoDirs is a node with two log directories.
type twoDirs struct {
	*node
	disks [2]*simdisk.Disk
	dirs  []*LogDir
	m     *Manager
}

func newTwoDirs(t fataler, images ...*simdisk.Image) *twoDirs {
	n := &twoDirs{node: newNode(t, 1)}
	for i := range n.disks {
		if n.disks[i] = simdisk.New(n.loop, uint64(i), simdisk.Options{}); len(images) > 0 {
			n.disks[i] = simdisk.NewFrom(n.loop, uint64(i), simdisk.Options{}, images[i])
		}
	}
	return n
}

func (n *twoDirs) open() error {
	n.dirs = nil
	for i, d := range n.disks {
		e := &env.Env{Loop: n.loop, Disk: d, Event: n, Rand: func(purpose string) *rand.Rand { return virtual.Rand(1, purpose) }}
		n.dirs = append(n.dirs, NewLogDir(e, string(rune('a'+i)), [16]byte{byte(i + 1)}))
	}
	return n.await("open", func(done func(error)) {
		OpenManager(n.dirs[0].env, n.dirs, func(event.Partition) LogConfig { return smallConfig() }, func(m *Manager, err error) { n.m = m; done(err) })
	})
}

func (n *twoDirs) mustOpen() {
	n.t.Helper()
	if err := n.open(); err != nil {
		n.t.Fatalf("open: %v", err)
	}
}

func (n *twoDirs) create(d *LogDir, p event.Partition, id byte) (l *Log) {
	n.t.Helper()
	n.must("create", func(done func(error)) {
		n.m.Create(d, p, [16]byte{id}, smallConfig(), func(made *Log, err error) { l = made; done(err) })
	})
	return l
}

// copied makes a future log with all that the log has.
func (n *twoDirs) copied(d *LogDir) (future *Log) {
	n.t.Helper()
	l := n.m.Get(testPartition)
	n.must("create future", func(done func(error)) {
		n.m.CreateFuture(d, testPartition, l.LogStartOffset(), func(made *Log, err error) { future = made; done(err) })
	})
	for _, b := range n.content(l) {
		n.must("copy", func(done func(error)) {
			if _, err := future.AppendAsFollower(bytes.Clone(b), nil, done); err != nil {
				n.t.Fatalf("copy: %v", err)
			}
		})
	}
	return future
}

// Whatever a loss of power leaves while a future log takes its log's place, the next start finds one log, in one directory, with everything.
func TestEveryCrashStateOfASwapHasTheWholeLog(t *testing.T) {
	n := newTwoDirs(t)
	n.mustOpen()
	l := n.create(n.dirs[0], testPartition, 1)
	for i := range 8 {
		n.append(l, producerBatch(0, 0, 1, 500, int64(i), 7, 0, int32(i)), int32(i/3))
	}
	l.AssignEpoch(9, 8) // of a leader that has not written yet
	n.must("flush", l.Flush)
	whole := n.content(l)
	n.copied(n.dirs[1])

	ended, states, promoted := false, 0, 0
	n.m.Swap(testPartition, func(err error) {
		if err != nil {
			t.Errorf("swap: %v", err)
		}
		ended = true
	})
	seen := [2]uint64{}
	for step := 0; ; step++ {
		if v := [2]uint64{n.disks[0].Version(), n.disks[1].Version()}; v != seen || step == 0 {
			seen = v
			for a := range n.disks[0].CrashStates() {
				most := 3 // while the log itself is there
				if !slices.Contains(a.Dirs, "t-0") {
					most = 3000
				}
				for b := range n.disks[1].CrashStates() {
					if most--; most < 0 {
						break
					}
					states++
					c := newTwoDirs(t, a, b)
					c.mustOpen()
					got := c.m.Get(testPartition)
					if got == nil {
						t.Fatalf("step %d: no log in %v and %v", step, a.Dirs, b.Dirs)
					}
					if got.LogDir() == c.dirs[1] {
						promoted++
					}
					if all := c.content(got); len(all) != len(whole) || !bytes.Equal(slices.Concat(all...), slices.Concat(whole...)) {
						t.Fatalf("step %d: %d of %d batches in %v and %v", step, len(all), len(whole), a.Dirs, b.Dirs)
					}
				}
			}
		}
		if !n.world.Step() {
			break
		}
	}
	if !ended || promoted == 0 || states < 20 {
		t.Errorf("ended %t, %d states, %d of them in the new directory", ended, states, promoted)
	}
	if l := n.m.Get(testPartition); l.LogDir() != n.dirs[1] || l.Dir() != "t-0" || l.LatestEpoch() != 9 || len(l.Producers()) != 1 {
		t.Errorf("%s in %s", l.Dir(), l.LogDir().Path)
	}
	for _, name := range append(n.disks[0].Names(), n.disks[1].Names()...) {
		if strings.Contains(name, futureSuffix) || strings.Contains(name, deleteSuffix) {
			t.Errorf("%s is left", name)
		}
	}
}

// What is appended right after a swap is in the log that took the place, and is written after it has its name.
func TestAppendsAfterASwapWaitForIt(t *testing.T) {
	n := newTwoDirs(t)
	n.mustOpen()
	l := n.create(n.dirs[0], testPartition, 1)
	n.append(l, batch(0, 0, 1, 100, 1), 0)
	n.copied(n.dirs[1])
	swapped := false
	now := n.m.Swap(testPartition, func(error) { swapped = true })
	if !now.IsMoving() {
		t.Error("it has its name already")
	}
	written := false
	if _, err := n.lead(now, batch(0, 0, 1, 100, 2), 0, func(err error) { written = swapped && err == nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := n.lead(l, batch(0, 0, 1, 100, 2), 0, nil); err != ErrOffline {
		t.Errorf("the old log takes a batch: %v", err)
	}
	for n.world.Step() {
	}
	if !written || now.LogEndOffset() != 2 || now.IsMoving() {
		t.Errorf("written %t, log end offset %d, moving %t", written, now.LogEndOffset(), now.IsMoving())
	}
}

// The directory of the log fails in the midst of a swap: the log is in neither until the next start, which finds it where it was.
func TestASwapOutOfADirectoryThatFails(t *testing.T) {
	n := newTwoDirs(t)
	n.mustOpen()
	l := n.create(n.dirs[0], testPartition, 1)
	n.append(l, batch(0, 0, 1, 100, 1), 0)
	future := n.copied(n.dirs[1])
	n.m.OnFailure(func(failed *Log, err error) {
		if failed.LogDir().IsOnline() {
			n.m.Fail(failed.LogDir(), err)
		}
	})
	n.disks[0].FailNext(simdisk.OpRename, disk.ErrIO)
	if err := n.await("swap", func(done func(error)) { n.m.Swap(testPartition, done) }); err == nil {
		t.Fatal("it went well")
	}
	if n.dirs[0].IsOnline() || !n.dirs[1].IsOnline() || n.m.Get(testPartition) != nil || !n.m.HasLost(testPartition, l.TopicID()) || future.down() == nil {
		t.Errorf("online: %t, %t", n.dirs[0].IsOnline(), n.dirs[1].IsOnline())
	}
	n.mustOpen()
	if l := n.m.Get(testPartition); l == nil || l.LogDir() != n.dirs[0] || n.m.TakeInterrupted(testPartition) != n.dirs[1] {
		t.Error("the log is gone")
	}
}

// Who needs an index while a swap is under way waits for its end; also if that is a failure, of either directory, or a deletion.
func TestAFailedSwapAnswersWhoWaitsForIt(t *testing.T) {
	for name, fail := range map[string]func(n *twoDirs){ // order: cases are independent
		"of the old log":            func(n *twoDirs) { n.disks[0].FailNext(simdisk.OpRename, disk.ErrIO) },
		"of the new log":            func(n *twoDirs) { n.disks[1].FailNext(simdisk.OpWrite, disk.ErrIO) },
		"of the new log's renaming": func(n *twoDirs) { n.disks[1].FailNext(simdisk.OpRename, disk.ErrIO) },
		"of its directory":          func(n *twoDirs) { n.m.Fail(n.dirs[1], disk.ErrIO) },
		"deletion": func(n *twoDirs) {
			n.disks[1].FailNext(simdisk.OpWrite, disk.ErrIO)
			n.m.Delete(testPartition, func(error) {})
		},
	} {
		n := newTwoDirs(t)
		n.mustOpen()
		l := n.create(n.dirs[0], testPartition, 1)
		for range 8 {
			n.append(l, batch(0, 0, 1, 500, 1), 0)
		}
		future := n.copied(n.dirs[1])
		future.segments.floor(0).indexed = false
		swapped := error(nil)
		n.m.Swap(testPartition, func(err error) { swapped = err })
		answered := error(nil)
		future.OffsetForTimestamp(1, 8, func(_, _ int64, _ int32, err error) { answered = err })
		fail(n)
		for n.world.Step() {
		}
		if swapped == nil || answered != ErrOffline || future.moving {
			t.Errorf("a failure %s: swap: %v; search: %v; moving: %t", name, swapped, answered, future.moving)
		}
	}
}

// What a directory has of a log that was being made when it failed nobody knows: the log is lost until the next start, which may find it there.
func TestALogIsLostWithTheDirectoryThatWasToHaveIt(t *testing.T) {
	for _, failure := range []string{"of the log", "of another"} {
		n := newTwoDirs(t)
		n.mustOpen()
		id := [16]byte{1}
		err := n.await("create", func(done func(error)) {
			n.m.Create(n.dirs[0], testPartition, id, smallConfig(), func(_ *Log, err error) { done(err) })
			if failure == "of another" {
				n.m.Fail(n.dirs[0], disk.ErrIO)
				return
			}
			n.disks[0].FailNext(simdisk.OpWrite, disk.ErrIO)
		})
		if err == nil || n.m.Get(testPartition) != nil || !n.m.HasLost(testPartition, id) || n.m.HasLost(testPartition, [16]byte{2}) {
			t.Errorf("a failure %s: %v", failure, err)
		}
	}
}

// So it is with one that was being removed.
func TestALogIsLostWithTheDirectoryThatDoesNotRemoveIt(t *testing.T) {
	n := newTwoDirs(t)
	n.mustOpen()
	l := n.create(n.dirs[0], testPartition, 1)
	n.disks[0].FailNext(simdisk.OpRename, disk.ErrIO)
	if err := n.await("delete", func(done func(error)) { n.m.Delete(testPartition, done) }); err == nil {
		t.Fatal("it went well")
	}
	if !n.m.HasLost(testPartition, l.TopicID()) {
		t.Error("it may be made in the other directory")
	}
}

// A partition of a topic that is no more, found besides its namesake, is told apart by the topic id.
func TestLogsOfTwoTopicsOfOneName(t *testing.T) {
	n := newTwoDirs(t)
	n.mustOpen()
	n.create(n.dirs[0], testPartition, 1)
	n.m.logs.Clear(false)
	n.create(n.dirs[1], testPartition, 2)
	n.mustOpen()
	if got := n.m.Get(testPartition).TopicID(); got != [16]byte{1} {
		t.Fatalf("topic %v", got)
	}
	n.must("delete", func(done func(error)) { n.m.Delete(testPartition, done) })
	if got := n.m.Get(testPartition); got == nil || got.TopicID() != [16]byte{2} {
		t.Error("the other one is gone, too")
	}
	n.must("delete", func(done func(error)) { n.m.Delete(testPartition, done) })
	n.create(n.dirs[0], testPartition, 3)
	n.m.logs.Clear(false)
	n.create(n.dirs[1], testPartition, 3)
	if err := n.open(); !errors.Is(err, ErrTwice) || !strings.Contains(err.Error(), "t-0 is in a and in b") {
		t.Errorf("two of one topic: %v", err)
	}
}

// Until it is known which of the two is of the topic that there is, both are kept: the checkpoints have both, and one is there when the directory of the
// other fails.
func TestLogsOfTwoTopicsAreBothKept(t *testing.T) {
	n := newTwoDirs(t)
	n.mustOpen()
	n.create(n.dirs[0], testPartition, 1)
	n.m.logs.Clear(false)
	l := n.fiveWritten(n.dirs[1], testPartition.Topic)
	l.AdvanceLogStart(3)
	n.must("shutdown", n.m.Shutdown)
	for range 2 { // the second knows what the first has written
		n.mustOpen()
		n.must("shutdown", n.m.Shutdown)
	}
	n.mustOpen()
	n.m.Fail(n.dirs[0], disk.ErrIO)
	got := n.m.Get(testPartition)
	if got == nil || got.TopicID() != l.TopicID() || got.LogStartOffset() != 3 || got.HighWatermark() != 5 {
		t.Fatalf("%+v", got)
	}
	if n.m.Fail(n.dirs[1], disk.ErrIO); n.m.Get(testPartition) != nil || !n.m.HasLost(testPartition, l.TopicID()) || !n.m.HasLost(testPartition, [16]byte{1}) {
		t.Error("what is in both directories is not lost")
	}
}

// So are two that were not made to their ends.
func TestLogsOfNoTopic(t *testing.T) {
	n := newTwoDirs(t)
	n.mustOpen()
	n.create(n.dirs[0], testPartition, 0)
	n.m.logs.Clear(false)
	n.create(n.dirs[1], testPartition, 0)
	n.mustOpen()
	for range n.dirs {
		if n.m.Get(testPartition) == nil {
			t.Fatal("both are gone")
		}
		n.must("delete", func(done func(error)) { n.m.Delete(testPartition, done) })
	}
	if n.m.Get(testPartition) != nil {
		t.Error("it comes back")
	}
}

func TestFutureNames(t *testing.T) {
	for _, p := range []event.Partition{{Topic: "a.b-c", Index: 12}, {Topic: "x-future", Index: 0}} {
		if got, ok := parseFutureName(futureName(p, [16]byte{1})); !ok || got != p {
			t.Errorf("%v: %v", p, got)
		}
	}
	if CanMove(event.Partition{Topic: strings.Repeat("t", 240)}) {
		t.Error("a name that is too long")
	}
}

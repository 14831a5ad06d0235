package storage

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/disk/simdisk"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// crashScene drives a log turn by turn. After each turn that changes what a loss of power may leave, it opens the log in
// every such state.
type crashScene struct {
	*node
	test     *testing.T
	log      *Log
	config   LogConfig
	versions []version // what may be found on the disk: the log, and the log as it was before a truncation that is under way
	synced   int64     // whatever Log.RecoveryPoint says, less is promised: during a full truncation
	acked    int64     // the end of what was answered as synced (flush.messages=1)
	compacts bool      // batches are those of a compacted log: a producer's may be gone but for the last
	// reopen opens the log in a crash state; point is the last recovery point.
	reopen func(n *node, point int64, done func(*Log, error))

	version uint64
	seen    map[uint64]bool
	states  int
}

// version is a log's batches, and where it starts if it has none.
type version struct {
	start   int64
	batches []record.Batch
}

func (v version) next() int64 {
	if n := len(v.batches); n > 0 {
		return v.batches[n-1].NextOffset()
	}
	return v.start
}

func newCrashScene(t *testing.T, c LogConfig) *crashScene {
	s := &crashScene{node: newNode(t, 1), test: t, config: c, versions: []version{{}}, synced: 1 << 60, seen: map[uint64]bool{}}
	s.reopen = func(n *node, point int64, done func(*Log, error)) {
		o := n.options(c)
		o.RecoveryPoint = point
		Open(n.env, o, done)
	}
	s.do("open", func(done func(error)) {
		Open(s.env, s.options(c), func(l *Log, err error) { s.log = l; done(err) })
	})
	return s
}

// do runs an operation to its end, and to the end of what it set off.
func (s *crashScene) do(what string, start func(done func(error))) {
	s.t.Helper()
	var err error
	ended := false
	start(func(e error) { err, ended = e, true })
	for s.look(); s.world.Step(); s.look() {
	}
	if err != nil || !ended {
		s.t.Fatalf("%s: ended %t, %v", what, ended, err)
	}
}

// current is the log as it is meant to be.
func (s *crashScene) current() *version { return &s.versions[len(s.versions)-1] }

// append appends a batch and does not wait.
func (s *crashScene) append(b record.Batch, epoch int32) {
	s.t.Helper()
	_, err := s.lead(s.log, b, epoch, func(err error) {
		if err == nil && s.config.FlushMessages == 1 {
			s.acked = s.log.LogEndOffset()
		}
	})
	if err != nil {
		s.t.Fatalf("append: %v", err)
	}
	s.current().batches = append(s.current().batches, bytes.Clone(b))
}

// wait runs what is under way to its end.
func (s *crashScene) wait() { s.do("wait", func(done func(error)) { done(nil) }) }

func (s *crashScene) flush() { s.do("flush", s.log.Flush) }

// truncate cuts the log, and appends more before the files have followed.
func (s *crashScene) truncate(offset int64, meanwhile func()) {
	old := *s.current()
	kept := version{start: old.start}
	for _, b := range old.batches {
		if b.NextOffset() <= offset {
			kept.batches = append(kept.batches, b)
		}
	}
	s.versions = append(s.versions, kept)
	s.acked = min(s.acked, offset)
	s.do("truncate", func(done func(error)) {
		s.log.TruncateTo(offset, func(err error) {
			s.versions = []version{*s.current()} // what was cut off must not come back
			done(err)
		})
		meanwhile()
	})
}

// look tries every state that a loss of power may leave now.
func (s *crashScene) look() {
	s.t.Helper()
	if n := s.disk.Changing(); n > 1 {
		s.t.Fatalf("%d operations under way: their order is not enumerated", n)
	}
	if s.log == nil {
		return
	}
	h := fnv.New64a()
	fmt.Fprint(h, s.disk.Version(), s.log.RecoveryPoint(), s.log.LogStartOffset(), len(s.versions), s.current().next(), s.acked)
	if h.Sum64() == s.version {
		return
	}
	s.version = h.Sum64()
	for image := range s.disk.CrashStates() {
		h := fnv.New64a()
		fmt.Fprint(h, image.Hash(), s.version)
		if !s.seen[h.Sum64()] {
			s.seen[h.Sum64()] = true
			s.try(image)
		}
	}
}

// try opens the log in one state, twice.
func (s *crashScene) try(image *simdisk.Image) {
	s.t.Helper()
	if s.states++; s.states > mostStates {
		s.t.Fatalf("more than %d crash states: what was to be synced is not", mostStates)
	}
	n, point := nodeFrom(s.t, image), min(s.log.RecoveryPoint(), s.synced)
	l := s.openIn(n, point)
	found := n.inspect(l)
	s.judge(image, l, found)
	n.losePower()
	if again := n.inspect(s.openIn(n, l.RecoveryPoint())); !again.equal(found) { // as a checkpoint may have it at once
		s.fail(image, "recovered %v, and again %v", found, again)
	}
	if s.states%interruptEvery == 0 {
		s.interrupt(image, point, found)
	}
}

// mostStates is more than any scene has while the log syncs what it should.
const mostStates = 2000

// interruptEvery is of how many states one has its recovery interrupted wherever that can be: that takes long.
const interruptEvery = 10

// interrupt loses power after each turn of a recovery that changed something, and recovers again.
func (s *crashScene) interrupt(image *simdisk.Image, point int64, want *recovered) {
	s.t.Helper()
	ended := false
	for turns := 1; !ended; turns++ {
		n := nodeFrom(s.t, image)
		s.reopen(n, point, func(*Log, error) { ended = true })
		before := n.disk.Version()
		for range turns {
			if !n.world.Step() && !ended {
				s.fail(image, "the recovery does not end")
			}
		}
		if n.disk.Version() == before {
			continue
		}
		n.losePower()
		if again := n.inspect(s.openIn(n, point)); !again.equal(want) {
			s.fail(image, "recovered %v, and %v after a recovery that ended in turn %d", want, again, turns)
		}
	}
}

// losePower loses all that is not synced.
func (n *node) losePower() {
	n.loop.Kill()
	n.disk.WorstPowerLoss()
}

func (s *crashScene) openIn(n *node, point int64) (l *Log) {
	s.t.Helper()
	n.must("open", func(done func(error)) {
		s.reopen(n, point, func(opened *Log, err error) { l = opened; done(err) })
	})
	return l
}

// nodeFrom is a node that finds an image on its disk.
func nodeFrom(t fataler, image *simdisk.Image) *node {
	w := virtual.New(1)
	n := &node{t: t, world: w, loop: w.Node(1)}
	n.disk = simdisk.NewFrom(n.loop, 1, simdisk.Options{}, image)
	n.env = &env.Env{Loop: n.loop, Disk: n.disk, Event: n, Rand: newNode(t, 1).env.Rand}
	return n
}

// recovered is what a recovery has made of a disk.
type recovered struct {
	start, next int64
	batches     []record.Batch
	epochs      []EpochEntry
	producers   []byte
}

func (f *recovered) equal(g *recovered) bool {
	return f.start == g.start && f.next == g.next && slices.EqualFunc(f.batches, g.batches, func(a, b record.Batch) bool { return bytes.Equal(a, b) }) &&
		slices.Equal(f.epochs, g.epochs) && bytes.Equal(f.producers, g.producers)
}

func (f *recovered) String() string {
	return fmt.Sprintf("[%d,%d) of %d batches, epochs %v", f.start, f.next, len(f.batches), f.epochs)
}

// inspect reads the log, by what recovery has left in memory and again by the indexes.
func (n *node) inspect(l *Log) *recovered {
	n.t.Helper()
	f := &recovered{start: l.LogStartOffset(), next: l.NextOffset(), batches: n.content(l), epochs: l.Epochs(), producers: marshalSnapshot(l.producers.sorted())}
	l.recent.releaseAll()
	cold := n.content(l)
	if !slices.EqualFunc(cold, f.batches, func(a, b record.Batch) bool { return bytes.Equal(a, b) }) {
		n.t.Fatalf("%d batches by the indexes, %d without", len(cold), len(f.batches))
	}
	return f
}

// judge checks P8: a prefix of what was written that has everything synced; I4; and I8.
func (s *crashScene) judge(image *simdisk.Image, l *Log, f *recovered) {
	s.t.Helper()
	promised := max(s.acked, min(s.log.RecoveryPoint(), s.synced))
	if f.next < promised {
		s.fail(image, "recovered %v, though all below %d was synced", f, promised)
	}
	if !slices.ContainsFunc(s.versions, func(v version) bool { return f.isPartOf(v, s.log.LogStartOffset()) }) {
		s.fail(image, "recovered %v, which is no prefix of what was written", f)
	}
	rebuilt := producers{states: map[int64]*ProducerState{}}
	for _, b := range f.batches {
		if got := l.EpochAt(b.BaseOffset()); got != b.LeaderEpoch() {
			s.fail(image, "the epoch at %d is %d, the batch says %d", b.BaseOffset(), got, b.LeaderEpoch())
		}
		if b.ProducerID() >= 0 {
			rebuilt.update(b)
		}
	}
	if n := len(f.epochs); n > 0 && f.epochs[n-1].Start > f.next {
		s.fail(image, "epochs %v of a log that ends at %d", f.epochs, f.next)
	}
	if s.compacts {
		s.judgeLastRecords(image, &l.producers, &rebuilt)
		return
	}
	if f.start == 0 && !bytes.Equal(marshalSnapshot(rebuilt.sorted()), f.producers) {
		s.fail(image, "producers are not those of the batches")
	}
	s.judgeAborted(image, l, f)
}

// judgeAborted checks that the transaction index is that of the batches.
func (s *crashScene) judgeAborted(image *simdisk.Image, l *Log, f *recovered) {
	s.t.Helper()
	want, _ := decided(f.batches, f.next)
	got := l.AbortedTxns(0, f.next)
	for i := range got {
		got[i].LastStableOffset = 0
	}
	if f.start == 0 && !slices.Equal(got, want) {
		s.fail(image, "recovered %v with the aborted transactions %v, want %v", f, got, want)
	}
}

// isPartOf reports whether a log starts at or before logStart and goes on as v does.
func (f *recovered) isPartOf(v version, logStart int64) bool {
	if len(f.batches) == 0 {
		return f.start <= logStart && f.next <= v.next()
	}
	first := f.batches[0].BaseOffset()
	at := slices.IndexFunc(v.batches, func(b record.Batch) bool { return b.BaseOffset() == first })
	if at < 0 || first != f.start && first == v.batches[0].BaseOffset() && f.start != v.start || f.start > logStart || at+len(f.batches) > len(v.batches) {
		return false
	}
	for i, b := range f.batches {
		if !bytes.Equal(b, v.batches[at+i]) {
			return false
		}
	}
	return true
}

func (s *crashScene) fail(image *simdisk.Image, format string, args ...any) {
	s.t.Helper()
	for _, f := range image.Files {
		s.test.Logf("%s: %d bytes", f.Name, len(f.Data))
	}
	s.t.Fatalf(format, args...)
}

// report says how many states there were.
func (s *crashScene) report(least int) {
	s.t.Helper()
	s.test.Logf("%d crash states", s.states)
	if s.states < least {
		s.t.Fatalf("%d crash states are too few to be all", s.states)
	}
}

// ofProducer is a batch of the idempotent producer, young enough to be remembered.
func (s *crashScene) ofProducer(seq int32, size int) record.Batch {
	return producerBatch(0, 0, 1, size, s.loop.UnixMilli(), 7, 0, seq)
}

func TestEveryCrashStateOfAppendsRecovers(t *testing.T) {
	s := newCrashScene(t, smallConfig())
	for i := range int32(3) {
		s.append(s.ofProducer(i, 200+int(i)*150), 0)
		s.wait()
	}
	s.flush()
	s.append(batch(0, 1, 2, 300, 5), 1)
	s.append(s.ofProducer(3, 100), 1)
	s.wait()
	s.report(100)
}

func TestEveryCrashStateOfFlushedAppendsRecovers(t *testing.T) {
	c := smallConfig()
	c.FlushMessages = 1
	s := newCrashScene(t, c)
	for i := range int32(4) {
		s.append(s.ofProducer(i, 350), 0)
		s.append(batch(0, 0, 1, 300, 1), 0)
		s.wait()
	}
	s.report(100)
}

func TestEveryCrashStateOfARollRecovers(t *testing.T) {
	s := newCrashScene(t, smallConfig())
	for i := range int32(6) {
		s.append(s.ofProducer(i, 400), i/4)
		s.wait()
	}
	s.report(150)
}

func TestEveryCrashStateOfSeveralRollsInOneTurnRecovers(t *testing.T) {
	s := newCrashScene(t, smallConfig())
	for i := range int32(8) {
		s.append(s.ofProducer(i, 700), 0)
	}
	s.wait()
	s.report(100)
}

func TestEveryCrashStateOfNewEpochsRecovers(t *testing.T) {
	s := newCrashScene(t, smallConfig())
	for i := range int32(4) {
		s.log.AssignEpoch(i, s.log.NextOffset())
		s.append(s.ofProducer(i, 150), i)
		if i == 1 {
			s.log.AssignEpoch(i+1, s.log.NextOffset()) // elected twice, without a record between
		}
		s.wait()
	}
	s.report(100)
}

func TestEveryCrashStateOfATruncationRecovers(t *testing.T) {
	s := newCrashScene(t, smallConfig())
	for i := range int32(3) {
		s.append(s.ofProducer(i, 300), 0)
		s.wait()
	}
	s.truncate(2, func() {})
	s.append(batch(0, 1, 1, 250, 9), 1)
	s.wait()
	s.flush()
	s.truncate(1, func() { s.append(batch(0, 2, 1, 500, 9), 2) })
	s.report(100)
}

func TestEveryCrashStateOfATruncationOverSegmentsRecovers(t *testing.T) {
	s := newCrashScene(t, smallConfig())
	for i := range int32(7) {
		s.append(s.ofProducer(i, 500), 0)
		s.wait()
	}
	s.truncate(1, func() { s.append(batch(0, 1, 1, 500, 9), 1) })
	s.append(batch(0, 1, 1, 100, 9), 1)
	s.wait()
	s.report(200)
}

func TestEveryCrashStateOfATruncationThatOnlyTheDiskKnowsRecovers(t *testing.T) {
	s := newCrashScene(t, smallConfig())
	for i := range int32(5) {
		s.append(s.ofProducer(i, 450), 0)
		s.wait()
	}
	s.log.recent.forget(0, s.log.LogEndOffset())
	s.truncate(1, func() { s.append(batch(0, 1, 1, 500, 9), 1) })
	s.report(100)
}

// end appends the end of a transaction and does not wait.
func (s *crashScene) end(pid int64, commit bool) {
	b := marker(pid, 0, commit)
	if _, err := s.log.AppendMarker(b, max(0, s.log.LatestEpoch()), 1, nil); err != nil {
		s.t.Fatalf("marker: %v", err)
	}
	s.current().batches = append(s.current().batches, bytes.Clone(b))
}

func TestEveryCrashStateOfAbortsRecovers(t *testing.T) {
	c := smallConfig()
	c.SegmentBytes, c.ProducerIDExpirationMs = 900, math.MaxInt64
	s := newCrashScene(t, c)
	for i := range int32(4) {
		for pid := range int64(2) {
			s.append(txnBatch(pid, 0, i, 1, 150), 0)
		}
		s.wait()
		s.end(0, i%2 == 0)
		s.end(1, false)
		s.wait()
	}
	s.append(txnBatch(0, 0, 4, 1, 150), 0)
	s.truncate(10, func() { s.append(batch(0, 1, 1, 100, 9), 1) })
	s.end(1, false)
	s.wait()
	s.report(300)
}

func TestEveryCrashStateOfAFullTruncationRecovers(t *testing.T) {
	s := newCrashScene(t, smallConfig())
	for i := range int32(5) {
		s.append(s.ofProducer(i, 450), 0)
		s.wait()
	}
	s.versions = append(s.versions, version{start: 100})
	s.synced = 0 // until it is done the disk has the old log, a part of it, or nothing
	s.do("truncate fully", func(done func(error)) {
		s.log.TruncateFullyAndStartAt(100, func(err error) {
			s.versions, s.synced = []version{*s.current()}, 1<<60
			done(err)
		})
		s.append(batch(0, 3, 1, 500, 9), 3)
	})
	s.report(50)
}

func TestEveryCrashStateOfRetentionRecovers(t *testing.T) {
	c := smallConfig()
	c.RetentionBytes = 1000
	s := newCrashScene(t, c)
	for i := range int32(8) {
		s.append(s.ofProducer(i, 450), i/2)
		s.wait()
	}
	s.log.SetHighWatermark(s.log.LogEndOffset())
	s.do("retention", s.log.DeleteOldSegments)
	s.append(s.ofProducer(8, 100), 4)
	s.wait()
	s.report(200)
}

func TestEveryCrashStateOfALogStartThatNoCheckpointHasRecovers(t *testing.T) {
	s := newCrashScene(t, smallConfig())
	for i := range int32(5) {
		s.append(s.ofProducer(i, 450), i)
		s.wait()
	}
	s.log.SetHighWatermark(s.log.LogEndOffset())
	s.log.AdvanceLogStart(3)
	s.log.AssignEpoch(5, s.log.NextOffset()) // writes the epochs, without those before 3
	s.append(s.ofProducer(5, 100), 5)
	s.wait()
	s.report(100)
}

func TestEveryCrashStateOfACloseRecovers(t *testing.T) {
	s := newCrashScene(t, smallConfig())
	for i := range int32(4) {
		s.append(s.ofProducer(i, 450), 0)
	}
	s.do("close", s.log.Close)
	s.report(100)
}

// newManagedScene is a scene in which checkpoints and the mark of a clean shutdown say what to recover.
func newManagedScene(t *testing.T) (*crashScene, *Manager) {
	s := newCrashScene(t, smallConfig())
	s.node, s.log = newNode(t, 1), nil
	config := func(event.Partition) LogConfig { return s.config }
	var m *Manager
	s.do("open", func(done func(error)) {
		OpenManager(s.env, oneDir(s.env), config, func(opened *Manager, err error) { m = opened; done(err) })
	})
	var l *Log
	s.do("create", func(done func(error)) {
		m.Create(m.Emptiest(), testPartition, [16]byte{1}, s.config, func(created *Log, err error) { l = created; done(err) })
	})
	s.log = l
	s.reopen = func(n *node, _ int64, done func(*Log, error)) {
		OpenManager(n.env, oneDir(n.env), config, func(m *Manager, err error) {
			if err != nil {
				done(nil, err)
				return
			}
			done(m.Get(testPartition), nil)
		})
	}
	return s, m
}

func TestEveryCrashStateOfCheckpointsAndAShutdownRecovers(t *testing.T) {
	s, m := newManagedScene(t)
	for i := range int32(5) {
		s.append(s.ofProducer(i, 450), i/2)
		s.wait()
		s.do("checkpoint", m.Checkpoint)
	}
	s.truncate(4, func() { s.append(batch(0, 3, 1, 700, 9), 3) })
	s.do("checkpoint", m.Checkpoint)
	s.append(s.ofProducer(4, 450), 3)
	s.do("shutdown", m.Shutdown)
	s.report(300)
}

func TestEveryCrashStateOfMetaPropertiesHasTheOldOnesOrTheNew(t *testing.T) {
	n := newNode(t, 1)
	var written, next MetaProperties // what was answered as durable, what is being written
	states := 0
	look := func() {
		for image := range n.disk.CrashStates() {
			states++
			after := nodeFrom(t, image)
			ended := false
			ReadMetaProperties(after.env.Disk, func(m MetaProperties, err error) {
				if absent := errors.Is(err, disk.ErrNotExist) && written == (MetaProperties{}); !absent && (err != nil || m != written && m != next) {
					t.Errorf("read %v, %v after %v, with %v being written", m, err, written, next)
				}
				ended = true
			})
			after.run("read", &ended)
		}
	}
	for _, id := range []byte{1, 2} {
		ended := false
		next = MetaProperties{Version: 1, ClusterID: strings.Repeat("c", 600*int(id)), NodeID: 3, DirectoryID: [16]byte{id}}
		WriteMetaProperties(n.disk, next, func(err error) {
			if err != nil {
				t.Error(err)
			}
			written, ended = next, true
		})
		for look(); !ended; look() {
			n.world.Step()
		}
		look()
	}
	t.Logf("%d crash states", states)
}

// TestLogGoesOfflineWhereARetriedSyncWouldLose: after a failed Sync the system answers the next one well, and has dropped the
// bytes (fsyncgate). The same disk under somebody who retries loses them, as the second half shows.
func TestLogGoesOfflineWhereARetriedSyncWouldLose(t *testing.T) {
	n := newNode(t, 1)
	n.disk.ForgetFailedSyncs(true)
	c := smallConfig()
	c.FlushMessages = 1
	l := n.open(n.options(c))
	n.append(l, batch(0, 0, 1, 100, 1), 0)
	n.disk.FailNext(simdisk.OpSync, disk.ErrIO)
	lost := batch(0, 0, 1, 100, 2)
	if err := n.await("append", func(done func(error)) { _, _ = n.lead(l, lost, 0, done) }); !errors.Is(err, ErrOffline) {
		t.Fatalf("an append whose sync failed is answered %v", err)
	}
	if _, err := n.lead(l, batch(0, 0, 1, 100, 3), 0, nil); !errors.Is(err, ErrOffline) {
		t.Fatalf("an append after it is answered %v", err)
	}
	if err := n.await("flush", l.Flush); !errors.Is(err, ErrOffline) || l.RecoveryPoint() != 1 {
		t.Fatalf("a retry is answered %v, and all below %d is called synced", err, l.RecoveryPoint())
	}
	name := l.path(fileName(0, logSuffix))
	n.must("the sync that the log did not retry", func(done func(error)) {
		n.disk.Open(name, func(f disk.File, _ int64, _ error) { f.Sync(done) })
	})
	if got := split(t, n.disk.Peek(name)); len(got) != 2 {
		t.Fatalf("reads see %d batches", len(got))
	}
	n.losePower()
	if b, _, err := record.Parse(n.disk.Peek(name)[len(batch(0, 0, 1, 100, 1)):]); err == nil && b.CheckCRC() {
		t.Error("what the retried sync answered as durable is still there: the disk does not forget")
	}
}

// A replica that comes back after its process died counts what it has found as its own; then the power goes.
func TestWhatIsRecoveredAfterAKillIsDurable(t *testing.T) {
	s := newCrashScene(t, smallConfig())
	for i := range int32(6) {
		s.append(s.ofProducer(i, 450), i/4)
		s.wait()
	}
	s.append(s.ofProducer(6, 100), 1)
	s.world.Step() // its write is under way
	point := s.log.RecoveryPoint()
	s.loop.Kill()
	s.disk.Kill()
	l := s.openIn(s.node, point)
	found := s.inspect(l)
	s.judge(&simdisk.Image{}, l, found)
	for image := range s.disk.CrashStates() {
		n := nodeFrom(t, image)
		if again := n.inspect(s.openIn(n, l.RecoveryPoint())); !again.equal(found) {
			s.fail(image, "recovered %v, and %v after a loss of power", found, again)
		}
	}
}

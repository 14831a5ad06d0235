package coordinator

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/disk/simdisk"
	"github.com/lockstep/lockstep/network/simnet"
	"github.com/lockstep/lockstep/scheduler/virtual"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const topic = "__state"

var topicID = [16]byte{1}

// table is a machine that is a map; what a transaction wrote counts when it is committed.
type table struct {
	values   map[string]string
	pending  map[int64]map[string]string
	loaded   bool
	unloaded bool
}

func (m *table) Replay(r Replayed) {
	if r.ProducerID >= 0 {
		if m.pending[r.ProducerID] == nil {
			m.pending[r.ProducerID] = map[string]string{}
		}
		m.pending[r.ProducerID][string(r.Key)] = string(r.Value)
		return
	}
	if r.Value == nil {
		delete(m.values, string(r.Key))
		return
	}
	m.values[string(r.Key)] = string(r.Value)
}

func (m *table) ReplayMarker(producerID int64, _ int16, commit bool) {
	if commit {
		maps.Copy(m.values, m.pending[producerID])
	}
	delete(m.pending, producerID)
}

func (m *table) Loaded()   { m.loaded = true }
func (m *table) Unloaded() { m.unloaded = true }

// broker is one broker whose replicas are 1 and, where the topic has two, a broker 2 that never fetches.
type broker struct {
	*testing.T
	world   *virtual.World
	loop    *virtual.Node
	disk    *simdisk.Disk
	net     *simnet.Host
	image   *metadata.Image
	runtime *Runtime
	m       *replica.Manager
	table   *table // of the newest shard
	epoch   int64
}

func newBroker(t *testing.T, replicas ...int32) *broker {
	w := virtual.New(3)
	b := &broker{T: t, world: w, loop: w.Node(1), image: metadata.NewImage()}
	b.disk = simdisk.New(b.loop, 3, simdisk.Options{})
	b.net = simnet.New(w, 3, simnet.Options{}).Host("n1", b.loop)
	b.start()
	b.apply(&metadata.TopicRecord{Name: topic, TopicID: topicID})
	b.apply(&metadata.PartitionRecord{TopicID: topicID, Replicas: replicas, Isr: replicas, Leader: 1, LeaderEpoch: 1})
	b.publish()
	return b
}

func (b *broker) start() {
	b.epoch++
	b.apply(&metadata.RegisterBrokerRecord{BrokerID: 1, BrokerEpoch: b.epoch, IncarnationID: [16]byte{byte(b.epoch)}})
	e := &env.Env{
		Loop: b.loop, Disk: b.disk, Net: b.net, Event: event.Discard,
		Rand: func(purpose string) *rand.Rand { return virtual.Rand(3, fmt.Sprint(b.epoch, purpose)) },
	}
	cfg := replica.DefaultConfig(1)
	cfg.DefaultMinISR, cfg.RetentionCheckInterval, cfg.TransactionVerification = 1, 0, func() bool { return false }
	b.m = nil
	b.loop.Post(func() {
		storage.OpenManager(e, []*storage.LogDir{storage.NewLogDir(e, "d", [16]byte{1})}, cfg.LogConfig, func(logs *storage.Manager, err error) {
			if err != nil {
				b.Fatal(err)
			}
			b.m = replica.NewManager(e, cfg, logs, wire.NewPeers(e, "test", 1<<20),
				func(_ *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error)) {})
			b.runtime = New(e, Config{Topic: topic, WriteTimeout: 5 * time.Second, LoadBytes: 200, NewMachine: b.newTable},
				func() *metadata.Image { return b.image }, b.m)
			b.m.SetBrokerEpoch(b.epoch)
		})
	})
	b.until("opened", func() bool { return b.m != nil })
}

func (b *broker) newTable(*Shard) Machine {
	b.table = &table{values: map[string]string{}, pending: map[int64]map[string]string{}}
	return b.table
}

func (b *broker) apply(r metadata.Record) {
	b.Helper()
	if err := b.image.Apply(r); err != nil {
		b.Fatal(err)
	}
}

func (b *broker) publish() {
	b.Helper()
	done := false
	b.loop.Post(func() { b.m.Apply(b.image.Clone(), nil); done = true })
	b.until("applied", func() bool { return done })
}

func (b *broker) elect(leader int32) {
	r := metadata.NewPartitionChange(topicID, 0)
	r.Leader = leader
	b.apply(r)
	b.publish()
}

func (b *broker) until(what string, holds func() bool) {
	b.Helper()
	for end := b.world.Now().Add(time.Minute); !holds(); {
		if b.world.Now() > end || !b.world.Step() {
			b.Fatal("never: " + what)
		}
	}
}

func (b *broker) run(d time.Duration) { b.world.RunUntil(b.world.Now().Add(d)) }

// on runs f on the loop.
func (b *broker) on(f func()) {
	b.Helper()
	done := false
	b.loop.Post(func() { f(); done = true })
	b.until("run", func() bool { return done })
}

func (b *broker) shard() (s *Shard) {
	b.Helper()
	b.until("a shard", func() (found bool) {
		var err error
		s, err = b.runtime.Shard("any")
		return err == nil
	})
	return s
}

// answer is what became of an Append.
type answer struct {
	given bool
	err   error
}

func (a *answer) take(err error) { a.given, a.err = true, err }

func (b *broker) put(s *Shard, key, value string) *answer {
	b.Helper()
	a := &answer{}
	b.on(func() {
		if err := s.Append([]Record{{[]byte(key), []byte(value)}}, a.take); err != nil {
			a.take(err)
		}
		if a.given && a.err == nil {
			b.Error("answered within the call")
		}
	})
	return a
}

func TestRestartedCoordinatorKnowsWhatWasAnswered(t *testing.T) {
	b := newBroker(t, 1)
	s := b.shard()
	for i := range 50 {
		a := b.put(s, fmt.Sprint("k", i%20), fmt.Sprint(i))
		b.until("answered", func() bool { return a.given })
		if a.err != nil {
			t.Fatal(a.err)
		}
	}
	want := maps.Clone(b.table.values)
	b.loop.Kill()
	b.disk.Kill()
	b.net.Crash(false)
	b.start()
	b.elect(1)
	b.shard()
	if !maps.Equal(b.table.values, want) || len(want) != 20 {
		t.Errorf("loaded %v, want %v", b.table.values, want)
	}
}

func TestAnswerWaitsUntilTheRecordIsCommitted(t *testing.T) {
	b := newBroker(t, 1, 2) // 2 is in the ISR and never fetches: nothing is committed
	s := b.shard()
	a := b.put(s, "k", "v")
	b.run(4 * time.Second)
	if a.given || b.table.values["k"] != "v" {
		t.Fatalf("answered %v %v, applied %q", a.given, a.err, b.table.values["k"])
	}
	b.run(2 * time.Second)
	if !a.given || a.err != kerr.CoordinatorNotAvailable {
		t.Errorf("after the timeout: %v %v", a.given, a.err)
	}
}

func TestWhoStopsLeadingAnswersNotCoordinator(t *testing.T) {
	b := newBroker(t, 1, 2)
	s, old := b.shard(), b.table
	a := b.put(s, "k", "v")
	b.elect(2)
	if !a.given || a.err != kerr.NotCoordinator || !old.unloaded {
		t.Errorf("answered %v %v, unloaded %v", a.given, a.err, old.unloaded)
	}
	if _, err := b.runtime.Shard("any"); err != kerr.NotCoordinator {
		t.Errorf("shard: %v", err)
	}
	if late := b.put(s, "k", "w"); late.err != kerr.NotCoordinator {
		t.Errorf("append to a shard that is gone: %v", late.err)
	}
}

// A leader that is elected again loads anew: what it applied may have been truncated by a leader in between.
func TestEachLeaderEpochLoadsAnew(t *testing.T) {
	b := newBroker(t, 1)
	b.put(b.shard(), "k", "v")
	old := b.table
	b.elect(1)
	b.shard()
	if !old.unloaded || b.table == old || b.table.values["k"] != "v" {
		t.Errorf("unloaded %v, new machine %v, k=%q", old.unloaded, b.table != old, b.table.values["k"])
	}
}

// Compaction may have taken what lies before an offset to which a log is truncated: it ends in a gap then.
func TestALogThatEndsInAGapIsLoaded(t *testing.T) {
	b := newBroker(t, 1, 2)
	b.shard()
	b.elect(2)
	log := b.m.Partition(event.Partition{Topic: topic}).Log()
	for _, at := range []int64{0, 40} {
		x := record.NewBuilder(nil, record.BatchOptions{BaseOffset: at, LeaderEpoch: 2, ProducerID: -1})
		x.Append(1, []byte("k"), fmt.Append(nil, at))
		written := false
		b.on(func() { _, _ = log.AppendAsFollower(x.Build(), nil, func(error) { written = true }) })
		b.until("written", func() bool { return written })
	}
	b.on(func() { log.TruncateTo(34, func(error) {}) })
	b.elect(1)
	for range 10_000 { // an endless loop takes no time
		if b.world.Step(); b.table.loaded {
			break
		}
	}
	if s := b.shard(); b.table.values["k"] != "0" || s.next != 34 {
		t.Errorf("%v up to %d", b.table.values, s.next)
	}
}

func TestRecordsOfATransactionCountAtItsCommitAlsoAfterALoad(t *testing.T) {
	for _, commit := range []bool{true, false} {
		b := newBroker(t, 1)
		s := b.shard()
		b.on(func() {
			if err := s.AppendToTransaction(Transaction{ProducerID: 7}, []Record{{[]byte("k"), []byte("v")}}, nil); err != nil {
				t.Error(err)
			}
			if err := s.AppendToTransaction(Transaction{ProducerID: 7}, []Record{{[]byte("l"), []byte("w")}}, nil); err != nil {
				t.Error(err)
			}
		})
		if len(b.table.values) != 0 || len(b.table.pending[7]) != 2 {
			t.Errorf("before the marker: %v, pending %v", b.table.values, b.table.pending)
		}
		b.on(func() {
			marker := record.BuildMarker(7, 0, record.Marker{Commit: commit, CoordinatorEpoch: 3}, 5)
			if err := s.AppendMarker(marker, 1, nil); err != nil {
				t.Error(err)
			}
		})
		want := maps.Clone(b.table.values)
		b.elect(1)
		b.shard()
		if !maps.Equal(b.table.values, want) || len(b.table.pending) != 0 || len(want) != map[bool]int{true: 2, false: 0}[commit] {
			t.Errorf("commit %v: loaded %v, had %v, pending %v", commit, b.table.values, want, b.table.pending)
		}
	}
}

func TestCoordinatorPartitionIsKafkas(t *testing.T) {
	for id, want := range map[string]int32{ // from Java: Utils.abs(id.hashCode()) % 50
		"":                         0,
		"a":                        47,
		"my-group":                 12,
		"console-consumer-12345":   6,
		"polygenelubricants":       0, // Integer.MIN_VALUE
		"grüße":                    23,
		"\U0001f600":               49,
		"connect-cluster":          13,
		"transactional-id-0123456": 43,
	} {
		if got := PartitionFor(id, 50); got != want {
			t.Errorf("%q: %d, want %d", id, got, want)
		}
	}
}

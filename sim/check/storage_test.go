package check

import (
	"math/rand/v2"
	"testing"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/disk/simdisk"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler/virtual"
	"pgregory.net/rapid"
)

// machine is one node with a real log on a simulated disk, watched by a State.
type machine struct {
	t     *rapid.T
	world *virtual.World
	loop  *virtual.Node
	disk  *simdisk.Disk
	env   *env.Env
	log   *storage.Log
	state *State
	seq   uint64
	epoch int32
	next  int32 // sequence
}

func newMachine(t *rapid.T, seed uint64, flush bool) *machine {
	w := virtual.New(seed)
	m := &machine{t: t, world: w, loop: w.Node(1)}
	m.disk = simdisk.New(m.loop, seed, simdisk.Options{})
	m.env = &env.Env{Loop: m.loop, Disk: m.disk, Event: m, Rand: func(purpose string) *rand.Rand { return virtual.Rand(seed, purpose) }}
	m.state = NewState(m, Promises{Default: Topic{RF: 1, MinISR: 1, FlushEveryAppend: flush}})
	return m
}

func (m *machine) UnixMilli(int32) int64                           { return m.loop.UnixMilli() }
func (m *machine) Voters(int32) []int32                            { return nil }
func (m *machine) Nodes() []int32                                  { return []int32{1} }
func (m *machine) Image(int32) *metadata.Image                     { return nil }
func (m *machine) ControllerImage(int32) *metadata.Image           { return nil }
func (m *machine) Files(_ int32, _ [16]byte, dir string) []string  { return m.disk.NamesIn(dir) }
func (m *machine) File(_ int32, _ [16]byte, name string) []byte    { return m.disk.Peek(name) }
func (m *machine) Durable(_ int32, _ [16]byte, name string) []byte { return m.disk.PeekDurable(name) }
func (m *machine) Replica(int32, event.Partition) Replica {
	if m.log == nil {
		return nil
	}
	return m.log
}

func (m *machine) Emit(e *event.Event) {
	m.seq++
	m.state.Observe(&Observation{Seq: m.seq, T: m.world.Now(), Node: 1, Event: e})
}

func (m *machine) steps(n int) {
	for range n {
		if !m.world.Step() {
			break
		}
	}
	m.judge()
}

func (m *machine) judge() {
	if v := m.state.AfterTurn(1, m.world.Now()); v != nil {
		m.t.Fatalf("%s: %s", v.Checker, v.Error())
	}
}

func (m *machine) start(config storage.LogConfig) {
	m.state.Restarted(1, m.world.Now())
	m.Emit(&event.Event{Kind: event.NodeStarting})
	storage.Open(m.env, storage.OpenOptions{Dir: orders.String(), Partition: orders, TopicID: ordersID, Config: config, KeepProducers: true},
		func(l *storage.Log, err error) {
			if err != nil {
				m.t.Fatalf("open: %v", err)
			}
			m.log = l
		})
	for m.log == nil {
		if !m.world.Step() {
			m.t.Fatal("the log never opens")
		}
	}
	m.epoch++
	m.log.AssignEpoch(m.epoch, m.log.NextOffset())
	m.Emit(&event.Event{Kind: event.BecameLeader, Partition: orders, Peer: -1, Epoch: m.epoch, Offset: m.log.NextOffset()})
	m.judge()
}

func (m *machine) crash(powerLoss bool) {
	m.state.Crashed(1, powerLoss, m.world.Now())
	m.log = nil
	m.loop.Kill()
	if powerLoss {
		m.disk.PowerLoss()
	} else {
		m.disk.Kill()
	}
}

// append writes a batch in the producer's next sequence; the producer starts over with a new epoch after each crash.
func (m *machine) append(size int) {
	now := m.loop.UnixMilli() // else the producer expires
	w := record.NewBuilder(nil, record.BatchOptions{ProducerID: 9, ProducerEpoch: int16(m.epoch), BaseSequence: m.next, BaseTimestamp: now})
	w.Append(now, nil, make([]byte, size))
	b := w.Build()
	if _, err := m.log.AppendAsLeader(b, m.epoch, network.NewFrame(b, nil), nil); err == nil {
		m.next++
	}
}

// truncate follows another leader for a moment.
func (m *machine) truncate(offset int64) {
	m.epoch++
	m.Emit(&event.Event{Kind: event.BecameFollower, Partition: orders, Peer: 2, Epoch: m.epoch})
	m.log.TruncateTo(offset, func(error) {})
	m.epoch++
	m.log.AssignEpoch(m.epoch, m.log.NextOffset())
	m.Emit(&event.Event{Kind: event.BecameLeader, Partition: orders, Peer: -1, Epoch: m.epoch, Offset: m.log.NextOffset()})
	m.next = 0
}

// TestRealLogKeepsTheCheckersSilent runs a real log through appends, truncations, kills and power losses at any moment.
func TestRealLogKeepsTheCheckersSilent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := storage.DefaultLogConfig()
		config.SegmentBytes, config.IndexIntervalBytes = 600, 100
		flush := rapid.Bool().Draw(t, "flush")
		if flush {
			config.FlushMessages = 1
		}
		m := newMachine(t, rapid.Uint64().Draw(t, "seed"), flush)
		m.start(config)
		for range rapid.IntRange(1, 60).Draw(t, "actions") {
			switch rapid.SampledFrom([]string{"append", "append", "append", "steps", "settle", "truncate", "flush", "retention", "kill", "power"}).Draw(t, "action") {
			case "append":
				m.append(rapid.IntRange(1, 200).Draw(t, "size"))
			case "steps":
				m.steps(rapid.IntRange(1, 10).Draw(t, "n"))
			case "settle":
				m.steps(100_000)
			case "truncate":
				m.truncate(rapid.Int64Range(m.log.HighWatermark(), m.log.NextOffset()).Draw(t, "offset"))
			case "flush":
				m.log.Flush(func(error) {})
			case "retention":
				m.log.SetHighWatermark(m.log.LogEndOffset())
				m.state.Deleted(orders, m.log.HighWatermark()/2)
				m.log.AdvanceLogStart(m.log.HighWatermark() / 2)
				m.log.DeleteOldSegments(func(error) {})
			case "kill":
				m.crash(false)
				m.next = 0
				m.start(config)
			case "power":
				m.crash(true)
				m.next = 0
				m.start(config)
			}
			m.judge()
		}
		m.steps(100_000)
		for _, v := range m.state.AtEnd(m.world.Now()) {
			t.Fatalf("%s: %s", v.Checker, v.Error())
		}
	})
}

package raft

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/disk/simdisk"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/scheduler/virtual"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// failer is what testing.T and rapid.T share.
type failer interface {
	Fatalf(format string, args ...any)
	Helper()
}

// cluster is a quorum and its observers on one virtual clock, judged while it runs.
type cluster struct {
	t        failer
	world    *virtual.World
	rand     *rand.Rand
	machines []*machine
	cut      map[[2]int32]bool // one-way
	real     bool
	dynamic  bool // the log says who votes
	autoJoin bool
	// upgradable is how many static voters there are that could be in the log.
	upgradable int
	appended   int

	leaders   map[int32]int32    // epoch → leader
	votes     map[[2]int32]int32 // node, epoch → for whom
	committed []record.Batch     // by the order of offsets, from 0
	end       int64              // of committed
	epochs    []int32            // in which each of committed was
	states    map[int64]uint64   // offset → hash of the state machine there
	trace     []string
}

// machine is a node through all its incarnations.
type machine struct {
	c            *cluster
	id           int32
	node         *virtual.Node
	disk         *simdisk.Disk
	platter      platter
	store        electionState // durable
	storeVersion int16         // of it
	proc         *proc         // nil while down
	moved        int           // times it has come back under another port
}

// proc is one incarnation: a listener and its raft node.
type proc struct {
	m        *machine
	raft     *Node
	dead     bool
	values   []string
	next     int64
	leader   int32
	epoch    int32
	claims   int
	snapshot bool // take one at the next commit
}

func newCluster(t failer, seed uint64, voters, observers int) *cluster {
	return newClusterOn(t, seed, voters, observers, false)
}

// newClusterOn takes a real storage.Log and quorum-state file per node, or fakes of both that are faster and
// forget more.
func newClusterOn(t failer, seed uint64, voters, observers int, real bool) *cluster {
	c := &cluster{t: t, real: real, world: virtual.New(seed), rand: virtual.Rand(seed, "cluster"), cut: map[[2]int32]bool{},
		leaders: map[int32]int32{}, votes: map[[2]int32]int32{}, states: map[int64]uint64{}}
	for i := range voters + observers {
		c.addMachine(seed, int32(i))
	}
	for _, m := range c.machines {
		m.start(voters)
	}
	return c
}

func (c *cluster) addMachine(seed uint64, id int32) {
	m := &machine{c: c, id: id, node: c.world.Node(id), store: electionState{leader: none, voted: none}}
	m.disk = simdisk.New(m.node, seed, simdisk.Options{})
	c.machines = append(c.machines, m)
}

func (c *cluster) voters(n int) (v []Voter) {
	for i := range n {
		v = append(v, Voter{ID: int32(i), Addr: network.Addr(fmt.Sprintf("node%d:9093", i)), ListenerName: "CONTROLLER"})
	}
	return v
}

// start opens the node as production does, but for the log and the quorum-state file.
func (m *machine) start(voters int) {
	cfg := Config{NodeID: m.id, ClusterID: "test", Voters: m.c.voters(voters), ListenerName: "CONTROLLER"}.withDefaults()
	switch {
	case m.c.dynamic:
		cfg = m.dynamicConfig().withDefaults()
	case m.c.upgradable > 0:
		cfg = m.dynamicConfig()
		cfg.Voters = m.c.voters(voters)
		cfg = cfg.withDefaults()
	}
	m.startWith(cfg)
}

func (m *machine) startWith(cfg Config) {
	if m.proc != nil {
		return
	}
	p := &proc{m: m, leader: none}
	m.proc = p
	e := &env.Env{Loop: m.node, Disk: m.disk, Event: sink{p},
		Rand: func(purpose string) *rand.Rand {
			return virtual.Rand(m.c.world.Seed(), fmt.Sprint(purpose, m.id, m.node.Now()))
		}}
	if m.c.real {
		m.node.Post(func() { m.open(p, e, cfg) })
		return
	}
	log := newFakeLog(m.node, &m.platter, &p.dead)
	o := &opening{env: e, cfg: cfg, done: func(_ *Node, err error) { m.c.t.Fatalf("open: %v", err) }}
	p.raft = newNode(e, cfg, fakePeers{p}, p, log, &fakeStore{p}, m.store)
	p.raft.written = m.storeVersion
	m.node.Post(func() {
		e.Disk.Mkdir(metadataDir, o.check(func() {
			e.Disk.SyncDir(".", o.check(func() {
				o.snapshotRead = func() {
					p.raft.load(o.found, o.check(func() { p.raft.Start() }))
				}
				o.list()
			}))
		}))
	})
}

// open is start with everything real but the network.
func (m *machine) open(p *proc, e *env.Env, cfg Config) {
	cfg.LogConfig = storage.DefaultLogConfig()
	cfg.LogConfig.SegmentBytes = 4096
	cfg.LogConfig.MaxMessageBytes = 1000
	open(e, cfg, fakePeers{p}, p, func(n *Node, err error) {
		if err != nil {
			m.c.fail("node %d does not open: %v", m.id, err)
		}
		p.raft = n
		n.Start()
	})
}

func (m *machine) stop(power bool) {
	if m.proc == nil {
		return
	}
	m.proc.dead = true
	m.proc = nil
	m.node.Kill()
	if power {
		m.disk.PowerLoss()
		m.platter.losePower()
	} else {
		m.disk.Kill()
	}
}

// fakeStore takes the time of a sync; what it had not finished at death is lost.
type fakeStore struct{ p *proc }

func (s *fakeStore) write(e electionState, q quorum, done func(error)) {
	s.p.m.node.After(2*time.Millisecond, func() {
		s.p.m.store, s.p.m.storeVersion = e, q.version
		done(nil)
	})
}

// fakePeers calls the handlers of others, with delays, losses and cuts.
type fakePeers struct{ p *proc }

var errLost = errors.New("lost")

func (f fakePeers) send(to network.Addr, req kmsg.Request, timeout time.Duration, done func(reply, error)) {
	c, from := f.p.m.c, f.p.m
	answered := false
	finish := func(r reply, err error) {
		if !f.p.dead && !answered {
			answered = true
			done(r, err)
		}
	}
	from.node.After(timeout, func() { finish(reply{}, errLost) })
	var target *machine
	for _, m := range c.machines {
		if network.Addr(fmt.Sprintf("node%d:%d", m.id, m.port())) == to {
			target = m
		}
	}
	if target == nil {
		return // nobody is there any more
	}
	c.world.After(c.delay(), func() {
		if c.cut[[2]int32{from.id, target.id}] {
			return
		}
		if target.proc == nil || target.proc.raft == nil {
			from.node.After(c.delay(), func() { finish(reply{}, errLost) })
			return
		}
		at := target.proc
		target.node.After(0, func() {
			at.handle(req, func(body kmsg.Response) {
				c.world.After(c.delay(), func() {
					if !c.cut[[2]int32{target.id, from.id}] && !f.p.dead {
						from.node.After(0, func() { finish(reply{body: body, release: func() {}}, nil) })
					}
				})
			})
		})
	})
}

func (c *cluster) delay() time.Duration {
	return 100*time.Microsecond + time.Duration(c.rand.Int64N(int64(2*time.Millisecond)))
}

func (p *proc) handle(req kmsg.Request, done func(kmsg.Response)) {
	switch req := req.(type) {
	case *kmsg.VoteRequest:
		req.Version = 2
		p.raft.HandleVote(req, func(r *kmsg.VoteResponse) { done(r) })
	case *kmsg.BeginQuorumEpochRequest:
		req.Version = 1
		p.raft.HandleBeginQuorumEpoch(req, func(r *kmsg.BeginQuorumEpochResponse) { done(r) })
	case *kmsg.EndQuorumEpochRequest:
		req.Version = 1
		p.raft.HandleEndQuorumEpoch(req, func(r *kmsg.EndQuorumEpochResponse) { done(r) })
	case *kmsg.ApiVersionsRequest:
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.SupportedFeatures = append(resp.SupportedFeatures, kmsg.ApiVersionsResponseSupportedFeature{Name: FeatureKRaftVersion, MinVersion: 0, MaxVersion: 1})
		done(resp)
	case *kmsg.AddRaftVoterRequest:
		req.Version = 1
		p.raft.HandleAddRaftVoter(req, func(r *kmsg.AddRaftVoterResponse) { done(r) })
	case *kmsg.RemoveRaftVoterRequest:
		p.raft.HandleRemoveRaftVoter(req, func(r *kmsg.RemoveRaftVoterResponse) { done(r) })
	case *kmsg.UpdateRaftVoterRequest:
		p.raft.HandleUpdateRaftVoter(req, func(r *kmsg.UpdateRaftVoterResponse) { done(r) })
	case *kmsg.FetchSnapshotRequest:
		req.Version = 1
		req.MaxBytes = 100 // so that it takes several
		p.raft.HandleFetchSnapshot(req, func(r *kmsg.FetchSnapshotResponse) { done(r) })
	case *kmsg.FetchRequest:
		req.Version = 18
		p.raft.HandleFetch(req, func(r *wire.FetchResponse, release func()) {
			done(fetchBody(r))
			if release != nil {
				release()
			}
		})
	}
}

// fetchBody is what the follower would decode.
func fetchBody(r *wire.FetchResponse) *kmsg.FetchResponse {
	out := kmsg.NewPtrFetchResponse()
	out.ErrorCode = r.ErrorCode
	for _, t := range r.Topics {
		ot := kmsg.NewFetchResponseTopic()
		for _, p := range t.Partitions {
			op := kmsg.NewFetchResponseTopicPartition()
			op.ErrorCode, op.HighWatermark, op.LogStartOffset = p.ErrorCode, p.HighWatermark, p.LogStartOffset
			op.DivergingEpoch.Epoch, op.DivergingEpoch.EndOffset = p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset
			op.CurrentLeader.LeaderID, op.CurrentLeader.LeaderEpoch = p.CurrentLeader.ID, p.CurrentLeader.Epoch
			op.SnapshotID.EndOffset, op.SnapshotID.Epoch = p.SnapshotID.EndOffset, p.SnapshotID.Epoch
			for _, chunk := range p.Records {
				b := chunk.Bytes
				if chunk.Region.File != nil {
					b = make([]byte, chunk.Region.Len)
					simdisk.ReadRegion(chunk.Region, b)
				}
				op.RecordBatches = append(op.RecordBatches, b...)
			}
			ot.Partitions = append(ot.Partitions, op)
		}
		for _, n := range r.NodeEndpoints {
			out.Brokers = append(out.Brokers, kmsg.FetchResponseBroker{NodeID: n.ID, Host: n.Host, Port: n.Port})
		}
		out.Topics = append(out.Topics, ot)
	}
	return out
}

// sink judges events.
type sink struct{ p *proc }

func (s sink) Emit(e *event.Event) {
	c, m := s.p.m.c, s.p.m
	if s.p.dead {
		return
	}
	c.trace = append(c.trace, fmt.Sprintf("%v node%d %v", time.Duration(c.world.Now()), m.id, e))
	switch e.Kind {
	case event.RaftBecame:
		if e.Note == "leader" {
			c.onLeader(m, e.Epoch)
		}
	case event.RaftVoted:
		key := [2]int32{m.id, e.Epoch}
		if was, ok := c.votes[key]; ok && was != e.Peer {
			c.fail("node %d voted for %d and %d in epoch %d", m.id, was, e.Peer, e.Epoch)
		}
		c.votes[key] = e.Peer
		if was := m.durableElection(); was.voted != e.Peer || was.epoch != e.Epoch {
			c.fail("vote of node %d is not on its disk", m.id)
		}
	case event.LogDirFailed:
		c.fail("node %d failed: %s", m.id, e.Note)
	}
}

// durableElection is what a power loss would leave.
func (m *machine) durableElection() electionState {
	if !m.c.real {
		return m.store
	}
	e, err := parseQuorumState(m.disk.PeekDurable(quorumStateName))
	if err != nil {
		m.c.fail("node %d: %v", m.id, err)
	}
	return e
}

// onLeader checks election safety and leader completeness.
func (c *cluster) onLeader(m *machine, epoch int32) {
	if was, ok := c.leaders[epoch]; ok {
		c.fail("epoch %d has leaders %d and %d", epoch, was, m.id)
	}
	c.leaders[epoch] = m.id
	log := m.proc.raft.log
	if end := c.endBefore(epoch); log.NextOffset() < end {
		c.fail("leader %d of epoch %d ends at %d, %d is committed", m.id, epoch, log.NextOffset(), end)
	}
	fake, ok := log.(*fakeLog)
	if !ok {
		return
	}
	for _, b := range fake.all {
		if b.NextOffset() <= c.endBefore(epoch) {
			c.compare(m, b)
		}
	}
}

// endBefore is the end of what was committed in epochs before this one.
func (c *cluster) endBefore(epoch int32) (end int64) {
	for i, b := range c.committed {
		if c.epochs[i] < epoch {
			end = b.NextOffset()
		}
	}
	return end
}

// compare checks a batch of a node against what is committed at its offset.
func (c *cluster) compare(m *machine, b record.Batch) {
	for _, known := range c.committed {
		if known.BaseOffset() == b.BaseOffset() && !bytes.Equal(known, b) {
			c.fail("node %d has another batch at %d than was committed", m.id, b.BaseOffset())
		}
	}
}

func (c *cluster) fail(format string, args ...any) {
	c.t.Helper()
	text := fmt.Sprintf(format, args...)
	for _, m := range c.machines {
		if m.proc != nil && m.proc.raft != nil {
			n := m.proc.raft
			text += fmt.Sprintf("\n  node %d is %s, %+v, log to %d, hw %d, voters %s", m.id, n.State(), n.election, n.log.LogEndOffset(), n.hw, joinIDs(n.voters))
		}
	}
	tail := c.trace[max(0, len(c.trace)-60):]
	for _, line := range tail {
		text += "\n  " + line
	}
	c.t.Fatalf("%s", text)
}

// OnCommit is the state machine: a list of values.
func (p *proc) OnCommit(batches []byte, next int64) {
	c := p.m.c
	for len(batches) > 0 {
		b, rest, err := record.Parse(batches)
		if err != nil || b.BaseOffset() != p.next {
			c.fail("node %d was given offset %d (%v) after %d", p.m.id, b.BaseOffset(), err, p.next)
		}
		p.next = b.NextOffset()
		c.onCommitted(p.m, slices.Clone(b))
		if !b.IsControl() {
			b.Each(&record.Scratch{}, func(r record.Record) error {
				p.values = append(p.values, string(r.Value))
				return nil
			})
		}
		c.checkState(p)
		batches = rest
	}
	if p.next != next {
		c.fail("node %d was told %d, batches end at %d", p.m.id, next, p.next)
	}
	if p.snapshot {
		p.snapshot = false
		p.takeSnapshot()
	}
}

func (p *proc) takeSnapshot() {
	var records [][]byte
	for _, v := range p.values {
		records = append(records, []byte(v))
	}
	p.raft.Snapshot(p.raft.SnapshotIDAt(p.next), records, func(err error) {
		if err != nil {
			p.m.c.fail("snapshot: %v", err)
		}
	})
}

func (p *proc) OnSnapshot(id SnapshotID, records [][]byte) {
	if id.EndOffset < p.next {
		p.m.c.fail("node %d was given a snapshot at %d after offset %d", p.m.id, id.EndOffset, p.next)
	}
	p.next, p.values = id.EndOffset, nil
	for _, r := range records {
		p.values = append(p.values, string(r))
	}
	p.m.c.checkState(p)
}

func (p *proc) OnLeader(leader, epoch int32) {
	if epoch < p.epoch {
		p.m.c.fail("node %d: epoch went from %d back to %d", p.m.id, p.epoch, epoch)
	}
	if end := p.m.c.endBefore(epoch); leader == p.m.id && p.next < end {
		p.m.c.fail("leader %d claims epoch %d at offset %d, %d is committed", leader, epoch, p.next, end)
	}
	p.leader, p.epoch = leader, epoch
	p.claims++
}

func (c *cluster) onCommitted(m *machine, b record.Batch) {
	if b.BaseOffset() == c.end {
		c.committed, c.end = append(c.committed, b), b.NextOffset()
		c.epochs = append(c.epochs, m.proc.raft.election.epoch)
		return
	}
	if b.BaseOffset() > c.end {
		c.fail("node %d was given offset %d, known is only %d", m.id, b.BaseOffset(), c.end)
	}
	c.compare(m, b)
}

func (c *cluster) checkState(p *proc) {
	h := fnv.New64a()
	for _, v := range p.values {
		h.Write([]byte(v + "\n"))
	}
	if was, ok := c.states[p.next]; ok && was != h.Sum64() {
		c.fail("node %d has another state at offset %d", p.m.id, p.next)
	}
	c.states[p.next] = h.Sum64()
}

func (c *cluster) run(d time.Duration) { c.world.RunUntil(c.world.Now().Add(d)) }

// leader is the node that the most recent epoch's leader claims to be, or nil.
func (c *cluster) leader() *proc {
	var best *proc
	for _, m := range c.machines {
		if p := m.proc; p != nil && p.leader == m.id && (best == nil || p.epoch > best.epoch) {
			best = p
		}
	}
	return best
}

// append writes through whoever thinks it leads.
func (c *cluster) append() {
	for _, m := range c.machines {
		if p := m.proc; p != nil && p.leader == m.id {
			m.node.Post(func() {
				c.appended++
				p.raft.Append(p.epoch, [][]byte{fmt.Appendf(nil, "v%d", c.appended), []byte("w")})
			})
		}
	}
}

// cutOff isolates nodes from all others.
func (c *cluster) cutOff(ids ...int32) {
	for _, a := range c.machines {
		for _, b := range c.machines {
			if slices.Contains(ids, a.id) != slices.Contains(ids, b.id) {
				c.cut[[2]int32{a.id, b.id}] = true
			}
		}
	}
}

func (c *cluster) heal() { clear(c.cut) }

// await runs until cond holds, and fails after a minute.
func (c *cluster) await(what string, cond func() bool) {
	c.t.Helper()
	for range 6000 {
		if cond() {
			return
		}
		c.run(10 * time.Millisecond)
	}
	c.fail("no %s within a minute", what)
}

func (c *cluster) awaitLeader() *proc {
	c.t.Helper()
	c.await("leader", func() bool { return c.leader() != nil })
	return c.leader()
}

// awaitCaughtUp waits until all running nodes have delivered the same.
func (c *cluster) awaitCaughtUp() {
	c.t.Helper()
	before := c.end
	c.awaitLeader()
	c.append()
	c.await("common end", func() bool {
		for _, m := range c.machines {
			if m.proc == nil || m.proc.next != c.end || c.end <= before {
				if c.end <= before {
					c.append()
				}
				return false
			}
		}
		return true
	})
}

var _ scheduler.Loop = (*virtual.Node)(nil)
var _ failer = (*testing.T)(nil)

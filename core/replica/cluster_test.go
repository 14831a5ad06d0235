package replica

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/disk/simdisk"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/network/simnet"
	"github.com/lockstep/lockstep/scheduler/virtual"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	tp      = event.Partition{Topic: "t", Index: 0}
	topicID = [16]byte{1}
)

// cluster is some Managers on simulated disks and a simulated network. The test is their controller.
type cluster struct {
	*testing.T
	world *virtual.World
	net   *simnet.Net
	nodes []*testNode // by id; 0 is nil
	image *metadata.Image
	cfg   func(*Config)
	// dirs are the log directories of a broker; the default is one, on its disk.
	dirs func(n *testNode, e *env.Env) []*storage.LogDir
	// alter answers AlterPartition; the default is what a controller does.
	alter func(n *testNode, req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error))
}

type testNode struct {
	c     *cluster
	id    int32
	loop  *virtual.Node
	disk  *simdisk.Disk
	host  *simnet.Host
	logs  *storage.Manager
	peers *wire.Peers
	m     *Manager
	epoch int64

	events   []event.Event
	sessions map[int32]*testSession
}

func (n *testNode) Emit(e *event.Event) {
	kept := *e
	kept.Batch = nil
	n.events = append(n.events, kept)
}

// newCluster starts size brokers, 1 to size, with a topic of one partition that has all as replicas and in its ISR, led by 1.
func newCluster(t *testing.T, size int, configure func(*Config)) *cluster {
	w := virtual.New(7)
	c := &cluster{T: t, world: w, nodes: make([]*testNode, size+1), image: metadata.NewImage(), cfg: configure}
	c.net = simnet.New(w, 7, simnet.Options{ReadRegion: func(r disk.Region, p []byte) { simdisk.ReadRegion(r, p) }})
	c.alter, c.dirs = c.answerAlter, oneDir
	var ids []int32
	for id := int32(1); id <= int32(size); id++ {
		n := &testNode{c: c, id: id, loop: w.Node(id)}
		n.disk = simdisk.New(n.loop, 7, simdisk.Options{})
		n.host = c.net.Host(fmt.Sprint("n", id), n.loop)
		c.nodes[id] = n
		ids = append(ids, id)
		n.start()
	}
	c.apply(&metadata.TopicRecord{Name: tp.Topic, TopicID: topicID})
	c.apply(&metadata.PartitionRecord{TopicID: topicID, Replicas: ids, Isr: ids, Leader: 1, LeaderEpoch: 1})
	c.publish(ids...)
	c.run(100 * time.Millisecond)
	return c
}

func (c *cluster) apply(r metadata.Record) {
	c.Helper()
	if err := c.image.Apply(r); err != nil {
		c.Fatal(err)
	}
}

// change makes a partition change; the zero of leader and isr is no change.
func (c *cluster) change(leader int32, isr ...int32) {
	r := metadata.NewPartitionChange(topicID, 0)
	if leader != 0 {
		r.Leader = leader
	}
	if len(isr) > 0 {
		r.Isr = isr
	}
	c.apply(r)
}

// publish gives the image of now to some brokers.
func (c *cluster) publish(ids ...int32) {
	img := c.image.Clone()
	d := &metadata.Delta{Partitions: []event.Partition{tp}, Brokers: []int32{1}}
	for _, id := range ids {
		n := c.nodes[id]
		n.loop.Post(func() {
			if n.m != nil {
				n.m.Apply(img, d)
			}
		})
	}
}

func (c *cluster) run(d time.Duration) { c.world.RunUntil(c.world.Now().Add(d)) }

// until runs until what holds, for at most a minute.
func (c *cluster) until(what string, holds func() bool) {
	c.Helper()
	for end := c.world.Now().Add(time.Minute); !holds(); {
		if c.world.Now() > end || !c.world.Step() {
			c.Fatalf("never: %s; %s", what, c.describe())
		}
	}
}

func (c *cluster) describe() (s string) {
	for _, n := range c.nodes[1:] {
		if p := n.partition(); p != nil && p.log != nil {
			s += fmt.Sprintf("\n  n%d: leader %d epoch %d.%d leads %v log [%d,%d) hw %d isr %v", n.id, p.leaderID, p.leaderEpoch, p.partitionEpoch,
				p.IsLeader(), p.log.LogStartOffset(), p.log.LogEndOffset(), p.log.HighWatermark(), p.ISR())
		} else {
			s += fmt.Sprintf("\n  n%d: no partition", n.id)
		}
	}
	return s
}

func (c *cluster) partitionImage() *metadata.Partition { return c.image.Partition(tp) }

// answerAlter is the controller: it applies what is up to date, answers, and publishes.
func (c *cluster) answerAlter(n *testNode, req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error)) {
	resp := kmsg.NewPtrAlterPartitionResponse()
	asked := req.Topics[0].Partitions[0]
	answer := kmsg.NewAlterPartitionResponseTopicPartition()
	switch reg := c.partitionImage(); {
	case asked.LeaderEpoch != reg.LeaderEpoch:
		answer.ErrorCode = kerr.FencedLeaderEpoch.Code
	case asked.PartitionEpoch != reg.PartitionEpoch:
		answer.ErrorCode = kerr.InvalidUpdateVersion.Code
	case slices.ContainsFunc(asked.NewEpochISR, func(s kmsg.AlterPartitionRequestTopicPartitionNewEpochISR) bool {
		b := c.image.Broker(s.BrokerID)
		return b.Fenced || s.BrokerEpoch != -1 && s.BrokerEpoch != b.Epoch
	}):
		answer.ErrorCode = kerr.IneligibleReplica.Code
	default:
		var isr []int32
		for _, s := range asked.NewEpochISR {
			isr = append(isr, s.BrokerID)
		}
		c.change(0, isr...)
		reg = c.partitionImage()
		answer.LeaderID, answer.LeaderEpoch, answer.ISR, answer.PartitionEpoch = reg.Leader, reg.LeaderEpoch, reg.ISR, reg.PartitionEpoch
	}
	resp.Topics = []kmsg.AlterPartitionResponseTopic{{TopidID: topicID, Partitions: []kmsg.AlterPartitionResponseTopicPartition{answer}}}
	n.loop.After(time.Millisecond, func() { done(resp, nil) })
}

// start opens the broker's logs and registers it with a new epoch; it learns of its partitions by publish.
func (n *testNode) start() {
	n.epoch++
	n.events = nil
	n.sessions = map[int32]*testSession{}
	n.c.apply(&metadata.RegisterBrokerRecord{
		BrokerID: n.id, BrokerEpoch: n.epoch, IncarnationID: [16]byte{byte(n.epoch)},
		EndPoints: []metadata.Endpoint{{Name: "B", Host: n.host.Name(), Port: 9092}},
	})
	e := &env.Env{
		Loop: n.loop, Disk: n.disk, Net: n.host, Event: n,
		Rand: func(purpose string) *rand.Rand { return virtual.Rand(7, fmt.Sprint(n.id, n.epoch, purpose)) },
	}
	cfg := DefaultConfig(n.id)
	cfg.RetentionCheckInterval = 0 // records are of 1970 here
	cfg.DefaultMinISR = min(2, len(n.c.nodes)-1)
	cfg.FetchBackoff = 100 * time.Millisecond
	if n.c.cfg != nil {
		n.c.cfg(&cfg)
	}
	n.loop.Post(func() {
		n.peers = wire.NewPeers(e, "test", 100<<20)
		storage.OpenManager(e, n.c.dirs(n, e), cfg.LogConfig, func(logs *storage.Manager, err error) {
			if err != nil {
				n.c.Fatal(err)
			}
			n.logs = logs
			n.m = NewManager(e, cfg, logs, n.peers, func(req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error)) {
				n.c.alter(n, req, done)
			})
			n.m.SetBrokerEpoch(n.epoch)
			n.listen()
		})
	})
	n.c.until("opened", func() bool { return n.m != nil })
}

func oneDir(_ *testNode, e *env.Env) []*storage.LogDir {
	return []*storage.LogDir{storage.NewLogDir(e, "d", [16]byte{1})}
}

// kill ends the process; powerLoss takes what was not synced as well.
func (n *testNode) kill(powerLoss bool) {
	n.loop.Kill()
	if powerLoss {
		n.disk.PowerLoss()
	} else {
		n.disk.Kill()
	}
	n.host.Crash(powerLoss)
	n.m, n.logs = nil, nil
}

func (n *testNode) partition() *Partition {
	if n.m == nil {
		return nil
	}
	return n.m.Partition(tp)
}

// log is the values in the broker's log, from its start.
func (n *testNode) leo() int64 { return n.partition().Log().LogEndOffset() }

func (n *testNode) hw() int64 { return n.partition().HighWatermark() }

func (n *testNode) count(kind event.Kind) (count int) {
	for _, e := range n.events {
		if e.Kind == kind {
			count++
		}
	}
	return count
}

func (n *testNode) listen() {
	proto := network.Protocol{Decode: wire.DecodeRequest, MaxFrame: 100 << 20}
	if _, err := n.host.Listen(network.Addr(n.host.Name()+":9092"), proto, func(network.Conn) network.Handler { return &testConn{n: n} }); err != nil {
		n.c.Fatal(err)
	}
}

// testConn serves what followers ask, as core/api does.
type testConn struct {
	n      *testNode
	closed bool
}

func (s *testConn) Closed(network.Conn, error) { s.closed = true }

func (s *testConn) send(conn network.Conn, frame []network.Chunk, release func()) {
	if s.closed {
		release()
		return
	}
	conn.Send(frame, func(error) { release() })
}

func (s *testConn) Receive(conn network.Conn, msg any, f *network.Frame) {
	n, r := s.n, msg.(*wire.Request)
	f.Release()
	switch body := r.Body.(type) {
	case *kmsg.FetchRequest:
		s.serveFetch(conn, r, body)
	case *kmsg.ListOffsetsRequest:
		asked := &body.Topics[0].Partitions[0]
		q := ListOffsetQuery{Timestamp: asked.Timestamp, CurrentLeaderEpoch: asked.CurrentLeaderEpoch, ReplicaID: body.ReplicaID}
		n.m.ListOffset(event.Partition{Topic: body.Topics[0].Topic, Index: asked.Partition}, q, func(result ListOffsetResult) {
			resp := kmsg.NewPtrListOffsetsResponse()
			resp.Version = r.Version
			part := kmsg.NewListOffsetsResponseTopicPartition()
			part.Offset, part.ErrorCode = result.Offset, wire.Code(result.Err)
			resp.Topics = []kmsg.ListOffsetsResponseTopic{{Topic: body.Topics[0].Topic, Partitions: []kmsg.ListOffsetsResponseTopicPartition{part}}}
			s.send(conn, []network.Chunk{{Bytes: wire.AppendResponse(nil, r, resp)}}, func() {})
		})
	}
}

// testSession is the server's half of a fetch session.
type testSession struct {
	epoch   int32
	entries []FetchEntry
}

func (s *testSession) update(req *kmsg.FetchRequest) {
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			s.drop(p.Partition)
			s.entries = append(s.entries, FetchEntry{
				Partition: event.Partition{Topic: tp.Topic, Index: p.Partition}, TopicID: t.TopicID, Offset: p.FetchOffset, MaxBytes: int(p.PartitionMaxBytes),
				LastFetchedEpoch: p.LastFetchedEpoch, CurrentLeaderEpoch: p.CurrentLeaderEpoch, LogStartOffset: p.LogStartOffset,
			})
		}
	}
	for _, t := range req.ForgottenTopics {
		for _, p := range t.Partitions {
			s.drop(p)
		}
	}
}

func (s *testSession) drop(index int32) {
	s.entries = slices.DeleteFunc(s.entries, func(e FetchEntry) bool { return e.Partition.Index == index })
}

func (x *testConn) serveFetch(conn network.Conn, r *wire.Request, req *kmsg.FetchRequest) {
	n := x.n
	s, id := n.sessions[req.SessionID], req.SessionID
	if req.SessionEpoch == 0 {
		s, id = &testSession{}, int32(len(n.sessions)+1)
		n.sessions[id] = s
	}
	if s == nil || s.epoch != req.SessionEpoch {
		resp := &wire.FetchResponse{ErrorCode: kerr.FetchSessionIDNotFound.Code}
		x.send(conn, wire.EncodeFetch(resp, r.Version, r.CorrelationID), func() {})
		return
	}
	s.epoch++
	s.update(req)
	params := FetchParams{
		ReplicaID: req.ReplicaState.ID, ReplicaEpoch: req.ReplicaState.Epoch, ByID: true,
		MaxWait:  time.Duration(req.MaxWaitMillis) * time.Millisecond,
		MinBytes: int(req.MinBytes), MaxBytes: int(req.MaxBytes), Entries: slices.Clone(s.entries),
	}
	n.m.Fetch(params, func(parts []wire.FetchPartition, release func()) {
		resp := &wire.FetchResponse{SessionID: id, Topics: []wire.FetchTopic{{TopicID: topicID, Partitions: parts}}}
		x.send(conn, wire.EncodeFetch(resp, r.Version, r.CorrelationID), release)
	})
}

// batch is one batch with one record per value.
func batch(values ...string) record.Batch {
	b := record.NewBuilder(nil, record.BatchOptions{LeaderEpoch: -1, ProducerID: record.NoProducerID})
	for _, v := range values {
		b.Append(1, nil, []byte(v))
	}
	return b.Build()
}

// produced is the result of a produce; done when it has been answered.
type produced struct {
	ProduceResult
	done bool
}

func (n *testNode) produce(acks int16, values ...string) *produced {
	r := &produced{}
	n.loop.Post(func() {
		n.m.Produce(acks, 5*time.Second, []ProduceEntry{{Partition: tp, Batch: batch(values...)}}, nil, func(results []ProduceResult) {
			r.ProduceResult, r.done = results[0], true
		})
	})
	return r
}

func (c *cluster) mustProduce(n *testNode, acks int16, values ...string) {
	c.Helper()
	r := n.produce(acks, values...)
	c.until("the produce is answered", func() bool { return r.done })
	if r.Err != nil {
		c.Fatalf("produce %v: %v", values, r.Err)
	}
}

// fetched is the result of a fetch by a consumer or a hand-made follower.
type fetched struct {
	wire.FetchPartition
	values []string
	done   bool
}

func (n *testNode) fetch(params FetchParams, e FetchEntry) *fetched {
	r := &fetched{}
	params.MaxBytes = max(params.MaxBytes, 1)
	params.Entries = []FetchEntry{e}
	n.loop.Post(func() {
		n.m.Fetch(params, func(parts []wire.FetchPartition, release func()) {
			r.FetchPartition, r.done = parts[0], true
			r.values = valuesOf(n.c.T, parts[0].Records)
			release()
		})
	})
	return r
}

func (c *cluster) mustFetch(n *testNode, params FetchParams, e FetchEntry) *fetched {
	c.Helper()
	r := n.fetch(params, e)
	c.until("the fetch is answered", func() bool { return r.done })
	return r
}

// consumer reads from an offset without waiting.
func (c *cluster) consume(n *testNode, offset int64) []string {
	c.Helper()
	return c.mustFetch(n, FetchParams{ReplicaID: -1, MaxBytes: 1 << 20}, NewFetchEntry(tp, offset, 1<<20)).values
}

func valuesOf(t *testing.T, chunks []network.Chunk) (values []string) {
	var b []byte
	for _, c := range chunks {
		if c.Region.File == nil {
			b = append(b, c.Bytes...)
			continue
		}
		p := make([]byte, c.Region.Len)
		simdisk.ReadRegion(c.Region, p)
		b = append(b, p...)
	}
	for len(b) > 0 {
		first, rest, err := record.Parse(b)
		if errors.Is(err, record.ErrShort) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if err := first.Each(nil, func(r record.Record) error { values = append(values, string(r.Value)); return nil }); err != nil {
			t.Fatal(err)
		}
		b = rest
	}
	return values
}

package controller

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/scheduler"
)

// manualLoop is a clock that moves when told.
type manualLoop struct {
	now    scheduler.Instant
	timers []*manualTimer
}

type manualTimer struct {
	loop  *manualLoop
	at    scheduler.Instant
	armed bool
	f     func()
}

func (t *manualTimer) Stop() bool { was := t.armed; t.armed = false; return was }
func (t *manualTimer) Reset(d time.Duration) {
	t.at, t.armed = t.loop.now.Add(d), true
}

func (l *manualLoop) Now() scheduler.Instant    { return l.now }
func (l *manualLoop) UnixMilli() int64          { return 0 }
func (l *manualLoop) Defer(f func())            { f() }
func (l *manualLoop) Offload(work, done func()) { work(); done() }
func (l *manualLoop) AfterFunc(d time.Duration, f func()) scheduler.Timer {
	t := &manualTimer{l, l.now.Add(d), true, f}
	l.timers = append(l.timers, t)
	return t
}

// advance moves the clock and runs each timer when it is due.
func (l *manualLoop) advance(d time.Duration) {
	end := l.now.Add(d)
	for {
		var next *manualTimer
		for _, t := range l.timers {
			if t.armed && t.at <= end && (next == nil || t.at < next.at) {
				next = t
			}
		}
		if next == nil {
			break
		}
		next.armed, l.now = false, max(l.now, next.at)
		next.f()
	}
	l.now = end
}

// stall moves the clock and runs what was due only then.
func (l *manualLoop) stall(d time.Duration) {
	l.now = l.now.Add(d)
	l.advance(0)
}

// fakeQuorum commits when told.
type fakeQuorum struct {
	leader, epoch int32
	next          int64
	batches       [][]metadata.Record // appended, not committed
	err           error
	resigned      bool
	kraft         int16
}

func (q *fakeQuorum) Append(_ int32, records [][]byte) (int64, error) {
	if q.err != nil {
		return 0, q.err
	}
	var batch []metadata.Record
	for _, raw := range records {
		r, err := metadata.Unmarshal(raw)
		if err != nil {
			panic(err)
		}
		batch = append(batch, r)
	}
	q.batches = append(q.batches, batch)
	q.next += int64(len(batch))
	return q.next, nil
}
func (q *fakeQuorum) Resign(int32)                   { q.resigned = true }
func (q *fakeQuorum) LeaderAndEpoch() (int32, int32) { return q.leader, q.epoch }

func (q *fakeQuorum) UpgradeKRaftVersion(_ int32, version int16, _ bool, done func(*kerr.Error, string)) {
	switch {
	case version != 1:
		done(kerr.InvalidUpdateVersion, "only 1")
		return
	case q.resigned:
		done(kerr.NotLeaderForPartition, "")
		return
	}
	q.kraft = version
	done(nil, "")
}

// world is a controller, its quorum, and what has committed.
type world struct {
	*Controller
	t         fataler
	loop      manualLoop
	q         fakeQuorum
	committed *metadata.Image
	events    []event.Event
	last      []metadata.Record // the batch that committed last
	epochs    map[int32]int64
}

func (w *world) Emit(e *event.Event) { w.events = append(w.events, *e) }

const self int32 = 100

// fataler is a *testing.T or a *rapid.T.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func newWorld(t fataler, change func(*Config)) *world {
	w := &world{t: t, committed: metadata.NewImage(), epochs: map[int32]int64{}}
	cfg := Config{NodeID: self, MinInsyncReplicas: 2}
	if change != nil {
		change(&cfg)
	}
	rnd := func(string) *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
	w.Controller = New(&env.Env{Loop: &w.loop, Rand: rnd, Event: w}, cfg, &w.q)
	w.OnLeader(self, 1, w.committed, false)
	w.commit()
	return w
}

// commit commits all that was appended.
func (w *world) commit() {
	for _, batch := range w.q.batches {
		for _, r := range batch {
			if err := w.committed.Apply(r); err != nil {
				w.t.Fatal(err)
			}
		}
		w.last = batch
		w.committed.SetOffset(w.committed.Offset()+int64(len(batch)), 1)
	}
	w.q.batches = nil
	w.OnCommit(w.committed.Offset())
	if w.Active() && w.Image().Hash() != w.committed.Hash() {
		w.t.Fatal("the controller's image is not what committed")
	}
}

// failOver makes this node the controller of a later epoch, from what has committed.
func (w *world) failOver(epoch int32) {
	w.OnLeader(self+1, epoch-1, w.committed, false)
	w.q.batches, w.q.next = nil, w.committed.Offset()
	w.OnLeader(self, epoch, w.committed, false)
	w.commit()
}

// got returns what a handler answers once everything has committed.
func got[Req, Resp any](w *world, call func(Req, func(Resp)), req Req) Resp {
	w.t.Helper()
	var resp Resp
	answered := 0
	call(req, func(r Resp) { resp = r; answered++ })
	w.commit()
	if answered != 1 {
		w.t.Fatalf("%T was answered %d times", req, answered)
	}
	return resp
}

func registration(id int32, incarnation byte) *kmsg.BrokerRegistrationRequest {
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.Version, req.BrokerID, req.IncarnationID, req.PreviousBrokerEpoch = 4, id, [16]byte{1, byte(id), incarnation}, -1
	req.LogDirs = [][16]byte{{2, byte(id)}}
	for _, f := range DefaultFeatures {
		req.Features = append(req.Features, kmsg.BrokerRegistrationRequestFeature{Name: f.Name, MinSupportedVersion: 0, MaxSupportedVersion: 99})
	}
	return req
}

// register registers an incarnation and returns its epoch.
func (w *world) register(req *kmsg.BrokerRegistrationRequest) int64 {
	w.t.Helper()
	resp := got(w, w.RegisterBroker, req)
	if resp.ErrorCode != 0 {
		w.t.Fatalf("registration of %d: error %d", req.BrokerID, resp.ErrorCode)
	}
	w.epochs[req.BrokerID] = resp.BrokerEpoch
	return resp.BrokerEpoch
}

func (w *world) heartbeat(id int32, change ...func(*kmsg.BrokerHeartbeatRequest)) *kmsg.BrokerHeartbeatResponse {
	w.t.Helper()
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.BrokerID, req.BrokerEpoch, req.CurrentMetadataOffset = id, w.epochs[id], w.committed.Offset()-1
	for _, f := range change {
		f(req)
	}
	return got(w, w.BrokerHeartbeat, req)
}

func wantShutdown(r *kmsg.BrokerHeartbeatRequest) { r.WantShutdown = true }

// up registers and unfences brokers.
func (w *world) up(ids ...int32) {
	w.t.Helper()
	for _, id := range ids {
		w.register(registration(id, 0))
		if resp := w.heartbeat(id); resp.IsFenced || resp.ErrorCode != 0 {
			w.t.Fatalf("broker %d: %+v", id, resp)
		}
	}
}

// topic creates a topic with one partition on these replicas.
func (w *world) topic(name string, replicas ...int32) {
	w.t.Helper()
	w.topicOf(name, replicas)
}

func (w *world) topicOf(name string, partitions ...[]int32) {
	w.t.Helper()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, -1, -1
	for n, replicas := range partitions {
		t.ReplicaAssignment = append(t.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(n), Replicas: replicas})
	}
	if rt := w.create(t); rt.ErrorCode != 0 {
		w.t.Fatalf("topic %s: %d %s", name, rt.ErrorCode, *rt.ErrorMessage)
	}
}

func (w *world) create(topics ...kmsg.CreateTopicsRequestTopic) kmsg.CreateTopicsResponseTopic {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = topics
	return got(w, free(w.CreateTopics), req).Topics[0]
}

func (w *world) partition(topic string) *metadata.Partition {
	return w.committed.Partition(event.Partition{Topic: topic})
}

// expect fails unless the first partition of a topic is so.
func (w *world) expect(topic string, leader int32, isr, elr []int32) *metadata.Partition {
	w.t.Helper()
	p := w.partition(topic)
	if p.Leader != leader || !slices.Equal(p.ISR, isr) || !slices.Equal(p.ELR, elr) {
		w.t.Fatalf("%s: leader %d isr %v elr %v, want leader %d isr %v elr %v", topic, p.Leader, p.ISR, p.ELR, leader, isr, elr)
	}
	return p
}

// expire lets a broker's session end while the others go on.
func (w *world) expire(dead ...int32) {
	w.t.Helper()
	for range 10 {
		w.loop.advance(time.Second)
		w.commit()
		w.committed.Brokers(func(b *metadata.Broker) bool {
			if !slices.Contains(dead, b.ID) && !b.Fenced {
				w.heartbeat(b.ID)
			}
			return true
		})
	}
}

// alter proposes an ISR as the leader of a topic's first partition.
func (w *world) alter(topic string, isr []int32, change ...func(*kmsg.AlterPartitionRequest)) *kmsg.AlterPartitionResponse {
	w.t.Helper()
	p := w.partition(topic)
	req := kmsg.NewPtrAlterPartitionRequest()
	req.Version, req.BrokerID, req.BrokerEpoch = 3, p.Leader, w.epochs[p.Leader]
	rp := kmsg.NewAlterPartitionRequestTopicPartition()
	rp.LeaderEpoch, rp.PartitionEpoch = p.LeaderEpoch, p.PartitionEpoch
	for _, id := range isr {
		rp.NewEpochISR = append(rp.NewEpochISR, kmsg.AlterPartitionRequestTopicPartitionNewEpochISR{BrokerID: id, BrokerEpoch: w.epochs[id]})
	}
	rt := kmsg.NewAlterPartitionRequestTopic()
	rt.TopicID, rt.Partitions = p.TopicID, []kmsg.AlterPartitionRequestTopicPartition{rp}
	req.Topics = append(req.Topics, rt)
	for _, f := range change {
		f(req)
	}
	return got(w, w.AlterPartition, req)
}

func (w *world) setConfig(resourceType kmsg.ConfigResourceType, name, key string, op kmsg.IncrementalAlterConfigOp, value string) int16 {
	w.t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = resourceType, name
	r.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: key, Op: op, Value: &value}}
	req.Resources = append(req.Resources, r)
	return got(w, w.IncrementalAlterConfigs, req).Resources[0].ErrorCode
}

// assignDir has a broker say in which of its directories it has a topic's only partition.
func (w *world) assignDir(id int32, topic string, dir [16]byte) {
	w.t.Helper()
	p := kmsg.NewAssignReplicasToDirsRequestDirectoryTopicPartition()
	rt := kmsg.NewAssignReplicasToDirsRequestDirectoryTopic()
	rt.TopicID, rt.Partitions = w.committed.Topic(topic).ID, append(rt.Partitions, p)
	d := kmsg.NewAssignReplicasToDirsRequestDirectory()
	d.ID, d.Topics = dir, append(d.Topics, rt)
	req := kmsg.NewPtrAssignReplicasToDirsRequest()
	req.BrokerID, req.BrokerEpoch, req.Directories = id, w.epochs[id], append(req.Directories, d)
	if code := got(w, w.AssignReplicasToDirs, req).Directories[0].Topics[0].Partitions[0].ErrorCode; code != 0 {
		w.t.Fatalf("assigning %s to %v: error %d", topic, dir, code)
	}
}

func (w *world) count(kind event.Kind) (n int) {
	for _, e := range w.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

var errDisk = errors.New("disk")

// free is a handler that charges nothing.
func free[Q, R any](handle func(Q, Charge, func(R))) func(Q, func(R)) {
	return func(req Q, done func(R)) { handle(req, nil, done) }
}

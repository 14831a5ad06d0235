package sim

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Stage is a cluster for a story that is told by hand, step by step: sim/script reads such stories.
// The checkers watch as in any run.
type Stage struct {
	r *run
}

// NewStage builds the cluster; nothing runs yet.
func NewStage(s *Schedule, t Tracer) (*Stage, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	stage := &Stage{&run{schedule: s, options: RunOptions{Trace: t}, result: &Result{Schedule: s}}}
	stage.r.initWorld()
	if !stage.r.build() {
		return nil, stage.failure()
	}
	return stage, nil
}

// failure is what has gone wrong so far, nil if nothing did.
func (s *Stage) failure() error {
	switch r := s.r.result; {
	case r.Bug != "":
		return fmt.Errorf("%s\n%s", r.Bug, r.Stack)
	case len(r.Violations) > 0:
		return &r.Violations[0]
	}
	return nil
}

// do runs f, and then the world until done says so, at most d.
func (s *Stage) do(d time.Duration, f func(), done func() bool) (reachedIt bool, err error) {
	if err := s.failure(); err != nil {
		return false, err
	}
	s.r.guard(func() {
		f()
		end := s.r.world.Now().Add(d)
		for !done() && s.r.world.Now() < end {
			s.r.world.RunUntil(min(s.r.world.Now().Add(time.Millisecond), end))
		}
		reachedIt = done()
	})
	return reachedIt, s.failure()
}

func never() bool { return false }

// Start starts all nodes, creates the topics and waits until the cluster is well.
func (s *Stage) Start() error {
	ok, err := s.do(formTimeout, func() {
		for _, n := range s.r.cluster.nodes {
			n.start()
		}
		s.r.admin.createTopics()
	}, func() bool { return s.r.cluster.ailment() == "" })
	if err == nil && !ok {
		err = fmt.Errorf("the cluster did not form: %s", s.r.cluster.ailment())
	}
	if err != nil {
		return err
	}
	return s.Run(100 * time.Millisecond) // until everybody has heard
}

// Run lets time pass.
func (s *Stage) Run(d time.Duration) error {
	_, err := s.do(d, func() {}, never)
	return err
}

// Begin strikes with a fault that lasts until Heal; At and For mean nothing. It reports whether it took hold.
func (s *Stage) Begin(f Fault) (bool, error) {
	if err := f.check(&s.r.schedule.Options); err != nil {
		return false, err
	}
	held := false
	_, err := s.do(0, func() {
		f.For = 24 * time.Hour
		held = len(s.r.chaos.begin(&f, s.r.chaos.resolve(parsePlace(f.Target))).claims) > 0
	}, never)
	return held, err
}

// Heal ends the faults of a label, or those that a host is in; of all if what is empty.
func (s *Stage) Heal(what string) error {
	var struck []*strike
	for _, k := range s.r.chaos.active {
		if f := k.fault; !k.ended && (what == "" || f.Label == what || f.Target == what || f.Peer == what) {
			struck = append(struck, k)
		}
	}
	if len(struck) == 0 {
		return errors.New("there is nothing to heal")
	}
	_, err := s.do(0, func() {
		for _, k := range struck {
			s.r.chaos.end(k)
		}
	}, never)
	return err
}

// WaitFor runs until a condition on the cluster holds; what says in words what is waited for.
func (s *Stage) WaitFor(what string, d time.Duration, holds func(c *Cluster) bool) error {
	ok, err := s.do(d, func() {}, func() bool { return holds(s.r.cluster) })
	if err == nil && !ok {
		err = fmt.Errorf("%s passed without: %s", d, what)
	}
	return err
}

// grace is how much longer a client waits than it asks the broker to wait: so it is told that its time is over.
const grace = time.Second

// ask sends a request to a node, or to p's leader if node is 0, and waits for the answer at most d. take gets what
// was answered, valid during the call.
func (s *Stage) ask(p event.Partition, node int32, req kmsg.Request, d time.Duration, mute bool, take func(kmsg.Response) error) error {
	if node == 0 {
		leader := s.r.cluster.leader(p)
		if leader == nil {
			return fmt.Errorf("nobody leads %s", p)
		}
		node = leader.id
	}
	answer := errTimedOut
	answered, err := s.do(d, func() {
		s.r.admin.hangUp(node)
		s.r.admin.send(node, req, d, askerFunc(func(resp kmsg.Response, err error) {
			if answer = err; err == nil && resp != nil {
				answer = take(resp)
			}
		}), mute)
	}, func() bool { return answer != errTimedOut })
	if err != nil || !answered {
		return cmp.Or(err, error(errTimedOut))
	}
	return answer
}

// hangUp gives up the connection to a broker: its other end may be an incarnation that is gone, and then the next
// request would only find that out.
func (c *client) hangUp(broker int32) {
	l := c.link(broker)
	if conn := l.conn; conn != nil {
		conn.Close()
	}
	l.drop()
	l.failures, l.retryAt = 0, 0
}

// Produce sends one batch to a node, or to the leader if node is 0. The broker may take d to answer.
func (s *Stage) Produce(p event.Partition, node int32, acks int16, d time.Duration, values ...string) (offset int64, err error) {
	offset = -1
	req := produceOne(p, acks, d, s.r.admin.loop.UnixMilli(), values)
	err = s.ask(p, node, req, d+grace, acks == 0, func(resp kmsg.Response) error {
		answer := &resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		offset = answer.BaseOffset
		return kerr.ErrorForCode(answer.ErrorCode)
	})
	return offset, err
}

func produceOne(p event.Partition, acks int16, d time.Duration, now int64, values []string) *kmsg.ProduceRequest {
	b := record.NewBuilder(nil, record.BatchOptions{LeaderEpoch: -1, ProducerID: record.NoProducerID, BaseTimestamp: now})
	for _, v := range values {
		b.Append(now, nil, []byte(v))
	}
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, acks, int32(d.Milliseconds())
	t := kmsg.NewProduceRequestTopic()
	t.Topic = p.Topic
	tp := kmsg.NewProduceRequestTopicPartition()
	tp.Partition, tp.Records = p.Index, b.Build()
	t.Partitions = append(t.Partitions, tp)
	req.Topics = append(req.Topics, t)
	return req
}

// Fetch reads as a consumer does, from the start of the log as far as it is committed, from a node or from the
// leader if node is 0.
func (s *Stage) Fetch(p event.Partition, node int32) (values []string, err error) {
	err = s.ask(p, node, fetchOne(p), grace, false, func(resp kmsg.Response) error {
		answer := &resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		eachRecord(answer.RecordBatches, func(r record.Record, _ int64, _ int32) {
			values = append(values, string(r.Value))
		})
		return kerr.ErrorForCode(answer.ErrorCode)
	})
	return values, err
}

func fetchOne(p event.Partition) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes = 11, maxAnswer
	t := kmsg.NewFetchRequestTopic()
	t.Topic = p.Topic
	tp := kmsg.NewFetchRequestTopicPartition()
	tp.Partition, tp.PartitionMaxBytes = p.Index, maxAnswer
	t.Partitions = append(t.Partitions, tp)
	req.Topics = append(req.Topics, t)
	return req
}

// eachRecord walks batches and reports whether they are sound to the end.
func eachRecord(batches []byte, f func(r record.Record, offset int64, epoch int32)) bool {
	for len(batches) > 0 {
		b, rest, err := record.Parse(batches)
		if err != nil || !b.CheckCRC() {
			return false
		}
		_ = b.Each(nil, func(r record.Record) error {
			f(r, b.BaseOffset()+int64(r.OffsetDelta), b.LeaderEpoch())
			return nil
		})
		batches = rest
	}
	return true
}

// Log describes each node's log of a partition: a line a node that has one, its batches as values@offset:epoch.
func (s *Stage) Log(p event.Partition) (lines []string) {
	for _, n := range s.r.cluster.nodes {
		if line := s.logOf(n, p); line != "" {
			lines = append(lines, n.name+": "+line)
		}
	}
	return lines
}

func (s *Stage) logOf(n *Node, p event.Partition) string {
	var text strings.Builder
	hosted := false
	for _, name := range n.disk.Names() {
		if strings.HasPrefix(name, p.String()+"/") && isSegment(name) {
			hosted = true
			describeSegment(&text, n.disk.Peek(name))
		}
	}
	if hosted && text.Len() == 0 {
		text.WriteString("empty")
	}
	switch {
	case !hosted:
	case n.broker == nil:
		text.WriteString(" (down)")
	case n.broker.Replicas() != nil && n.broker.Replicas().Partition(p) != nil:
		fmt.Fprintf(&text, " hw=%d", n.broker.Replicas().Partition(p).HighWatermark())
	}
	return strings.TrimSpace(text.String())
}

func describeSegment(text *strings.Builder, batches []byte) {
	sound := eachRecord(batches, func(r record.Record, offset int64, epoch int32) {
		fmt.Fprintf(text, " %s@%d:%d", r.Value, offset, epoch)
	})
	if !sound {
		text.WriteString(" damaged")
	}
}

// Partition describes a partition as the newest metadata has it.
func (s *Stage) Partition(p event.Partition) string {
	img := s.r.cluster.image()
	if img == nil || img.Partition(p) == nil {
		return "unknown"
	}
	reg := img.Partition(p)
	return fmt.Sprintf("leader %d epoch %d isr %v elr %v", reg.Leader, reg.LeaderEpoch, reg.ISR, reg.ELR)
}

// Quorum describes each voter: its role, and what of the election it cannot forget.
func (s *Stage) Quorum() (lines []string) {
	for _, id := range controllerIDs(&s.r.schedule.Options.Cluster) {
		n, role := s.r.cluster.byID(id), "down"
		if n.Up() && n.broker.Raft() != nil {
			role = n.broker.Raft().State()
		}
		lines = append(lines, fmt.Sprintf("%s: %s; synced: %s", n.name, role, describeElection(n.disk.PeekDurable(quorumStateFile))))
	}
	return lines
}

const quorumStateFile = "__cluster_metadata-0/quorum-state"

func describeElection(file []byte) string {
	var e struct{ LeaderEpoch, LeaderID, VotedID int32 }
	if err := json.Unmarshal(file, &e); err != nil {
		return "nothing"
	}
	return fmt.Sprintf("epoch %d leader %d voted %d", e.LeaderEpoch, e.LeaderID, e.VotedID)
}

// LeaderIs and the others are conditions to wait for.
func LeaderIs(p event.Partition, node int32) func(*Cluster) bool {
	return func(c *Cluster) bool {
		n := c.byID(node)
		if n == nil || !n.Up() || n.broker.Replicas() == nil {
			return false
		}
		part := n.broker.Replicas().Partition(p)
		return part != nil && part.IsLeader() && c.leader(p) == n
	}
}

// ISRIs holds when the newest metadata has that ISR.
func ISRIs(p event.Partition, ids ...int32) func(*Cluster) bool {
	return func(c *Cluster) bool {
		img := c.image()
		if img == nil || img.Partition(p) == nil {
			return false
		}
		isr := slices.Clone(img.Partition(p).ISR)
		slices.Sort(isr)
		return slices.Equal(isr, ids)
	}
}

// VoterIs holds when a node has a role in the quorum, as event.RaftBecame names it.
func VoterIs(node int32, role string) func(*Cluster) bool {
	return func(c *Cluster) bool {
		n := c.byID(node)
		return n != nil && n.Up() && n.broker.Raft() != nil && n.broker.Raft().State() == role
	}
}

// ControllerIs holds when a node is the active controller; any if node is 0.
func ControllerIs(node int32) func(*Cluster) bool {
	return func(c *Cluster) bool {
		n := c.controller()
		return n != nil && (node == 0 || n.id == node)
	}
}

// IsWell holds when every node is ready, every partition led and every ISR full.
func IsWell(c *Cluster) bool { return c.ailment() == "" }

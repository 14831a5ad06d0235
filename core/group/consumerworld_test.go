package group

import (
	"fmt"
	"strings"

	"github.com/lockstep/lockstep/core/metadata"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicID is the id that a test's topic has in its n-th life.
func topicID(name string, life byte) (id [16]byte) {
	copy(id[1:], name)
	id[0], id[15] = 1, life
	return id
}

// setTopic has a topic exist with so many partitions, in its first life; none: it is gone.
func (w *world) setTopic(name string, partitions int) { w.setTopicOf(name, 1, partitions) }

func (w *world) setTopicOf(name string, life byte, partitions int) {
	w.Helper()
	next := w.image.Clone()
	d := &metadata.Delta{Topics: []string{name}}
	apply := func(r metadata.Record) {
		if err := next.Apply(r); err != nil {
			w.Fatal(err)
		}
	}
	if old := next.Topic(name); old != nil && (old.ID != topicID(name, life) || partitions == 0) {
		apply(&metadata.RemoveTopicRecord{TopicID: old.ID})
		d.Deleted = append(d.Deleted, metadata.TopicRef{Name: name, ID: old.ID})
	}
	if partitions > 0 && next.Topic(name) == nil {
		apply(&metadata.TopicRecord{Name: name, TopicID: topicID(name, life)})
	}
	for i := range partitions {
		if next.Topic(name).Partition(int32(i)) == nil {
			apply(&metadata.PartitionRecord{PartitionID: int32(i), TopicID: topicID(name, life), Replicas: []int32{1}, Isr: []int32{1}, Leader: 1})
		}
	}
	next.SetOffset(w.image.Offset()+10, 1)
	w.image = next
	w.machine.coordinator.noteTopics(w.image, d)
	w.machine.forgetTopics(d.Deleted)
}

// native is a client of the consumer protocol, of group g.
type native struct {
	*world
	id       string
	instance *string
	rack     *string
	assignor *string
	topics   []string
	regex    string
	version  int16
	epoch    int32
	has      partitionSet // that it reads
	told     partitionSet // that it is to read
}

func (w *world) native(id string, topics ...string) *native {
	return &native{world: w, id: id, topics: topics, version: 1, has: partitionSet{}, told: partitionSet{}}
}

// request is a heartbeat that says all, or only what the client has.
func (c *native) request(all bool) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch, req.InstanceID = c.version, "g", c.id, c.epoch, c.instance
	if all {
		req.RebalanceTimeoutMillis, req.RackID, req.ServerAssignor = 10_000, c.rack, c.assignor
		req.SubscribedTopicNames = append([]string{}, c.topics...)
		if c.version >= 1 {
			req.SubscribedTopicRegex = &c.regex
		}
	}
	req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	for _, t := range c.has.byTopic() {
		req.Topics = append(req.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: t.topic, Partitions: t.partitions})
	}
	return req
}

func (w *world) heartbeatOf(req *kmsg.ConsumerGroupHeartbeatRequest) *call[*kmsg.ConsumerGroupHeartbeatResponse] {
	c := &call[*kmsg.ConsumerGroupHeartbeatResponse]{w: w, what: fmt.Sprintf("heartbeat of %s in epoch %d", req.MemberID, req.MemberEpoch)}
	if err := w.machine.coordinator.checkConsumerHeartbeat(req); err != nil {
		c.take(consumerHeartbeatError(err))
		return c
	}
	w.machine.consumerHeartbeat(req, Client{"client", "/host"}, c.take)
	return c
}

// beat sends a heartbeat and does as it is told, but revokes and takes nothing yet.
func (c *native) beat(all bool) error {
	c.Helper()
	return c.hear(c.heartbeatOf(c.request(all)).now())
}

func (c *native) hear(resp *kmsg.ConsumerGroupHeartbeatResponse) error {
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		if err == kerr.FencedMemberEpoch || err == kerr.UnknownMemberID {
			c.epoch, c.has, c.told = 0, partitionSet{}, partitionSet{}
		}
		return err
	}
	c.id, c.epoch = *resp.MemberID, resp.MemberEpoch
	if resp.Assignment != nil {
		c.told = partitionSet{}
		for _, t := range resp.Assignment.Topics {
			for _, p := range t.Partitions {
				c.told[topicPartition{t.TopicID, p}] = 0
			}
		}
	}
	return nil
}

// revoke gives up what the client is not to have.
func (c *native) revoke() {
	_, c.has = c.has.split(c.told.has)
}

// take reads what the client is to have, once it has given up the rest.
func (c *native) take() {
	c.revoke()
	c.has = c.has.union(c.told)
}

// join joins or joins again, and must succeed.
func (c *native) join() *native {
	c.Helper()
	c.epoch, c.has = 0, partitionSet{}
	if err := c.beat(true); err != nil {
		c.Fatalf("%s joins: %v", c.id, err)
	}
	c.take()
	return c
}

// leave sends epoch -1, or -2.
func (c *native) leave(epoch int32) error {
	c.Helper()
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch, req.InstanceID = c.version, "g", c.id, epoch, c.instance
	err := kerr.ErrorForCode(c.heartbeatOf(req).now().ErrorCode)
	if err == nil {
		c.has, c.told, c.epoch = partitionSet{}, partitionSet{}, 0
	}
	return err
}

// settle has clients send heartbeats, a second apart, until none is told anything new twice in a row.
func (w *world) settle(clients ...*native) {
	w.Helper()
	quiet := 0
	for range 30 {
		w.pass(w.cfg.Timing("g").AssignmentInterval)
		quiet++
		for _, c := range clients {
			before, told := c.epoch, c.told
			if err := c.beat(false); err != nil {
				w.Fatalf("%s: %v", c.id, err)
			}
			if before != c.epoch || !c.told.equal(told) || !c.has.samePartitions(c.told) {
				quiet = 0
			}
			c.take()
		}
		if quiet == 2 {
			return
		}
	}
	w.Fatal("clients are told something new all the time")
}

// reads are the partitions that a client reads, as text.
func (c *native) reads() string { return named(c.has) }

func named(s partitionSet) string {
	var names []string
	for _, p := range s.sorted() {
		name := strings.TrimRight(string(p.topic[1:15]), "\x00")
		if p.topic[15] != 1 {
			name = fmt.Sprint(name, "#", p.topic[15])
		}
		names = append(names, fmt.Sprint(name, "-", p.index))
	}
	return strings.Join(names, " ")
}

func (w *world) expectReads(want map[*native]string) {
	w.Helper()
	for c, partitions := range want {
		if got := c.reads(); got != partitions {
			w.Errorf("%s reads %q, want %q", c.id, got, partitions)
		}
	}
}

func (w *world) consumer() *consumerGroup {
	w.Helper()
	c := w.machine.consumer("g")
	if c == nil {
		w.Fatal("there is no such consumer group")
	}
	return c
}

// checkConsumers compares what a group keeps beside its members with them.
func checkConsumers(t rapidTB, c *consumerGroup) {
	t.Helper()
	owners, matched, static := map[topicPartition]string{}, map[string]int{}, 0
	for _, mb := range c.sorted() {
		for _, s := range []partitionSet{mb.assigned, mb.revoking} {
			for _, p := range s.sorted() {
				if other, owned := owners[p]; owned {
					t.Fatalf("%s is %s's and %s's", named(partitionSet{p: 0}), other, mb.id)
				}
				owners[p] = mb.id
			}
		}
		if mb.instanceID != nil {
			static++
			if c.static[*mb.instanceID] != mb.id {
				t.Fatalf("instance %s is %s, not %s", *mb.instanceID, c.static[*mb.instanceID], mb.id)
			}
		}
		if mb.regex != "" {
			matched[mb.regex]++
		}
	}
	if len(owners) != len(c.owners) || static != len(c.static) || len(matched) != len(c.matched) {
		t.Fatalf("%d owners, kept %d; %d static, kept %d; %v, kept %v", len(owners), len(c.owners), static, len(c.static), matched, c.matched)
	}
	for p, id := range c.owners {
		if owners[p] != id {
			t.Fatalf("%v is %s's, kept as %s's", p, owners[p], id)
		}
	}
}

// state is all of a consumer group that is in records, as text.
func (c *consumerGroup) state() string {
	var b strings.Builder
	fmt.Fprintf(&b, "epoch %d hash %d, assigned %d at %d, old %v\n", c.epoch, c.metadataHash, c.assignmentEpoch, c.assignedAt, c.oldMetadata)
	for _, mb := range c.sorted() {
		fmt.Fprintf(&b, "%s: epoch %d after %d, state %d, %s, revoking %s, target %s, %v %v %v %q\n",
			mb.id, mb.epoch, mb.previousEpoch, mb.state, named(mb.assigned), named(mb.revoking), named(c.target[mb.id]), mb.client, mb.topics, mb.rebalanceTimeout, mb.regex)
		for _, p := range mb.assigned.sorted() {
			fmt.Fprint(&b, " ", mb.assigned[p])
		}
		if mb.isClassic() {
			fmt.Fprintf(&b, " classic %+v", *mb.classic)
		}
	}
	for _, regex := range sortedKeys(c.regexes) {
		fmt.Fprintf(&b, "%q: %+v\n", regex, *c.regexes[regex])
	}
	return b.String()
}

// expectSameAfterLoading checks that a successor finds the group as it is, from the whole log and from a compacted one.
func (w *world) expectSameAfterLoading() {
	w.Helper()
	want := w.consumer().state()
	for _, compacted := range []string{"no", "with tombstones", "without tombstones"} {
		if compacted != "no" {
			w.compact(compacted == "with tombstones")
		}
		w.reload()
		if got := w.consumer().state(); got != want {
			w.Errorf("compacted: %s; got\n%swant\n%s", compacted, got, want)
		}
	}
}

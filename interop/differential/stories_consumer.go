package differential

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// consumerStories are about groups of the consumer protocol in which more than one member lives (KIP-848). Members choose the range assignor, which puts
// partitions where nothing is left to an order of maps.
func consumerStories() []story {
	return []story{
		{68, "consumer group reconciles", consumersReconcile},
		{68, "consumer group of static members", staticConsumers},
		{68, "consumer group by regular expression", consumersByRegex},
		{68, "consumer group of both protocols", bothProtocols},
	}
}

// assignmentInterval is longer than group.consumer.assignment.interval.ms.
const assignmentInterval = 1200 * time.Millisecond

// native is a member that sends heartbeats.
type native struct {
	*talk
	group, id string
	epoch     int32
	more      M // that it says in each heartbeat
}

// say sends a heartbeat; partitions are those of the topic that the member has.
func (n *native) say(label, topic string, partitions []int, change M) {
	owned := L{}
	if len(partitions) > 0 {
		var ps L
		for _, p := range partitions {
			ps = append(ps, p)
		}
		owned = append(owned, M{"TopicID": n.topicIDs[topic], "Partitions": ps})
	}
	m := M{"Group": n.group, "MemberID": n.id, "MemberEpoch": int(n.epoch), "RebalanceTimeoutMillis": -1, "Topics": owned}
	if n.epoch == 0 {
		m["RebalanceTimeoutMillis"], m["ServerAssignor"] = 10000, "range"
		m["SubscribedTopicNames"] = L{topic}
	}
	for _, fields := range []M{n.more, change} {
		for k, v := range fields { // order: fields are apart
			m[k] = v
		}
	}
	if resp, ok := n.ask(label, 68, m).(*kmsg.ConsumerGroupHeartbeatResponse); ok && resp.ErrorCode == 0 {
		n.epoch = resp.MemberEpoch
	}
}

func (t *talk) describeConsumers(label, group string) {
	t.ask(label, 69, M{"Groups": L{group}})
}

func (t *talk) commitAs(label, group, topic, member string, epoch int32, partition int) {
	t.ask(label, 8, M{"Group": group, "Generation": int(epoch), "MemberID": member, "Topics": L{t.committing(topic, partition, 5, "")}})
}

func consumersReconcile(t *talk) {
	topic, group := t.topic("t", 3), t.name("g")
	time.Sleep(assignmentInterval) // Kafka's coordinator hears of topics a little later than others
	a, b := &native{talk: t, group: group, id: "one"}, &native{talk: t, group: group, id: "two"}
	a.say("a joins", topic, nil, nil)
	b.say("b joins, too early", topic, nil, nil)
	t.describeConsumers("assigning", group)
	time.Sleep(assignmentInterval)
	b.say("b again", topic, nil, nil)
	t.describeConsumers("reconciling", group)
	a.say("a says nothing of its partitions", topic, nil, M{"Topics": nil})
	a.say("a has all yet", topic, []int{0, 1, 2}, nil)
	b.say("b waits", topic, nil, nil)
	t.commitAs("a commits what it is to give up", group, topic, a.id, a.epoch, 2)
	old := a.epoch
	a.say("a has given one up", topic, []int{0, 1}, nil)
	t.commitAs("a commits what it has given up", group, topic, a.id, old, 2)
	t.commitAs("a commits what it has, in the epoch before", group, topic, a.id, old, 1)
	t.commitAs("a commits in an epoch to come", group, topic, a.id, a.epoch+1, 1)
	t.commitAs("nobody commits", group, topic, "x", a.epoch, 1)
	t.commitAs("an administrator commits", group, topic, "", -1, 1)
	a.epoch = old
	a.say("a has not heard that", topic, []int{0, 1}, nil)
	b.say("b gets it", topic, nil, nil)
	t.describeConsumers("stable", group)
	t.mine("listed", 16, M{"TypesFilter": L{"consumer"}})
	t.ask("offsets of a, in an old epoch", 9, M{"Groups": L{M{"Group": group, "MemberID": a.id, "MemberEpoch": int(old), "Topics": nil}}})
	t.ask("offsets of a", 9, M{"Groups": L{M{"Group": group, "MemberID": a.id, "MemberEpoch": int(a.epoch), "Topics": nil}}})
	t.ask("its offset cannot be deleted", 47, M{"Group": group, "Topics": L{M{"Topic": topic, "Partitions": L{M{"Partition": 1}}}}})
	t.ask("nor can it", 42, M{"Groups": L{group}})
	a.say("a wants nothing any more", topic, []int{0, 1}, M{"SubscribedTopicNames": L{}, "RebalanceTimeoutMillis": 10000})
	a.say("a has given all up", topic, nil, nil)
	b.say("b leaves", topic, nil, M{"MemberEpoch": -1})
	a.epoch = 0
	a.say("a joins again", topic, nil, nil)
	a.say("a leaves", topic, nil, M{"MemberEpoch": -1})
	t.describeConsumers("empty", group)
	t.ask("deleted", 42, M{"Groups": L{group}})
	t.describeConsumers("gone", group)
}

func staticConsumers(t *talk) {
	topic, group := t.topic("t", 2), t.name("g")
	time.Sleep(assignmentInterval)
	a := &native{talk: t, group: group, id: "a", more: M{"InstanceID": "i"}}
	a.say("a joins", topic, nil, nil)
	a.say("a leaves for a while", topic, nil, M{"MemberEpoch": -2})
	t.describeConsumers("away", group)
	again := &native{talk: t, group: group, id: "b", more: M{"InstanceID": "i"}}
	again.say("another one has its place", topic, nil, nil)
	a.say("a is back, too late", topic, []int{0, 1}, nil)
	t.describeConsumers("back", group)
	t.ask("an administrator removes it", 13, M{"Group": group, "Members": L{M{"InstanceID": "i"}, M{"InstanceID": "j"}}})
	again.say("it is gone", topic, []int{0, 1}, nil)
}

func consumersByRegex(t *talk) {
	topic, group := t.topic("re", 1), t.name("g")
	a := &native{talk: t, group: group, id: "a", more: M{"SubscribedTopicNames": L{}, "SubscribedTopicRegex": t.prefix + "re.*"}}
	a.say("a joins", topic, nil, nil)
	time.Sleep(assignmentInterval)
	a.say("it is resolved", topic, nil, nil)
	t.describeConsumers("stable", group)
	a.say("a wants a name", topic, []int{0}, M{"SubscribedTopicNames": L{topic}, "SubscribedTopicRegex": ""})
}

func bothProtocols(t *talk) {
	topic, group := t.topic("t", 2), t.name("g")
	time.Sleep(assignmentInterval)
	subscription := kmsg.NewConsumerMemberMetadata()
	subscription.Version, subscription.Topics = 1, []string{topic}
	join := func(label, group, member string) (string, int32) {
		m := joining(group, member)
		m["Protocols"] = L{M{"Name": "range", "Metadata": subscription.AppendTo(nil)}}
		resp, _ := t.ask(label, 11, m).(*kmsg.JoinGroupResponse)
		if resp == nil {
			return "", -1
		}
		return resp.MemberID, resp.Generation
	}
	a := &native{talk: t, group: group, id: "+a"} // before any that Kafka draws
	a.say("a native member joins", topic, nil, nil)
	id, _ := join("a classic one is given its id", group, "")
	time.Sleep(assignmentInterval)
	_, generation := join("it joins", group, id)
	sync := func(label string) {
		t.ask(label, 14, M{"Group": group, "MemberID": id, "Generation": int(generation), "ProtocolType": "consumer", "Protocol": "range", "GroupAssignment": L{}})
	}
	sync("it syncs")
	beat := func(label string) {
		t.ask(label, 12, M{"Group": group, "MemberID": id, "Generation": int(generation)})
	}
	beat("it waits")
	a.say("the native one is to give one up", topic, []int{0, 1}, nil)
	a.say("it has done so, if it had to", topic, []int{0}, nil)
	beat("the classic one is to join again")
	a.say("the native one leaves", topic, nil, M{"MemberEpoch": -1})
	t.describeConsumers("it is a classic group now", group)
	t.mine("listed", 16, M{})
	beat("the classic one is to join again")
	t.ask("it leaves", 13, M{"Group": group, "Members": L{M{"MemberID": id}}})
	a.epoch = 0
	a.say("a native member joins the empty group", topic, nil, nil)
	t.describeConsumers("it is a consumer group again", group)
}

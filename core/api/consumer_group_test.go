package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// native is a member of group g that speaks the consumer protocol.
type native struct {
	*client
	version  int16
	id       string
	epoch    int32
	topics   []string
	assigned map[[16]byte][]int32
	interval int32
}

func (x *client) native(version int16, id string, topics ...string) *native {
	return &native{client: x, version: version, id: id, topics: topics}
}

func (n *native) request() *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch = n.version, "g", n.id, n.epoch
	req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	if n.epoch == 0 {
		req.RebalanceTimeoutMillis, req.SubscribedTopicNames = 10_000, n.topics
		return req
	}
	for topic, partitions := range n.assigned {
		req.Topics = append(req.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: topic, Partitions: partitions})
	}
	return req
}

// beat sends a heartbeat and does as it is told at once.
func (n *native) beat() *kerr.Error {
	n.Helper()
	resp := ask[*kmsg.ConsumerGroupHeartbeatResponse](n.client, n.request())
	if resp.ErrorCode != 0 {
		if resp.ErrorMessage == nil || *resp.ErrorMessage == "" {
			n.Errorf("error %d has no message", resp.ErrorCode)
		}
		return kerr.TypedErrorForCode(resp.ErrorCode)
	}
	n.id, n.epoch, n.interval = *resp.MemberID, resp.MemberEpoch, resp.HeartbeatIntervalMillis
	if resp.Assignment != nil {
		n.assigned = map[[16]byte][]int32{}
		for _, t := range resp.Assignment.Topics {
			n.assigned[t.TopicID] = t.Partitions
		}
	}
	return nil
}

func (n *native) mustBeat() {
	n.Helper()
	if err := n.beat(); err != nil {
		n.Fatalf("%s in epoch %d: %v", n.id, n.epoch, err)
	}
}

func (n *native) size() (size int) {
	for _, partitions := range n.assigned {
		size += len(partitions)
	}
	return size
}

// settle has members send heartbeats until each has as many partitions as wanted.
func settle(want int, members ...*native) {
	members[0].Helper()
	members[0].until(fmt.Sprint("each has ", want), func() bool {
		members[0].wait(time.Second)
		all := true
		for _, n := range members {
			n.mustBeat()
			all = all && n.size() == want
		}
		return all
	})
}

func (n *native) leave() *kerr.Error {
	n.Helper()
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch = n.version, "g", n.id, -1
	return kerr.TypedErrorForCode(ask[*kmsg.ConsumerGroupHeartbeatResponse](n.client, req).ErrorCode)
}

func (x *client) describeConsumers(version int16, groups ...string) []kmsg.ConsumerGroupDescribeResponseGroup {
	x.Helper()
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Version, req.Groups, req.IncludeAuthorizedOperations = version, groups, true
	return ask[*kmsg.ConsumerGroupDescribeResponse](x, req).Groups
}

func TestConsumerGroupLivesInEveryVersion(t *testing.T) {
	x := quickGroups(t, 1)
	id := x.topic("t", 4)
	for version := int16(0); version <= 1; version++ {
		a, b := x.native(version, "", "t"), x.native(version, "", "t")
		if version == 1 {
			a.id, b.id = "a", "b"
		}
		a.mustBeat()
		b.mustBeat()
		settle(2, a, b)
		if a.id == "" || a.interval != 5000 || a.epoch != b.epoch {
			t.Errorf("v%d: %+v", version, a)
		}
		g := x.describeConsumers(version, "g", "g", "none", "")
		if len(g) != 3 {
			t.Fatalf("%d groups", len(g))
		}
		x.code("none", g[1].ErrorCode, kerr.GroupIDNotFound)
		x.code("no name", g[2].ErrorCode, kerr.InvalidGroupID)
		if g[0].State != "Stable" || g[0].Epoch != a.epoch || g[0].AssignmentEpoch != a.epoch || g[0].AssignorName != "uniform" || len(g[0].Members) != 2 || g[0].AuthorizedOperations < 0 {
			t.Errorf("%+v", g[0])
		}
		for _, m := range g[0].Members {
			ofMember, ofTarget := m.Assignment.TopicPartitions, m.TargetAssignment.TopicPartitions
			if len(ofMember) != 1 || ofMember[0].Topic != "t" || ofMember[0].TopicID != id || fmt.Sprint(ofMember[0].Partitions) != fmt.Sprint(ofTarget[0].Partitions) ||
				fmt.Sprint(m.SubscribedTopics) != "[t]" || m.ClientID != "test" || !strings.HasPrefix(m.ClientHost, "/") || m.MemberEpoch != a.epoch || version == 1 && m.MemberType != 1 {
				t.Errorf("%+v", m)
			}
		}
		if err := b.leave(); err != nil {
			t.Error(err)
		}
		settle(4, a)
		if err := a.leave(); err != nil {
			t.Error(err)
		}
		if g := x.describeConsumers(version, "g"); g[0].State != "Empty" {
			t.Errorf("%+v", g[0])
		}
	}
}

func TestOtherRequestsKnowConsumerGroups(t *testing.T) {
	x := quickGroups(t, 1)
	id := x.topic("t", 1)
	a := x.native(1, "a", "t")
	a.mustBeat()

	list := kmsg.NewPtrListGroupsRequest()
	list.Version, list.TypesFilter, list.StatesFilter = 5, []string{"Consumer"}, []string{"stable"}
	if groups := ask[*kmsg.ListGroupsResponse](x, list).Groups; len(groups) != 1 || groups[0].GroupType != "consumer" || groups[0].ProtocolType != "consumer" || groups[0].GroupState != "Stable" {
		t.Errorf("%+v", groups)
	}
	list.TypesFilter = []string{"classic"}
	if groups := ask[*kmsg.ListGroupsResponse](x, list).Groups; len(groups) != 0 {
		t.Errorf("%+v", groups)
	}
	if g := x.describe(5, "g"); g.State != "Dead" || g.ErrorCode != 0 {
		t.Errorf("%+v", g)
	}
	x.code("describe as a classic one", x.describe(6, "g").ErrorCode, kerr.GroupIDNotFound)

	for epoch, want := range map[int32]*kerr.Error{a.epoch: nil, a.epoch - 1: kerr.StaleMemberEpoch, a.epoch + 1: kerr.StaleMemberEpoch, -1: kerr.UnknownMemberID} {
		for _, version := range []int16{9, 10} {
			req := commitRequest(version, "t", id, 42, nil)
			if req.Generation = epoch; epoch >= 0 {
				req.MemberID = "a"
			}
			x.code(fmt.Sprintf("commit v%d in epoch %d", version, epoch), ask[*kmsg.OffsetCommitResponse](x, req).Topics[0].Partitions[0].ErrorCode, want)
		}
	}
	old := commitRequest(8, "t", id, 43, nil)
	old.MemberID, old.Generation = "a", a.epoch
	x.code("commit that knows no epochs", ask[*kmsg.OffsetCommitResponse](x, old).Topics[0].Partitions[0].ErrorCode, kerr.UnsupportedVersion)
	fetch := fetchOffsetsRequest(9, "t", id, 0)
	for epoch, want := range map[int32]*kerr.Error{a.epoch: nil, a.epoch - 1: kerr.StaleMemberEpoch} {
		fetch.Groups[0].MemberID, fetch.Groups[0].MemberEpoch = kmsg.StringPtr("a"), epoch
		x.code(fmt.Sprint("fetch in epoch ", epoch), ask[*kmsg.OffsetFetchResponse](x, fetch).Groups[0].ErrorCode, want)
	}
	if got := x.fetchOffset(9, "t", id); got.offset != 42 {
		t.Errorf("%+v", got)
	}

	x.code("delete the offset of a topic that is read", x.deleteOffset("g", "t", 0).Topics[0].Partitions[0].ErrorCode, kerr.GroupSubscribedToTopic)
	x.code("delete the group", x.deleteGroup("g"), kerr.NonEmptyGroup)
	if err := a.leave(); err != nil {
		t.Error(err)
	}
	x.code("delete the offset", x.deleteOffset("g", "t", 0).Topics[0].Partitions[0].ErrorCode, nil)
	x.code("delete the group", x.deleteGroup("g"), nil)
	x.code("it is gone", x.describeConsumers(1, "g")[0].ErrorCode, kerr.GroupIDNotFound)
}

func TestConsumerGroupOutlivesItsCoordinator(t *testing.T) {
	x := quickGroups(t, 3, "broker.session.timeout.ms=2000", "broker.heartbeat.interval.ms=300")
	x.topicOf("t", 2, 3)
	a, b := x.native(1, "a", "t"), x.native(1, "b", "t")
	a.mustBeat()
	b.mustBeat()
	settle(1, a, b)
	epoch := a.epoch
	first := x.awaitCoordinator(0, "g")
	n := x.nodes[first-1]
	n.loop.Kill()
	n.disk.Kill()
	n.host.Crash(false)
	y := x.dial(first%3+1, clientPort)
	y.until("another coordinates", func() bool {
		y.wait(100 * time.Millisecond)
		resp := ask[*kmsg.FindCoordinatorResponse](y, findCoordinatorRequest(3, 0, "g"))
		if resp.ErrorCode != 0 || resp.NodeID == first {
			return false
		}
		a.client, b.client = x.dial(resp.NodeID, clientPort), x.dial(resp.NodeID, clientPort)
		return true
	})
	a.until("it knows the member", func() bool { a.wait(100 * time.Millisecond); return a.beat() == nil })
	settle(1, a, b)
	if a.epoch != epoch {
		t.Errorf("epoch %d after %d", a.epoch, epoch)
	}
}

func TestConsumerGroupsConfigsTakeEffect(t *testing.T) {
	x := quickGroups(t, 1, "group.consumer.min.session.timeout.ms=1000", "group.consumer.min.heartbeat.interval.ms=100", "group.consumer.assignors=range", "group.consumer.max.size=2")
	x.topic("t", 2)
	a, b := x.native(1, "a", "t"), x.native(1, "b", "t")
	a.mustBeat()
	b.mustBeat()
	if err := x.native(1, "c", "t").beat(); err != kerr.GroupMaxSizeReached {
		t.Errorf("a third member: %v", err)
	}
	req := x.native(1, "a", "t").request()
	req.ServerAssignor = kmsg.StringPtr("uniform")
	x.code("another assignor", ask[*kmsg.ConsumerGroupHeartbeatResponse](x, req).ErrorCode, kerr.UnsupportedAssignor)
	alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
	alter.Version = 1
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeGroupConfig, "g"
	for key, value := range map[string]string{"consumer.session.timeout.ms": "2000", "consumer.heartbeat.interval.ms": "700"} {
		r.Configs = append(r.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: key, Value: &value})
	}
	alter.Resources = append(alter.Resources, r)
	x.code("alter", ask[*kmsg.IncrementalAlterConfigsResponse](x, alter).Resources[0].ErrorCode, nil)
	x.until("the interval is the group's own", func() bool { a.mustBeat(); return a.interval == 700 })
	settle(1, a, b)
	x.wait(1900 * time.Millisecond)
	a.mustBeat()
	x.wait(200 * time.Millisecond)
	if err := b.beat(); err != kerr.UnknownMemberID {
		t.Errorf("b after its session: %v", err)
	}
	settle(2, a)
	if g := x.describeConsumers(1, "g")[0]; g.AssignorName != "range" {
		t.Errorf("%+v", g)
	}
}

func TestConsumerProtocolCanBeLeftOut(t *testing.T) {
	x := quickGroups(t, 1, "group.coordinator.rebalance.protocols=classic")
	if err := x.native(1, "a", "t").beat(); err != kerr.UnsupportedVersion {
		t.Errorf("heartbeat: %v", err)
	}
	x.code("describe", x.describeConsumers(1, "g")[0].ErrorCode, kerr.UnsupportedVersion)
	for _, api := range x.served() {
		if api.ApiKey == 68 || api.ApiKey == 69 {
			t.Errorf("key %d is said to be served", api.ApiKey)
		}
	}
}

func TestTopicsOfAConsumerGroupChange(t *testing.T) {
	x := quickGroups(t, 1)
	a := x.native(1, "a", "t", "u")
	a.mustBeat()
	if a.size() != 0 {
		t.Errorf("%v of no topics", a.assigned)
	}
	x.topic("t", 2)
	settle(2, a)
	x.topic("u", 1)
	settle(3, a)
	more := kmsg.NewPtrCreatePartitionsRequest()
	more.Version, more.TimeoutMillis, more.Topics = 3, 5000, []kmsg.CreatePartitionsRequestTopic{{Topic: "u", Count: 4}}
	x.code("more partitions", ask[*kmsg.CreatePartitionsResponse](x, more).Topics[0].ErrorCode, nil)
	settle(6, a)
	drop := kmsg.NewPtrDeleteTopicsRequest()
	drop.Version, drop.TimeoutMillis, drop.Topics = 6, 5000, []kmsg.DeleteTopicsRequestTopic{{Topic: kmsg.StringPtr("t")}}
	x.code("delete", ask[*kmsg.DeleteTopicsResponse](x, drop).Topics[0].ErrorCode, nil)
	settle(4, a)
}

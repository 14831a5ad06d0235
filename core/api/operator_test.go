package api_test

import (
	"slices"
	"testing"

	"github.com/lockstep/lockstep/core/event"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// assigned is a topic of one partition on these brokers.
func (x *client) assigned(name string, replicas ...int32) {
	x.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 10_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, -1, -1
	t.ReplicaAssignment = append(t.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Replicas: replicas})
	req.Topics = append(req.Topics, t)
	x.code("create "+name, ask[*kmsg.CreateTopicsResponse](x, req).Topics[0].ErrorCode, nil)
	x.until("all replicas of "+name+" are up", func() bool { return x.isUp(name) })
}

func reassignment(topic string, replicas []int32) *kmsg.AlterPartitionAssignmentsRequest {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.Version = 1
	t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	t.Topic = topic
	p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	p.Replicas = replicas
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func electLeaders(kind int8, topics ...kmsg.ElectLeadersRequestTopic) *kmsg.ElectLeadersRequest {
	req := kmsg.NewPtrElectLeadersRequest()
	req.Version, req.ElectionType, req.Topics = 2, kind, topics
	return req
}

// A partition moves to other brokers with its records; the replica that is left behind is deleted, and the directory with
// it.
func TestAPartitionIsMovedThroughAnyBroker(t *testing.T) {
	c := start(t, 3)
	x := c.dial(c.follower().id, clientPort)
	x.assigned("t", 1, 2)
	leader := c.dial(1, clientPort)
	for range 20 {
		leader.code("produce", leader.produce(9, -1, "t", [16]byte{}, plain("a", "b")).ErrorCode, nil)
	}
	moved := ask[*kmsg.AlterPartitionAssignmentsResponse](x, reassignment("t", []int32{3, 2}))
	x.code("reassign", moved.ErrorCode, nil)
	x.code("reassign t-0", moved.Topics[0].Partitions[0].ErrorCode, nil)

	id := event.Partition{Topic: "t"}
	c.until("the reassignment is done", func() bool {
		p := c.active().broker.Image().Partition(id)
		return slices.Equal(p.Replicas, []int32{3, 2}) && len(p.Adding)+len(p.Removing) == 0 && p.Leader == 3
	})
	c.until("the old replica is gone", func() bool {
		return c.nodes[0].broker.Replicas().Partition(id) == nil && !slices.ContainsFunc(c.nodes[0].disk.Names(), func(name string) bool { return name[0] == 't' })
	})
	left := ask[*kmsg.ListPartitionReassignmentsResponse](x, kmsg.NewPtrListPartitionReassignmentsRequest())
	if left.ErrorCode != 0 || len(left.Topics) != 0 {
		t.Errorf("still under way: %+v", left)
	}
	none := ask[*kmsg.AlterPartitionAssignmentsResponse](x, reassignment("t", nil))
	x.code("nothing to cancel", none.Topics[0].Partitions[0].ErrorCode, kerr.NoReassignmentInProgress)

	if end := c.nodes[2].broker.Replicas().Partition(id).Log().LogEndOffset(); end != 40 {
		t.Errorf("the new leader has %d records", end)
	}

	x.code("another order", ask[*kmsg.AlterPartitionAssignmentsResponse](x, reassignment("t", []int32{2, 3})).Topics[0].Partitions[0].ErrorCode, nil)
	elected := ask[*kmsg.ElectLeadersResponse](x, electLeaders(0))
	x.code("elect all", elected.Topics[0].Partitions[0].ErrorCode, nil)
	c.until("the preferred leader leads", func() bool { return c.nodes[1].broker.Replicas().Partition(id).IsLeader() })
}

func TestLeadersAreElectedThroughAnyBroker(t *testing.T) {
	c := start(t, 3)
	x := c.dial(c.follower().id, clientPort)
	x.assigned("t", 1, 2)
	named := []kmsg.ElectLeadersRequestTopic{{Topic: "t", Partitions: []int32{0}}, {Topic: "nobody", Partitions: []int32{0}}}
	preferred := ask[*kmsg.ElectLeadersResponse](x, electLeaders(0, named...))
	x.code("it leads", preferred.Topics[0].Partitions[0].ErrorCode, kerr.ElectionNotNeeded)
	x.code("there is no such topic", preferred.Topics[1].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
	unclean := ask[*kmsg.ElectLeadersResponse](x, electLeaders(1, named...))
	x.code("there is a leader", unclean.Topics[0].Partitions[0].ErrorCode, kerr.ElectionNotNeeded)
	x.code("no such election", ask[*kmsg.ElectLeadersResponse](x, electLeaders(7, named...)).ErrorCode, kerr.InvalidRequest)
	if all := ask[*kmsg.ElectLeadersResponse](x, electLeaders(0)); len(all.Topics) != 1 || len(all.Topics[0].Partitions) != 0 {
		t.Errorf("of all, those that need none are not told: %+v", all.Topics)
	}
}

func TestFeaturesAndBrokersAreManagedThroughAnyBroker(t *testing.T) {
	c := start(t, 3)
	x := c.dial(c.follower().id, clientPort)
	update := func(level int16, how int8) *kmsg.UpdateFeaturesRequest {
		req := kmsg.NewPtrUpdateFeaturesRequest()
		req.Version = 1
		req.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: "eligible.leader.replicas.version", MaxVersionLevel: level, UpgradeType: how}}
		return req
	}
	x.code("off by an upgrade", ask[*kmsg.UpdateFeaturesResponse](x, update(0, 1)).ErrorCode, kerr.InvalidUpdateVersion)
	off := ask[*kmsg.UpdateFeaturesResponse](x, update(0, 2))
	x.code("off", off.ErrorCode, nil)
	if len(off.Results) != 1 || c.active().broker.Image().Feature("eligible.leader.replicas.version") != 0 {
		t.Errorf("results %+v", off.Results)
	}

	unknown := kmsg.NewPtrUnregisterBrokerRequest()
	unknown.BrokerID = 9
	x.code("unregister nobody", ask[*kmsg.UnregisterBrokerResponse](x, unknown).ErrorCode, kerr.BrokerIDNotRegistered)
	living := kmsg.NewPtrUnregisterBrokerRequest()
	living.BrokerID = 2
	epoch := c.active().broker.Image().Broker(2).Epoch
	x.code("unregister", ask[*kmsg.UnregisterBrokerResponse](x, living).ErrorCode, nil)
	c.until("a broker that lives registers again", func() bool {
		b := c.active().broker.Image().Broker(2)
		return b != nil && b.Epoch > epoch && b.Active()
	})
}

func TestDescribeLogDirsTellsWhatIsThere(t *testing.T) {
	c := start(t, 1)
	x := c.client()
	x.topic("t", 2)
	x.topic("u", 1)
	x.code("produce", x.produce(9, -1, "t", [16]byte{}, plain("a", "b")).ErrorCode, nil)
	req := kmsg.NewPtrDescribeLogDirsRequest()
	req.Version = 4
	all := ask[*kmsg.DescribeLogDirsResponse](x, req)
	if len(all.Dirs) != 1 || len(all.Dirs[0].Topics) != 2 || all.Dirs[0].TotalBytes != -1 {
		t.Fatalf("%+v", all)
	}
	first := all.Dirs[0].Topics[0]
	if first.Topic != "t" || len(first.Partitions) != 2 || first.Partitions[0].Size == 0 || first.Partitions[1].Size != 0 || first.Partitions[0].IsFuture {
		t.Errorf("%+v", first)
	}
	req.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: "t", Partitions: []int32{1, 5}}, {Topic: "nobody", Partitions: []int32{0}}}
	if some := ask[*kmsg.DescribeLogDirsResponse](x, req).Dirs[0].Topics; len(some) != 1 || len(some[0].Partitions) != 1 {
		t.Errorf("of the named: %+v", some)
	}
}

// TestAReplicaIsWhereItMayBe: there is one directory.
func TestAReplicaIsWhereItMayBe(t *testing.T) {
	x := start(t, 1).client()
	x.topic("t", 1)
	described := kmsg.NewPtrDescribeLogDirsRequest()
	described.Version = 4
	here := ask[*kmsg.DescribeLogDirsResponse](x, described).Dirs[0].Dir
	req := kmsg.NewPtrAlterReplicaLogDirsRequest()
	req.Version = 2
	move := func(dir string) {
		req.Dirs = append(req.Dirs, kmsg.AlterReplicaLogDirsRequestDir{Dir: dir, Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: "t", Partitions: []int32{0, 9}}, {Topic: "nobody", Partitions: []int32{0}}}})
	}
	check := func(what string, want ...*kerr.Error) {
		t.Helper()
		told := ask[*kmsg.AlterReplicaLogDirsResponse](x, req).Topics
		if len(told) != 2 || len(told[0].Partitions) != 2 || len(told[1].Partitions) != 1 {
			t.Fatalf("%s: %+v", what, told)
		}
		for i, p := range append(told[0].Partitions, told[1].Partitions...) {
			x.code(what, p.ErrorCode, want[i])
		}
	}
	move(here)
	check("to where it is", nil, kerr.UnknownTopicOrPartition, kerr.UnknownTopicOrPartition)
	move("/somewhere/else")
	check("to nowhere", kerr.LogDirNotFound, kerr.LogDirNotFound, kerr.LogDirNotFound)
}

func TestADefaultOfAllBrokersIsATopicsDefault(t *testing.T) {
	c := start(t, 1)
	x := c.client()
	x.topic("t", 1)
	alter := func(name, key, value string) int16 {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Version = 1
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, name
		r.Configs = append(r.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: key, Value: &value})
		req.Resources = append(req.Resources, r)
		return ask[*kmsg.IncrementalAlterConfigsResponse](x, req).Resources[0].ErrorCode
	}
	x.code("not dynamic", alter("", "node.id", "3"), kerr.InvalidRequest)
	x.code("only its synonym is", alter("", "log.retention.minutes", "3"), kerr.InvalidRequest)
	x.code("of another broker", alter("2", "log.retention.ms", "3"), kerr.InvalidRequest)
	x.code("not a number", alter("", "log.retention.ms", "x"), kerr.InvalidRequest)
	x.code("of all", alter("", "log.retention.ms", " 180000 "), nil)
	x.until("the log knows", func() bool {
		return x.nodes[0].broker.Replicas().Partition(event.Partition{Topic: "t"}).Log().Config().RetentionMs == 180_000
	})
	for _, resource := range []struct {
		kind kmsg.ConfigResourceType
		name string
		key  string
	}{{kmsg.ConfigResourceTypeTopic, "t", "retention.ms"}, {kmsg.ConfigResourceTypeBroker, "1", "log.retention.ms"}, {kmsg.ConfigResourceTypeBroker, "", "log.retention.ms"}} {
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Version = 4
		req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: resource.kind, ResourceName: resource.name, ConfigNames: []string{resource.key}}}
		told := ask[*kmsg.DescribeConfigsResponse](x, req).Resources[0].Configs
		if len(told) != 1 || told[0].Source != kmsg.ConfigSourceDynamicDefaultBrokerConfig || told[0].ReadOnly {
			t.Errorf("%v %q: %+v", resource.kind, resource.name, told)
		}
	}
	x.code("of one broker", alter("1", "log.retention.ms", "5000"), nil)
	x.until("the log knows", func() bool {
		return x.nodes[0].broker.Replicas().Partition(event.Partition{Topic: "t"}).Log().Config().RetentionMs == 5000
	})
}

// All replicas delete what is too old, with the active segment; a consumer that was below is told so, and one that begins
// again goes on.
func TestRetentionDeletesOnLeaderAndFollowers(t *testing.T) {
	c := start(t, 3, "log.retention.check.interval.ms=1000")
	x := c.client()
	x.assigned("t", 1, 2, 3)
	for range 3 {
		x.code("produce", x.produce(9, -1, "t", [16]byte{}, plain("a", "b")).ErrorCode, nil)
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	short := "5000"
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, "t"
	r.Configs = append(r.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: "retention.ms", Value: &short})
	req.Resources = append(req.Resources, r)
	x.code("retention.ms", ask[*kmsg.IncrementalAlterConfigsResponse](x, req).Resources[0].ErrorCode, nil)
	c.until("all replicas are empty", func() bool {
		return !slices.ContainsFunc(c.nodes, func(n *node) bool {
			log := n.broker.Replicas().Partition(event.Partition{Topic: "t"}).Log()
			return log.LogStartOffset() != 6 || log.LogEndOffset() != 6 || log.Size() != 0
		})
	})
	below := ask[*kmsg.FetchResponse](x, fetchRequest(12, "t", [16]byte{}, 0, 3)).Topics[0].Partitions[0]
	x.code("below the log start", below.ErrorCode, kerr.OffsetOutOfRange)
	next := x.produce(9, -1, "t", [16]byte{}, plain("c"))
	x.code("produce", next.ErrorCode, nil)
	again := ask[*kmsg.FetchResponse](x, fetchRequest(12, "t", [16]byte{}, 0, 6)).Topics[0].Partitions[0]
	if next.BaseOffset != 6 || again.ErrorCode != 0 || len(again.RecordBatches) == 0 {
		t.Errorf("offset %d, then %v", next.BaseOffset, kerr.ErrorForCode(again.ErrorCode))
	}
}

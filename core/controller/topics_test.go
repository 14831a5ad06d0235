package controller

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/metadata"
)

func newTopicRequest(name string, partitions int32, factor int16) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, factor
	return t
}

func assigned(name string, partitions ...[]int32) kmsg.CreateTopicsRequestTopic {
	t := newTopicRequest(name, -1, -1)
	for n, replicas := range partitions {
		t.ReplicaAssignment = append(t.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(n), Replicas: replicas})
	}
	return t
}

func withConfig(t kmsg.CreateTopicsRequestTopic, key string, value *string) kmsg.CreateTopicsRequestTopic {
	t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: key, Value: value})
	return t
}

func TestATopicGetsDefaultsAndItsOnlyDirectory(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.NumPartitions, c.DefaultReplicationFactor = 3, 2 })
	w.up(1, 2)
	rt := w.create(newTopicRequest("a", -1, -1))
	if rt.ErrorCode != 0 || rt.NumPartitions != 3 || rt.ReplicationFactor != 2 || rt.TopicID != w.committed.Topic("a").ID {
		t.Fatalf("%+v", rt)
	}
	p := w.partition("a")
	if len(p.ISR) != 2 || p.Leader != p.Replicas[0] || p.LeaderEpoch != 0 || p.Dirs[0] != w.committed.Broker(p.Replicas[0]).Dirs[0] {
		t.Errorf("%+v", p)
	}
}

func TestEachTopicIsJudgedOnItsOwn(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.ValidateConfigs = func(_ metadata.ResourceKey, set []metadata.ConfigEntry, _ map[string]string) error {
			if len(set) > 0 && set[0].Value == "bad" {
				return errDisk
			}
			return nil
		}
	})
	w.up(1, 2)
	w.topic("old", 1)
	w.topic("x.y", 1)
	gap := assigned("gap", []int32{1}, []int32{2})
	gap.ReplicaAssignment[1].Partition = 2
	both := assigned("both", []int32{1})
	both.NumPartitions = 1
	bad := "bad"
	cases := []struct {
		topic kmsg.CreateTopicsRequestTopic
		want  *kerr.Error
	}{
		{newTopicRequest("new", 1, 1), nil},
		{newTopicRequest("old", 1, 1), kerr.TopicAlreadyExists},
		{newTopicRequest("..", 1, 1), kerr.InvalidTopicException},
		{newTopicRequest(strings.Repeat("a", 250), 1, 1), kerr.InvalidTopicException},
		{newTopicRequest("x_y", 1, 1), kerr.InvalidTopicException},
		{newTopicRequest("__cluster_metadata", 1, 1), kerr.InvalidRequest},
		{newTopicRequest("p0", 0, 1), kerr.InvalidPartitions},
		{newTopicRequest("p-2", -2, 1), kerr.InvalidPartitions},
		{newTopicRequest("r0", 1, 0), kerr.InvalidReplicationFactor},
		{newTopicRequest("r3", 1, 3), kerr.InvalidReplicationFactor},
		{newTopicRequest("huge", 2_000_000_000, 1), kerr.PolicyViolation},
		{assigned("manual", []int32{2, 1}, []int32{1, 2}), nil},
		{both, kerr.InvalidRequest},
		{gap, kerr.InvalidReplicaAssignment},
		{assigned("unknown", []int32{9}), kerr.InvalidReplicaAssignment},
		{assigned("twice", []int32{1, 1}), kerr.InvalidReplicaAssignment},
		{assigned("uneven", []int32{1}, []int32{1, 2}), kerr.InvalidReplicaAssignment},
		{assigned("empty", []int32{}), kerr.InvalidReplicaAssignment},
		{withConfig(newTopicRequest("badconfig", 1, 1), "k", &bad), kerr.InvalidConfig},
		{withConfig(newTopicRequest("nullconfig", 1, 1), "k", nil), kerr.InvalidConfig},
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	for _, c := range cases {
		req.Topics = append(req.Topics, c.topic)
	}
	req.Topics = append(req.Topics, newTopicRequest("dup", 1, 1), newTopicRequest("dup", 1, 1))
	resp := got(w, free(w.CreateTopics), req)
	if len(resp.Topics) != len(cases)+1 {
		t.Fatalf("%d answers", len(resp.Topics))
	}
	for n, c := range cases {
		want := int16(0)
		if c.want != nil {
			want = c.want.Code
		}
		if rt := resp.Topics[n]; rt.Topic != c.topic.Topic || rt.ErrorCode != want || (w.committed.Topic(rt.Topic) != nil && rt.Topic != "old") != (want == 0) {
			t.Errorf("%s: code %d, want %d", rt.Topic, rt.ErrorCode, want)
		}
	}
	if w.committed.Topic("dup") != nil || resp.Topics[len(cases)].ErrorCode != kerr.InvalidRequest.Code {
		t.Error("a topic named twice was created")
	}
}

func TestValidateOnlyCreatesNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1)
	req := kmsg.NewPtrCreateTopicsRequest()
	req.ValidateOnly, req.Topics = true, []kmsg.CreateTopicsRequestTopic{newTopicRequest("a", 1, 1), newTopicRequest("", 1, 1)}
	resp := got(w, free(w.CreateTopics), req)
	if resp.Topics[0].ErrorCode != 0 || resp.Topics[1].ErrorCode == 0 || w.committed.NumTopics() != 0 {
		t.Errorf("%+v", resp)
	}
}

func TestAFencedBrokerIsNoMemberOfANewISR(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2)
	w.expire(2)
	w.topic("a", 2, 1)
	w.expect("a", 1, []int32{1}, nil)
	if rt := w.create(assigned("b", []int32{2})); rt.ErrorCode != kerr.InvalidReplicaAssignment.Code {
		t.Errorf("code %d", rt.ErrorCode)
	}
}

func TestTopicsAreDeletedByNameAndID(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1)
	a, nope, twice, both := "a", "nope", "twice", "both"
	for _, name := range []string{a, "b", "c", twice, both} {
		w.topic(name, 1)
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	idB := w.committed.Topic("b").ID
	for _, ref := range []kmsg.DeleteTopicsRequestTopic{
		{Topic: &a}, {TopicID: idB}, {Topic: &nope}, {TopicID: [16]byte{9}}, {Topic: &twice}, {Topic: &twice}, {Topic: &a, TopicID: idB}, {}, {Topic: &both}, {TopicID: w.committed.Topic(both).ID},
	} {
		req.Topics = append(req.Topics, ref)
	}
	resp := got(w, free(w.DeleteTopics), req)
	want := []int16{0, 0, kerr.UnknownTopicOrPartition.Code, kerr.UnknownTopicID.Code, kerr.InvalidRequest.Code, kerr.InvalidRequest.Code, kerr.InvalidRequest.Code, kerr.InvalidRequest.Code}
	if len(resp.Topics) != len(want) {
		t.Fatalf("%d answers", len(resp.Topics))
	}
	for n, code := range want {
		if resp.Topics[n].ErrorCode != code {
			t.Errorf("answer %d: code %d, want %d", n, resp.Topics[n].ErrorCode, code)
		}
	}
	old := kmsg.NewPtrDeleteTopicsRequest()
	old.TopicNames = []string{"c"}
	if got(w, free(w.DeleteTopics), old).Topics[0].ErrorCode != 0 || w.committed.NumTopics() != 2 {
		t.Error("topics are left")
	}
}

func TestARecreatedTopicHasAnotherID(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1)
	w.topic("a", 1)
	id := w.committed.Topic("a").ID
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TopicNames = []string{"a"}
	got(w, free(w.DeleteTopics), req)
	w.topic("a", 1)
	if w.committed.Topic("a").ID == id {
		t.Error("the id is the same")
	}
}

func TestPartitionsAreAdded(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2)
	w.topic("a", 1, 2)
	add := func(name string, count int32, assignment ...[]int32) int16 {
		req := kmsg.NewPtrCreatePartitionsRequest()
		rt := kmsg.NewCreatePartitionsRequestTopic()
		rt.Topic, rt.Count = name, count
		for _, replicas := range assignment {
			rt.Assignment = append(rt.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: replicas})
		}
		req.Topics = append(req.Topics, rt)
		return got(w, free(w.CreatePartitions), req).Topics[0].ErrorCode
	}
	for _, c := range []struct {
		got  int16
		want *kerr.Error
	}{
		{add("nope", 2), kerr.UnknownTopicOrPartition},
		{add("a", 1), kerr.InvalidPartitions},
		{add("a", 0), kerr.InvalidPartitions},
		{add("a", 20_000), kerr.PolicyViolation},
		{add("a", 3, []int32{1, 2}), kerr.InvalidReplicaAssignment},
		{add("a", 2, []int32{1}), kerr.InvalidReplicaAssignment},
	} {
		if c.got != c.want.Code {
			t.Errorf("code %d, want %v", c.got, c.want)
		}
	}
	if add("a", 3) != 0 || add("a", 4, []int32{2, 1}) != 0 {
		t.Fatal("refused")
	}
	parts := w.committed.Topic("a").Partitions
	if len(parts) != 4 || parts[3].Leader != 2 || len(parts[2].Replicas) != 2 {
		t.Errorf("%d partitions", len(parts))
	}
}

func TestConfigsAreSetDeletedAppendedAndSubtracted(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.IsList = func(_ int8, key string) bool { return key == "list" }
		c.ConfigDefault = func(int8, string) string { return "d" }
	})
	w.up(1)
	w.topic("a", 1)
	const set, del, app, sub = kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete, kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract
	for _, c := range []struct {
		op   kmsg.IncrementalAlterConfigOp
		with string
		want string
	}{{app, "x,y", "d,x,y"}, {app, "x", "d,x,y"}, {sub, "d,q", "x,y"}, {set, "z", "z"}} {
		if code := w.setConfig(kmsg.ConfigResourceTypeTopic, "a", "list", c.op, c.with); code != 0 {
			t.Fatalf("code %d", code)
		}
		if v, _ := w.committed.ConfigValue(metadata.ResourceTopic, "a", "list"); v != c.want {
			t.Errorf("after %v %q the value is %q, want %q", c.op, c.with, v, c.want)
		}
	}
	w.setConfig(kmsg.ConfigResourceTypeTopic, "a", "list", del, "")
	if w.committed.Config(metadata.ResourceTopic, "a") != nil {
		t.Error("not deleted")
	}
	for _, c := range []struct {
		code int16
		want *kerr.Error
	}{
		{w.setConfig(kmsg.ConfigResourceTypeTopic, "a", "plain", app, "x"), kerr.InvalidConfig},
		{w.setConfig(kmsg.ConfigResourceTypeTopic, "nope", "k", set, "x"), kerr.UnknownTopicOrPartition},
		{w.setConfig(kmsg.ConfigResourceTypeBroker, "one", "k", set, "x"), kerr.InvalidRequest},
		{w.setConfig(kmsg.ConfigResourceTypeBroker, "1", keyMinInsyncReplicas, set, "1"), kerr.InvalidConfig},
		{w.setConfig(kmsg.ConfigResourceTypeBroker, "", keyMinInsyncReplicas, del, ""), kerr.InvalidConfig},
		{w.setConfig(kmsg.ConfigResourceTypeUnknown, "a", "k", set, "x"), kerr.InvalidRequest},
		{w.setConfig(kmsg.ConfigResourceTypeTopic, "a", "k", 9, "x"), kerr.InvalidRequest},
		{w.setConfig(kmsg.ConfigResourceTypeTopic, "a", "k", set, strings.Repeat("x", 40_000)), kerr.InvalidConfig},
	} {
		if c.code != c.want.Code {
			t.Errorf("code %d, want %v", c.code, c.want)
		}
	}
}

func TestAlterConfigsDeletesWhatItDoesNotName(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1)
	v := "v"
	if rt := w.create(withConfig(withConfig(newTopicRequest("a", 1, 1), "k", &v), "l", &v)); rt.ErrorCode != 0 {
		t.Fatal(rt.ErrorCode)
	}
	req := kmsg.NewPtrAlterConfigsRequest()
	r := kmsg.NewAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, "a"
	r.Configs = []kmsg.AlterConfigsRequestResourceConfig{{Name: "m", Value: &v}}
	req.Resources = append(req.Resources, r)
	if code := got(w, w.AlterConfigs, req).Resources[0].ErrorCode; code != 0 {
		t.Fatal(code)
	}
	if entries := w.committed.Config(metadata.ResourceTopic, "a"); len(entries) != 1 || entries[0].Key != "m" {
		t.Errorf("%v", entries)
	}
}

func TestLeadersAreElectedOnRequest(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MinInsyncReplicas = 1 })
	w.up(1, 2)
	w.topicOf("a", []int32{1, 2}, []int32{2, 1})
	elect := func(kind int8, topic string) *kmsg.ElectLeadersResponse {
		req := kmsg.NewPtrElectLeadersRequest()
		req.ElectionType = kind
		if topic != "" {
			req.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: topic, Partitions: []int32{0}}}
		}
		return got(w, w.ElectLeaders, req)
	}
	if code := elect(preferredElection, "a").Topics[0].Partitions[0].ErrorCode; code != kerr.ElectionNotNeeded.Code {
		t.Errorf("code %d", code)
	}
	if code := elect(preferredElection, "z").Topics[0].Partitions[0].ErrorCode; code != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("code %d", code)
	}
	if odd := elect(5, "a"); odd.ErrorCode != kerr.InvalidRequest.Code || odd.Topics[0].Partitions[0].ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("an unknown type: %+v", odd)
	}
	w.alter("a", []int32{1})
	w.expire(1)
	w.expect("a", metadata.NoLeader, nil, []int32{1})
	if code := elect(preferredElection, "a").Topics[0].Partitions[0].ErrorCode; code != kerr.PreferredLeaderNotAvailable.Code {
		t.Errorf("code %d", code)
	}
	if resp := elect(uncleanElection, ""); resp.Topics[0].Partitions[0].ErrorCode != 0 || len(resp.Topics[0].Partitions) != 1 {
		t.Errorf("%+v", resp)
	}
	w.expect("a", 2, []int32{2}, nil)
}

func TestDeletionCanBeDisabled(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.NoDeletion = true })
	w.up(1)
	w.topic("a", 1)
	for version, want := range map[int16]*kerr.Error{2: kerr.InvalidRequest, 3: kerr.TopicDeletionDisabled, 6: kerr.TopicDeletionDisabled} {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Version, req.TopicNames = version, []string{"a"}
		if code := got(w, free(w.DeleteTopics), req).Topics[0].ErrorCode; code != want.Code {
			t.Errorf("v%d: code %d, want %v", version, code, want)
		}
	}
	if w.committed.Topic("a") == nil {
		t.Error("it is deleted")
	}
}

// As in Kafka: of two values the last, and of two counts neither.
func TestWhatIsNamedTwice(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1)
	one, two := "1", "2"
	if rt := w.create(withConfig(withConfig(newTopicRequest("a", 1, 1), "k", &one), "k", &two)); rt.ErrorCode != 0 {
		t.Fatal(rt.ErrorCode)
	}
	if v, _ := w.committed.ConfigValue(metadata.ResourceTopic, "a", "k"); v != two {
		t.Errorf("k is %q", v)
	}
	req := kmsg.NewPtrCreatePartitionsRequest()
	for _, name := range []string{"a", "a", "nope", "nope"} {
		req.Topics = append(req.Topics, kmsg.CreatePartitionsRequestTopic{Topic: name, Count: 5})
	}
	resp := got(w, free(w.CreatePartitions), req)
	if len(resp.Topics) != 2 || resp.Topics[0].ErrorCode != kerr.InvalidRequest.Code || resp.Topics[1].ErrorCode != kerr.InvalidRequest.Code || len(w.committed.Topic("a").Partitions) != 1 {
		t.Errorf("%+v", resp.Topics)
	}
}

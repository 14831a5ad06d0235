package api_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/record"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// quickGroups is a cluster whose groups do not wait for newcomers, and a client of the coordinator of group g.
func quickGroups(t *testing.T, size int, more ...string) *client {
	t.Helper()
	c := start(t, size, append(append(smallInternalTopics(size), "group.initial.rebalance.delay.ms=0", "group.min.session.timeout.ms=100"), more...)...)
	x := c.client()
	node := x.awaitCoordinator(0, "g")
	x.until("the topic is up", func() bool { return x.isUp("__consumer_offsets") })
	x = c.dial(node, clientPort)
	x.until("loaded", func() bool {
		return ask[*kmsg.ListGroupsResponse](x, kmsg.NewPtrListGroupsRequest()).ErrorCode == 0
	})
	return x
}

func joinRequest(version int16, member string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.ProtocolType = version, "g", member, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 10_000, 10_000
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte("\x00\x00\x00\x00\x00\x01\x00\x01t\xff\xff\xff\xff")}}
	return req
}

// join joins group g in that version, with the id that it is told to use.
func (x *client) join(version int16, instance ...string) *kmsg.JoinGroupResponse {
	x.Helper()
	req := joinRequest(version, "")
	if len(instance) > 0 {
		req.InstanceID = &instance[0]
	}
	resp := ask[*kmsg.JoinGroupResponse](x, req)
	if resp.ErrorCode == kerr.MemberIDRequired.Code {
		req.MemberID = resp.MemberID
		resp = ask[*kmsg.JoinGroupResponse](x, req)
	}
	x.code("join", resp.ErrorCode, nil)
	return resp
}

func syncRequest(version int16, joined *kmsg.JoinGroupResponse, assignment string) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.Generation = version, "g", joined.MemberID, joined.Generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	req.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: joined.MemberID, MemberAssignment: []byte(assignment)}}
	return req
}

// stable is group g with one member, who has its assignment.
func (x *client) stable(instance ...string) *kmsg.JoinGroupResponse {
	x.Helper()
	joined := x.join(9, instance...)
	x.code("sync", ask[*kmsg.SyncGroupResponse](x, syncRequest(5, joined, "all")).ErrorCode, nil)
	return joined
}

func heartbeatRequest(version int16, member string, generation int32) *kmsg.HeartbeatRequest {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.Generation = version, "g", member, generation
	return req
}

func (x *client) leave(version int16, member string) *kmsg.LeaveGroupResponse {
	x.Helper()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group, req.MemberID = version, "g", member
	req.Members = []kmsg.LeaveGroupRequestMember{{MemberID: member}}
	return ask[*kmsg.LeaveGroupResponse](x, req)
}

func TestMemberJoinsSyncsHeartbeatsAndLeavesInEveryVersion(t *testing.T) {
	x := quickGroups(t, 1)
	for version := int16(0); version <= 9; version++ {
		joined := x.join(version)
		if joined.LeaderID != joined.MemberID || len(joined.Members) != 1 || *joined.Protocol != "range" || !strings.HasPrefix(joined.MemberID, "test-") {
			t.Errorf("join v%d: %+v", version, joined)
		}
		if version >= 7 && *joined.ProtocolType != "consumer" {
			t.Errorf("join v%d: %+v", version, joined)
		}
		synced := ask[*kmsg.SyncGroupResponse](x, syncRequest(min(version, 5), joined, fmt.Sprint("v", version)))
		x.code("sync", synced.ErrorCode, nil)
		if string(synced.MemberAssignment) != fmt.Sprint("v", version) {
			t.Errorf("sync v%d: %+v", version, synced)
		}
		x.code("heartbeat", ask[*kmsg.HeartbeatResponse](x, heartbeatRequest(min(version, 4), joined.MemberID, joined.Generation)).ErrorCode, nil)
		x.code("heartbeat of another", ask[*kmsg.HeartbeatResponse](x, heartbeatRequest(min(version, 4), "nobody", joined.Generation)).ErrorCode, kerr.UnknownMemberID)
		left := x.leave(min(version, 5), joined.MemberID)
		x.code("leave", left.ErrorCode, nil)
		if version >= 3 && (len(left.Members) != 1 || left.Members[0].ErrorCode != 0) {
			t.Errorf("leave v%d: %+v", version, left)
		}
	}
}

func TestMembersDataOutlivesTheirRequests(t *testing.T) {
	x := quickGroups(t, 1)
	joined := x.join(9)
	for range 50 { // other frames come and go in the same memory
		x.code("heartbeat", ask[*kmsg.HeartbeatResponse](x, heartbeatRequest(4, joined.MemberID, joined.Generation)).ErrorCode, nil)
	}
	x.code("sync", ask[*kmsg.SyncGroupResponse](x, syncRequest(5, joined, strings.Repeat("assigned ", 100))).ErrorCode, nil)
	for range 50 {
		x.produceTo("t")
	}
	again := ask[*kmsg.SyncGroupResponse](x, syncRequest(5, joined, "other"))
	if string(again.MemberAssignment) != strings.Repeat("assigned ", 100) {
		t.Errorf("%q", again.MemberAssignment)
	}
	if g := x.describe(6, "g"); !bytes.Equal(g.Members[0].ProtocolMetadata, joinRequest(9, "").Protocols[0].Metadata) {
		t.Errorf("%q", g.Members[0].ProtocolMetadata)
	}
}

// produceTo sends a produce, whatever becomes of it.
func (x *client) produceTo(topic string) {
	x.Helper()
	ask[*kmsg.ProduceResponse](x, produceRequest(9, -1, topic, [16]byte{}, 0, plain(strings.Repeat("noise", 50))))
}

func TestJoinIsCheckedBeforeAGroupIsMade(t *testing.T) {
	x := quickGroups(t, 1, "group.max.session.timeout.ms=20000")
	req := joinRequest(9, "")
	req.Group = ""
	x.code("no group", ask[*kmsg.JoinGroupResponse](x, req).ErrorCode, kerr.InvalidGroupID)
	for session, want := range map[int32]*kerr.Error{99: kerr.InvalidSessionTimeout, 20_001: kerr.InvalidSessionTimeout, -1: kerr.InvalidSessionTimeout, 100: kerr.MemberIDRequired, 20_000: kerr.MemberIDRequired} {
		req := joinRequest(9, "")
		req.Group, req.SessionTimeoutMillis = fmt.Sprint("s", session), session
		x.code(req.Group, ask[*kmsg.JoinGroupResponse](x, req).ErrorCode, want)
	}
	sync := syncRequest(5, &kmsg.JoinGroupResponse{}, "")
	sync.Protocol = nil
	x.code("sync without a protocol", ask[*kmsg.SyncGroupResponse](x, sync).ErrorCode, kerr.InconsistentGroupProtocol)
	for _, g := range ask[*kmsg.ListGroupsResponse](x, kmsg.NewPtrListGroupsRequest()).Groups {
		if g.Group != "s100" && g.Group != "s20000" {
			t.Errorf("there is a group %s", g.Group)
		}
	}
}

func TestStaticMemberIsFencedByItsSuccessor(t *testing.T) {
	x := quickGroups(t, 1)
	first := x.stable("i")
	second := x.join(9, "i")
	if second.Generation != first.Generation || second.MemberID == first.MemberID || !second.SkipAssignment {
		t.Errorf("%+v after %+v", second, first)
	}
	req := heartbeatRequest(4, first.MemberID, first.Generation)
	req.InstanceID = kmsg.StringPtr("i")
	x.code("the first", ask[*kmsg.HeartbeatResponse](x, req).ErrorCode, kerr.FencedInstanceID)
}

func TestOtherBrokersSendGroupRequestsElsewhere(t *testing.T) {
	x := quickGroups(t, 3)
	right := x.awaitCoordinator(0, "g")
	other := x.dial(right%3+1, clientPort)
	x.code("join", ask[*kmsg.JoinGroupResponse](other, joinRequest(9, "")).ErrorCode, kerr.NotCoordinator)
	x.code("sync", ask[*kmsg.SyncGroupResponse](other, syncRequest(5, &kmsg.JoinGroupResponse{}, "")).ErrorCode, kerr.NotCoordinator)
	x.code("heartbeat", ask[*kmsg.HeartbeatResponse](other, heartbeatRequest(4, "m", 1)).ErrorCode, kerr.NotCoordinator)
	x.code("leave", other.leave(5, "m").ErrorCode, kerr.NotCoordinator)
	x.topicOf("t", 1, 3)
	x.code("commit", other.commit(9, "t", [16]byte{}, 5, nil).ErrorCode, kerr.NotCoordinator)
	x.code("fetch", other.fetchOffset(9, "t", [16]byte{}).group, kerr.NotCoordinator)
	x.code("describe", other.describe(6, "g").ErrorCode, kerr.NotCoordinator)
	x.code("delete", other.deleteGroup("g"), kerr.NotCoordinator)
	if coordinator.PartitionFor("g", 4) < 0 {
		t.Fatal("no partition")
	}
}

// A member of the group goes on with the next coordinator, who knows it and its offsets.
func TestGroupOutlivesItsCoordinator(t *testing.T) {
	x := quickGroups(t, 3, "broker.session.timeout.ms=2000", "broker.heartbeat.interval.ms=300")
	x.topicOf("t", 1, 3)
	joined := x.stable()
	req := commitRequest(9, "t", [16]byte{}, 42, nil)
	req.MemberID, req.Generation = joined.MemberID, joined.Generation
	x.code("commit", ask[*kmsg.OffsetCommitResponse](x, req).Topics[0].Partitions[0].ErrorCode, nil)
	first := x.awaitCoordinator(0, "g")
	n := x.nodes[first-1]
	n.loop.Kill()
	n.disk.Kill()
	n.host.Crash(false)
	y := x.dial(first%3+1, clientPort)
	var next *client
	x.until("another coordinates", func() bool {
		y.wait(100 * time.Millisecond)
		resp := ask[*kmsg.FindCoordinatorResponse](y, findCoordinatorRequest(3, 0, "g"))
		if resp.ErrorCode == 0 && resp.NodeID != first {
			next = x.dial(resp.NodeID, clientPort)
		}
		return next != nil
	})
	x.until("it knows the member", func() bool {
		return ask[*kmsg.HeartbeatResponse](next, heartbeatRequest(4, joined.MemberID, joined.Generation)).ErrorCode == 0
	})
	x.until("it knows the offset", func() bool { return next.fetchOffset(9, "t", [16]byte{}).offset == 42 })
	if got := ask[*kmsg.SyncGroupResponse](next, syncRequest(5, joined, "")); string(got.MemberAssignment) != "all" {
		t.Errorf("%+v", got)
	}
}

func commitRequest(version int16, topic string, id [16]byte, offset int64, metadata *string, more ...int32) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation, req.RetentionTimeMillis = version, "g", -1, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.TopicID = topic, id
	for _, index := range append([]int32{0}, more...) {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = index, offset, 3, metadata
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

func (x *client) commit(version int16, topic string, id [16]byte, offset int64, metadata *string) kmsg.OffsetCommitResponseTopicPartition {
	x.Helper()
	return ask[*kmsg.OffsetCommitResponse](x, commitRequest(version, topic, id, offset, metadata)).Topics[0].Partitions[0]
}

// committed is what OffsetFetch tells of one partition.
type committed struct {
	group, code int16
	offset      int64
	epoch       int32
	metadata    string
}

func fetchOffsetsRequest(version int16, topic string, id [16]byte, partitions ...int32) *kmsg.OffsetFetchRequest {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version = version
	if version < 8 {
		req.Group, req.Topics = "g", []kmsg.OffsetFetchRequestTopic{{Topic: topic, Partitions: partitions}}
		return req
	}
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.Topics = "g", []kmsg.OffsetFetchRequestGroupTopic{{Topic: topic, TopicID: id, Partitions: partitions}}
	req.Groups = append(req.Groups, g)
	return req
}

// fetchOffset asks for partition 0 in any version.
func (x *client) fetchOffset(version int16, topic string, id [16]byte) (f committed) {
	x.Helper()
	resp := ask[*kmsg.OffsetFetchResponse](x, fetchOffsetsRequest(version, topic, id, 0))
	if version >= 8 {
		if f.group = resp.Groups[0].ErrorCode; f.group == 0 {
			p := resp.Groups[0].Topics[0].Partitions[0]
			f = committed{0, p.ErrorCode, p.Offset, p.LeaderEpoch, *p.Metadata}
		}
		return f
	}
	if f.group = resp.ErrorCode; f.group == 0 {
		p := resp.Topics[0].Partitions[0]
		f = committed{0, p.ErrorCode, p.Offset, p.LeaderEpoch, *p.Metadata}
	}
	return f
}

func TestOffsetsGoInAndOutInEveryVersion(t *testing.T) {
	x := quickGroups(t, 1)
	id := x.topic("t", 2)
	metadata := "where I was: ü"
	for version := int16(1); version <= 10; version++ {
		if got := x.fetchOffset(version, "t", id); version == 1 && got != (committed{offset: -1, epoch: got.epoch}) {
			t.Errorf("before the first commit: %+v", got)
		}
		commit := max(version, 2)
		x.code(fmt.Sprint("commit v", commit), x.commit(commit, "t", id, int64(version), &metadata).ErrorCode, nil)
		got := x.fetchOffset(version, "t", id)
		want := committed{offset: int64(version), epoch: -1, metadata: metadata}
		if commit >= 6 {
			want.epoch = 3
		}
		if version < 5 { // has no such field
			got.epoch = want.epoch
		}
		if got != want {
			t.Errorf("v%d: %+v, want %+v", version, got, want)
		}
	}
}

func TestPartitionsThatDoNotExistAreRefusedAlone(t *testing.T) {
	x := quickGroups(t, 1)
	id := x.topic("t", 2)
	resp := ask[*kmsg.OffsetCommitResponse](x, commitRequest(9, "t", id, 5, nil, 1, 2, -1))
	if len(resp.Topics) != 1 {
		t.Fatalf("%+v", resp)
	}
	got := map[int32]int16{}
	for _, p := range resp.Topics[0].Partitions {
		got[p.Partition] = p.ErrorCode
	}
	for index, want := range map[int32]*kerr.Error{0: nil, 1: nil, 2: kerr.UnknownTopicOrPartition, -1: kerr.UnknownTopicOrPartition} {
		x.code(fmt.Sprint("partition ", index), got[index], want)
	}
	x.code("no topic", x.commit(9, "none", [16]byte{}, 5, nil).ErrorCode, kerr.UnknownTopicOrPartition)
	x.code("no topic id", x.commit(10, "", [16]byte{9}, 5, nil).ErrorCode, kerr.UnknownTopicID)
	x.code("fetch of no topic id", x.fetchOffset(10, "", [16]byte{9}).code, kerr.UnknownTopicID)
	if got := x.fetchOffset(9, "none", [16]byte{}); got.code != 0 || got.offset != -1 {
		t.Errorf("fetch of no topic: %+v", got)
	}
	long := strings.Repeat("x", 4097)
	x.code("metadata", x.commit(9, "t", id, 5, &long).ErrorCode, kerr.OffsetMetadataTooLarge)
}

// TestOffsetsOfADeletedTopicAreNotItsSuccessors: the coordinator is down when the topic is deleted, and nobody stands in for it.
func TestOffsetsOfADeletedTopicAreNotItsSuccessors(t *testing.T) {
	x := quickGroups(t, 3, "offsets.topic.replication.factor=1")
	first := x.awaitCoordinator(0, "g")
	y := x.dial(first%3+1, clientPort)
	id := y.topicOf("t", 1, 3)
	x.code("commit", x.commit(9, "t", id, 5, nil).ErrorCode, nil)
	n := x.nodes[first-1]
	n.loop.Kill()
	n.disk.Kill()
	n.host.Crash(false)
	remove, create := kmsg.NewPtrDeleteTopicsRequest(), kmsg.NewPtrCreateTopicsRequest()
	remove.Version, remove.TimeoutMillis, remove.TopicNames = 5, 10_000, []string{"t"}
	y.code("delete", ask[*kmsg.DeleteTopicsResponse](y, remove).Topics[0].ErrorCode, nil)
	create.Version, create.TimeoutMillis = 7, 10_000
	create.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "t", NumPartitions: 1, ReplicationFactor: 1}}
	created := ask[*kmsg.CreateTopicsResponse](y, create).Topics[0]
	y.code("create", created.ErrorCode, nil)
	if err := x.restart(first); err != nil {
		t.Fatal(err)
	}
	x = x.dial(first, clientPort)
	x.until("loaded", func() bool { return x.isUp("__consumer_offsets") && x.fetchOffset(8, "none", [16]byte{}).group == 0 })
	for version := int16(1); version <= 10; version++ {
		if got := x.fetchOffset(version, "t", created.TopicID); got.offset != -1 || got.code != 0 {
			t.Errorf("v%d: %+v", version, got)
		}
	}
	for _, version := range []int16{8, 10} {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version, req.Groups = version, []kmsg.OffsetFetchRequestGroup{{Group: "g", MemberEpoch: -1}}
		if told := ask[*kmsg.OffsetFetchResponse](x, req).Groups[0]; told.ErrorCode != 0 || len(told.Topics) != 0 {
			t.Errorf("v%d, all: %+v", version, told)
		}
	}
}

func TestAllOffsetsOfSeveralGroupsAreTold(t *testing.T) {
	x := quickGroups(t, 1)
	id := x.topic("t", 3)
	other := x.topic("u", 1)
	ask[*kmsg.OffsetCommitResponse](x, commitRequest(9, "t", id, 5, nil, 2))
	x.commit(9, "u", other, 6, nil)
	for _, version := range []int16{2, 7, 8, 9, 10} {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version, req.RequireStable = version, true
		req.Group = "g"
		for _, name := range []string{"g", "none"} {
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group = name
			req.Groups = append(req.Groups, g)
		}
		resp := ask[*kmsg.OffsetFetchResponse](x, req)
		var told []string
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				told = append(told, fmt.Sprint(topic.Topic, p.Partition, "=", p.Offset))
			}
		}
		if version >= 8 {
			if len(resp.Groups) != 2 || resp.Groups[1].Group != "none" || len(resp.Groups[1].Topics) != 0 || resp.Groups[1].ErrorCode != 0 {
				t.Errorf("v%d: %+v", version, resp.Groups)
			}
			for _, topic := range resp.Groups[0].Topics {
				name := topic.Topic
				if version >= 10 {
					name = map[[16]byte]string{id: "t", other: "u"}[topic.TopicID]
				}
				for _, p := range topic.Partitions {
					told = append(told, fmt.Sprint(name, p.Partition, "=", p.Offset))
				}
			}
		}
		if got := strings.Join(told, " "); got != "t0=5 t2=5 u0=6" {
			t.Errorf("v%d: %s", version, got)
		}
	}
}

func TestOffsetsOfADeletedTopicGoWithIt(t *testing.T) {
	x := quickGroups(t, 1)
	id := x.topic("t", 1)
	x.topic("u", 1)
	x.commit(10, "t", id, 5, nil)
	x.commit(9, "u", [16]byte{}, 6, nil)
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis, req.TopicNames = 5, 10_000, []string{"t"}
	x.code("delete", ask[*kmsg.DeleteTopicsResponse](x, req).Topics[0].ErrorCode, nil)
	x.until("the offset is gone", func() bool { return x.fetchOffset(9, "t", [16]byte{}).offset == -1 })
	again := x.topic("t", 1)
	if got := x.fetchOffset(10, "t", again); got.offset != -1 {
		t.Errorf("the new topic of the name has %+v", got)
	}
	if got := x.fetchOffset(9, "u", [16]byte{}); got.offset != 6 {
		t.Errorf("the other topic has %+v", got)
	}
}

func (x *client) describe(version int16, group string) kmsg.DescribeGroupsResponseGroup {
	x.Helper()
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Version, req.Groups, req.IncludeAuthorizedOperations = version, []string{group, group}, true
	resp := ask[*kmsg.DescribeGroupsResponse](x, req)
	if len(resp.Groups) != 1 {
		x.Fatalf("%d answers", len(resp.Groups))
	}
	return resp.Groups[0]
}

func TestGroupsAreDescribedInEveryVersion(t *testing.T) {
	x := quickGroups(t, 1)
	joined := x.stable("i")
	for version := int16(0); version <= 6; version++ {
		g := x.describe(version, "g")
		m := g.Members[0]
		if g.ErrorCode != 0 || g.State != "Stable" || g.ProtocolType != "consumer" || g.Protocol != "range" || m.MemberID != joined.MemberID ||
			m.ClientID != "test" || !strings.HasPrefix(m.ClientHost, "/client") || string(m.MemberAssignment) != "all" || len(m.ProtocolMetadata) == 0 {
			t.Errorf("v%d: %+v", version, g)
		}
		if version >= 3 && g.AuthorizedOperations != 1<<3|1<<6|1<<8|1<<10|1<<11 || version >= 4 && *m.InstanceID != "i" {
			t.Errorf("v%d: %+v", version, g)
		}
		dead := x.describe(version, "none")
		want := map[bool]*kerr.Error{true: kerr.GroupIDNotFound}[version >= 6]
		if x.code(fmt.Sprint("none v", version), dead.ErrorCode, want); dead.State != "Dead" {
			t.Errorf("v%d: %+v", version, dead)
		}
	}
}

func TestGroupsAreListedByStateAndType(t *testing.T) {
	x := quickGroups(t, 1)
	id := x.topic("t", 1)
	x.stable()
	req := commitRequest(9, "t", id, 5, nil)
	req.Group = "simple"
	ask[*kmsg.OffsetCommitResponse](x, req)
	for _, c := range []struct {
		states, types []string
		want          string
	}{
		{nil, nil, "g simple"},
		{[]string{"stable"}, nil, "g"},
		{[]string{"Empty", "Dead"}, nil, "simple"},
		{[]string{"nonsense"}, nil, ""},
		{nil, []string{"classic"}, "g simple"},
		{nil, []string{"Consumer"}, ""},
		{[]string{"STABLE"}, []string{"CLASSIC"}, "g"},
	} {
		req := kmsg.NewPtrListGroupsRequest()
		req.Version, req.StatesFilter, req.TypesFilter = 5, c.states, c.types
		resp := ask[*kmsg.ListGroupsResponse](x, req)
		var names []string
		for _, name := range []string{"g", "simple"} { // they are of several partitions
			for _, g := range resp.Groups {
				if g.Group == name {
					names = append(names, name)
				}
			}
		}
		if got := strings.Join(names, " "); got != c.want || len(resp.Groups) != len(names) || resp.ErrorCode != 0 {
			t.Errorf("states %v, types %v: %v", c.states, c.types, resp.Groups)
		}
	}
	for version := int16(0); version <= 5; version++ {
		req := kmsg.NewPtrListGroupsRequest()
		req.Version = version
		if resp := ask[*kmsg.ListGroupsResponse](x, req); len(resp.Groups) != 2 {
			t.Errorf("v%d: %+v", version, resp)
		}
	}
}

func TestOffsetsTopicIsCompressedAsConfigured(t *testing.T) {
	for codec, want := range []record.Codec{record.None, record.Gzip, record.Snappy, record.Lz4, record.Zstd} {
		x := quickGroups(t, 1, fmt.Sprint("offsets.topic.compression.codec=", codec))
		id := x.topic("t", 1)
		x.commit(9, "t", id, 5, nil)
		fetch := fetchRequest(12, "__consumer_offsets", [16]byte{}, coordinator.PartitionFor("g", 4), 0)
		b, _, err := record.Parse(ask[*kmsg.FetchResponse](x, fetch).Topics[0].Partitions[0].RecordBatches)
		if err != nil || b.Codec() != want {
			t.Errorf("codec %d: %v, %v", codec, b.Codec(), err)
		}
	}
}

func (x *client) deleteGroup(group string) int16 {
	x.Helper()
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Version, req.Groups = 2, []string{group}
	return ask[*kmsg.DeleteGroupsResponse](x, req).Groups[0].ErrorCode
}

func (x *client) deleteOffset(group, topic string, partition int32) *kmsg.OffsetDeleteResponse {
	x.Helper()
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = group
	req.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: partition}}}}
	return ask[*kmsg.OffsetDeleteResponse](x, req)
}

func TestGroupsAndOffsetsAreDeleted(t *testing.T) {
	x := quickGroups(t, 1)
	id := x.topic("t", 1)
	x.topic("u", 1)
	joined := x.stable()
	req := commitRequest(9, "t", id, 5, nil)
	req.MemberID, req.Generation = joined.MemberID, joined.Generation
	ask[*kmsg.OffsetCommitResponse](x, req)
	x.code("group with a member", x.deleteGroup("g"), kerr.NonEmptyGroup)
	x.code("no group", x.deleteGroup("none"), kerr.GroupIDNotFound)
	x.code("subscribed", x.deleteOffset("g", "t", 0).Topics[0].Partitions[0].ErrorCode, kerr.GroupSubscribedToTopic)
	x.code("not subscribed", x.deleteOffset("g", "u", 0).Topics[0].Partitions[0].ErrorCode, nil)
	x.code("no topic", x.deleteOffset("g", "none", 0).Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
	x.code("no partition", x.deleteOffset("g", "t", 7).Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
	x.code("offsets of no group", x.deleteOffset("none", "t", 0).ErrorCode, kerr.GroupIDNotFound)
	x.code("offsets of an empty name", x.deleteOffset("", "t", 0).ErrorCode, kerr.InvalidGroupID)
	x.leave(5, joined.MemberID)
	x.code("offset", x.deleteOffset("g", "t", 0).Topics[0].Partitions[0].ErrorCode, nil)
	if got := x.fetchOffset(9, "t", id); got.offset != -1 {
		t.Errorf("%+v", got)
	}
	x.code("empty group", x.deleteGroup("g"), nil)
	x.code("again", x.deleteGroup("g"), kerr.GroupIDNotFound)
}

func TestWaitingJoinsHoldNoMemoryOfTheBroker(t *testing.T) {
	x := quickGroups(t, 1)
	x.stable()
	const many = 40
	for i := range many { // more bytes than may be in flight
		y := x.client()
		req := joinRequest(3, "")
		req.Protocols = append(req.Protocols, kmsg.JoinGroupRequestProtocol{Name: fmt.Sprint("p", i), Metadata: make([]byte, 2<<20)})
		y.send(req)
	}
	x.wait(time.Second)
	began := x.world.Now()
	for range 3 { // a stalled connection is read once more
		x.produceTo("t")
	}
	if waited := x.world.Now().Sub(began); waited > 5*time.Second {
		t.Errorf("others waited %v, which is until the rebalance", waited)
	}
}

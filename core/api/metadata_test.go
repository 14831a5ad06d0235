package api_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestUnknownVersionOfApiVersionsIsAnsweredInVersion0WithItsOwnRange(t *testing.T) {
	x := start(t, 1).client()
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = 4
	frame := encode(req, 7)
	binary.BigEndian.PutUint16(frame[2:], 99)
	x.sendBytes(frame)
	req.Version = 0
	resp := x.next(req, 7).(*kmsg.ApiVersionsResponse)
	x.code("unknown version", resp.ErrorCode, kerr.UnsupportedVersion)
	if len(resp.ApiKeys) != 1 || resp.ApiKeys[0].ApiKey != 18 || resp.ApiKeys[0].MaxVersion != 4 {
		t.Errorf("keys %v, want 18 alone", resp.ApiKeys)
	}
}

func TestApiVersionsTellsWhatTheListenerServes(t *testing.T) {
	c := start(t, 1)
	for version := range int16(5) {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = version, "lockstep-test", "1.0"
		resp := ask[*kmsg.ApiVersionsResponse](c.client(), req)
		c.code("ApiVersions", resp.ErrorCode, nil)
		keys := map[int16]kmsg.ApiVersionsResponseApiKey{}
		for _, k := range resp.ApiKeys {
			keys[k.ApiKey] = k
		}
		if p := keys[0]; p.MinVersion != 0 || p.MaxVersion != 13 {
			t.Errorf("v%d: Produce %v, want 0 to 13 (KAFKA-18659)", version, p)
		}
		if _, ok := keys[52]; ok {
			t.Errorf("v%d: a broker's listener offers Vote", version)
		}
		zero := slices.ContainsFunc(resp.SupportedFeatures, func(f kmsg.ApiVersionsResponseSupportedFeature) bool { return f.MinVersion == 0 })
		if zero != (version >= 4) {
			t.Errorf("v%d: features from level 0 are there: %t (KAFKA-17011)", version, zero)
		}
		if version >= 3 && (len(resp.FinalizedFeatures) == 0 || resp.FinalizedFeaturesEpoch < 0) {
			t.Errorf("v%d: finalized features %v at %d", version, resp.FinalizedFeatures, resp.FinalizedFeaturesEpoch)
		}
	}
}

func TestApiVersionsRefusesAnOddSoftwareName(t *testing.T) {
	x := start(t, 1).client()
	for _, name := range []string{"", "-a", "a.", "a b", "ä"} {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = 3, name, "1"
		x.code(name, ask[*kmsg.ApiVersionsResponse](x, req).ErrorCode, kerr.InvalidRequest)
	}
}

func metadataRequest(version int16, topics ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.Topics = version, []kmsg.MetadataRequestTopic{}
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
	}
	return req
}

func TestMetadataTellsNullFromEmpty(t *testing.T) {
	x := start(t, 1).client()
	x.topic("a", 1)
	x.topic("b", 2)
	count := func(req *kmsg.MetadataRequest) int { return len(ask[*kmsg.MetadataResponse](x, req).Topics) }
	if n := count(metadataRequest(0)); n != 2 {
		t.Errorf("v0, empty: %d topics, want all", n)
	}
	for version := int16(1); version <= 13; version++ {
		if n := count(metadataRequest(version)); n != 0 {
			t.Errorf("v%d, empty: %d topics", version, n)
		}
		all := metadataRequest(version)
		all.Topics = nil
		if n := count(all); n != 2 {
			t.Errorf("v%d, null: %d topics, want all", version, n)
		}
	}
}

func TestMetadataFindsTopicsByNameAndID(t *testing.T) {
	x := start(t, 1, "auto.create.topics.enable=false").client()
	id := x.topic("a", 2)
	byID, unknown := kmsg.NewMetadataRequestTopic(), kmsg.NewMetadataRequestTopic()
	byID.TopicID, unknown.TopicID = id, [16]byte{9}
	var req *kmsg.MetadataRequest
	var resp *kmsg.MetadataResponse
	find := func(want []*kerr.Error, topics ...kmsg.MetadataRequestTopic) {
		t.Helper()
		req = metadataRequest(12, "a", "a", "no/name", "nobody")
		req.Topics = append(req.Topics, topics...)
		req.IncludeTopicAuthorizedOperations = true
		resp = ask[*kmsg.MetadataResponse](x, req)
		if len(resp.Topics) != len(want) {
			t.Fatalf("%d topics, want %d, each once", len(resp.Topics), len(want))
		}
		for i, topic := range resp.Topics {
			x.code("topic", topic.ErrorCode, want[i])
		}
	}
	find([]*kerr.Error{nil, kerr.InvalidTopicException, kerr.UnknownTopicOrPartition})
	find([]*kerr.Error{nil, kerr.UnknownTopicID}, byID, byID, unknown) // where ids are given, nothing else counts
	if a := resp.Topics[0]; a.TopicID != id || *a.Topic != "a" || len(a.Partitions) != 2 || a.AuthorizedOperations != 3576 || a.Partitions[1].Leader != 1 {
		t.Errorf("topic a: %+v", a)
	}
	if b := resp.Brokers; len(b) != 1 || b[0].Host != "n1" || b[0].Port != clientPort || resp.ControllerID != 1 {
		t.Errorf("brokers %v, controller %d", b, resp.ControllerID)
	}
	req.Version = 10
	old := ask[*kmsg.MetadataResponse](x, req)
	if len(old.Topics) != len(req.Topics) || len(old.Brokers) != 0 || old.ControllerID != -1 {
		t.Errorf("an id in version 10: %+v", old)
	}
	for _, topic := range old.Topics {
		x.code("an id in version 10", topic.ErrorCode, kerr.InvalidRequest)
	}
}

func TestMetadataCreatesTopicsIfBrokerAndRequestAllowIt(t *testing.T) {
	x := start(t, 1).client()
	req := metadataRequest(12, "new", "new", "bad/name")
	resp := ask[*kmsg.MetadataResponse](x, req)
	x.code("not allowed", resp.Topics[0].ErrorCode, kerr.UnknownTopicOrPartition)
	x.wait(patience / 60)
	x.code("not created", ask[*kmsg.MetadataResponse](x, req).Topics[0].ErrorCode, kerr.UnknownTopicOrPartition)
	req.AllowAutoTopicCreation = true
	x.code("being created", ask[*kmsg.MetadataResponse](x, req).Topics[0].ErrorCode, kerr.UnknownTopicOrPartition)
	x.until("it is created", func() bool { return x.isUp("new") })
	resp = ask[*kmsg.MetadataResponse](x, req)
	x.code("created", resp.Topics[0].ErrorCode, nil)
	x.code("a name that is none", resp.Topics[1].ErrorCode, kerr.InvalidTopicException)
}

func TestDescribeClusterTellsEachSideOfItself(t *testing.T) {
	c := start(t, 1)
	req := kmsg.NewPtrDescribeClusterRequest()
	req.Version, req.IncludeClusterAuthorizedOperations = 2, true
	resp := ask[*kmsg.DescribeClusterResponse](c.client(), req)
	if len(resp.Brokers) != 1 || resp.Brokers[0].Port != clientPort || resp.ControllerID != 1 || resp.ClusterAuthorizedOperations != 8096 || resp.ClusterID == "" {
		t.Errorf("brokers: %+v", resp)
	}
	c.code("brokers, asked of a controller", ask[*kmsg.DescribeClusterResponse](c.controllerClient(), req).ErrorCode, kerr.MismatchedEndpointType)
	req.EndpointType = 2
	resp = ask[*kmsg.DescribeClusterResponse](c.controllerClient(), req)
	if len(resp.Brokers) != 1 || resp.Brokers[0].Port != controllerPort || resp.ControllerID != 1 {
		t.Errorf("controllers: %+v", resp)
	}
	c.code("controllers, asked of a broker", ask[*kmsg.DescribeClusterResponse](c.client(), req).ErrorCode, kerr.MismatchedEndpointType)
	req.EndpointType = 3
	c.code("something else", ask[*kmsg.DescribeClusterResponse](c.client(), req).ErrorCode, kerr.UnsupportedEndpointType)
}

func TestDescribeTopicPartitionsComesInPages(t *testing.T) {
	x := start(t, 1).client()
	x.topic("a", 3)
	x.topic("b", 2)
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 2
	var seen []string
	for pages := 0; ; pages++ {
		resp := ask[*kmsg.DescribeTopicPartitionsResponse](x, req)
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				seen = append(seen, *topic.Topic+string(rune('0'+p.Partition)))
				if p.EligibleLeaderReplicas == nil || p.LastKnownELR == nil {
					t.Error("null, which makes Java's client fall over")
				}
			}
		}
		if resp.NextCursor == nil {
			if pages != 2 {
				t.Errorf("%d pages, want 3", pages+1)
			}
			break
		}
		req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: resp.NextCursor.Topic, Partition: resp.NextCursor.Partition}
	}
	if want := []string{"a0", "a1", "a2", "b0", "b1"}; !slices.Equal(seen, want) {
		t.Errorf("pages hold %v, want %v", seen, want)
	}
	req.Cursor, req.Topics = nil, []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "b"}, {Topic: "nobody"}, {Topic: "b"}}
	resp := ask[*kmsg.DescribeTopicPartitionsResponse](x, req)
	if len(resp.Topics) != 1 || resp.NextCursor == nil || resp.NextCursor.Topic != "nobody" {
		t.Errorf("a full page: %d topics, cursor %v", len(resp.Topics), resp.NextCursor)
	}
	req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: "b", Partition: -1}
	x.code("a cursor before the start", ask[*kmsg.DescribeTopicPartitionsResponse](x, req).Topics[0].ErrorCode, kerr.InvalidRequest)
	req.Cursor.Topic, req.Cursor.Partition = "c", 0
	x.code("a cursor to what was not asked for", ask[*kmsg.DescribeTopicPartitionsResponse](x, req).Topics[0].ErrorCode, kerr.InvalidRequest)
}

func TestDescribeQuorumIsForwarded(t *testing.T) {
	c := start(t, 3)
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Version = 2
	topic, p := kmsg.NewDescribeQuorumRequestTopic(), kmsg.NewDescribeQuorumRequestTopicPartition()
	topic.Topic, topic.Partitions = "__cluster_metadata", append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	for id := int32(1); id <= 3; id++ {
		resp := ask[*kmsg.DescribeQuorumResponse](c.dial(id, clientPort), req)
		c.code("DescribeQuorum", resp.ErrorCode, nil)
		if got := resp.Topics[0].Partitions[0]; len(got.CurrentVoters) != 3 || got.LeaderID < 1 {
			t.Errorf("asked of node %d: %+v", id, got)
		}
	}
}

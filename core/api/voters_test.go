package api_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core"
	"github.com/lockstep/lockstep/core/raft"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func directoryOf(id int32) [16]byte { return [16]byte{byte(id), 1} }

// startDynamic runs combined nodes of which the first are the initial voters.
func startDynamic(t *testing.T, size, voters int) *cluster {
	var initial []raft.Voter
	for id := int32(1); id <= int32(voters); id++ {
		at := raft.Endpoint{Name: "CONTROLLER", Host: fmt.Sprint("n", id), Port: controllerPort}
		initial = append(initial, raft.NewVoter(id, directoryOf(id), []raft.Endpoint{at}, at.Name))
	}
	return startFormatted(t, size, func(id int32) core.Formatting {
		f := core.Formatting{ClusterID: "c", Dynamic: true, DirectoryID: directoryOf(id)}
		if id <= int32(voters) {
			f.Voters = initial
		}
		return f
	})
}

func addVoter(id int32) *kmsg.AddRaftVoterRequest {
	req := kmsg.NewPtrAddRaftVoterRequest()
	req.Version, req.VoterID, req.VoterDirectoryID = 1, id, directoryOf(id)
	l := kmsg.NewAddRaftVoterRequestListener()
	l.Name, l.Host, l.Port = "CONTROLLER", fmt.Sprint("n", id), controllerPort
	req.Listeners = append(req.Listeners, l)
	return req
}

func removeVoter(id int32) *kmsg.RemoveRaftVoterRequest {
	req := kmsg.NewPtrRemoveRaftVoterRequest()
	req.VoterID, req.VoterDirectoryID = id, directoryOf(id)
	return req
}

func versions(x *client) (keys map[int16]bool, features, finalized map[string]int16) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = 4, "test", "1"
	resp := ask[*kmsg.ApiVersionsResponse](x, req)
	keys, features, finalized = map[int16]bool{}, map[string]int16{}, map[string]int16{}
	for _, k := range resp.ApiKeys {
		keys[k.ApiKey] = true
	}
	for _, f := range resp.SupportedFeatures {
		features[f.Name] = f.MaxVersion
	}
	for _, f := range resp.FinalizedFeatures {
		finalized[f.Name] = f.MaxVersionLevel
	}
	return keys, features, finalized
}

func TestStaticVotersAreNotChanged(t *testing.T) {
	c := start(t, 3)
	x := c.dial(1, clientPort)
	c.code("AddRaftVoter", ask[*kmsg.AddRaftVoterResponse](x, addVoter(4)).ErrorCode, kerr.UnsupportedVersion)
	c.code("RemoveRaftVoter", ask[*kmsg.RemoveRaftVoterResponse](x, removeVoter(1)).ErrorCode, kerr.UnsupportedVersion)
	keys, features, _ := versions(x)
	if _, ok := features["kraft.version"]; keys[80] || keys[81] || ok {
		t.Errorf("what it refuses is advertised: %v, %v", keys, features)
	}
}

func TestVotersAreAddedAndRemovedThroughAnyBroker(t *testing.T) {
	c := startDynamic(t, 3, 2)
	x := c.dial(3, clientPort)
	keys, features, finalized := versions(x)
	if !keys[80] || !keys[81] || keys[82] || features["kraft.version"] != 1 || finalized["kraft.version"] != 1 {
		t.Errorf("broker: %v, %v, %v", keys, features, finalized)
	}
	if keys, _, _ := versions(c.dial(1, controllerPort)); !keys[80] || !keys[81] || !keys[82] {
		t.Errorf("controller: %v", keys)
	}
	c.code("AddRaftVoter", ask[*kmsg.AddRaftVoterResponse](x, addVoter(3)).ErrorCode, nil)
	c.code("AddRaftVoter again", ask[*kmsg.AddRaftVoterResponse](x, addVoter(3)).ErrorCode, kerr.DuplicateVoter)
	leader := c.raftLeader()
	c.code("RemoveRaftVoter of the leader", ask[*kmsg.RemoveRaftVoterResponse](x, removeVoter(leader)).ErrorCode, nil)
	c.until("another leads", func() bool { l := c.raftLeader(); return l > 0 && l != leader })
	c.wait(3 * time.Second)
	c.code("RemoveRaftVoter again", ask[*kmsg.RemoveRaftVoterResponse](x, removeVoter(leader)).ErrorCode, kerr.VoterNotFound)
	if n := len(c.nodes[0].broker.Raft().Voters()); n != 2 {
		t.Errorf("%d voters", n)
	}
	// Who is no voter any more is a broker still, and its requests find the new controller.
	c.createTopic(t, leader, "t")
}

// raftLeader is who leads the quorum; 0 if nobody does.
func (c *cluster) raftLeader() int32 {
	for _, n := range c.nodes {
		if n.broker.Controller() != nil && n.broker.Controller().Active() {
			return n.id
		}
	}
	return 0
}

func (c *cluster) createTopic(t *testing.T, at int32, name string) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 5000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 3
	req.Topics = append(req.Topics, topic)
	resp := ask[*kmsg.CreateTopicsResponse](c.dial(at, clientPort), req)
	c.code("CreateTopics", resp.Topics[0].ErrorCode, nil)
}

// Hostile or mistaken requests change nothing.
func TestBadVoterRequestsAreRefused(t *testing.T) {
	c := startDynamic(t, 2, 1)
	x := c.dial(1, clientPort)
	other := "other"
	for _, b := range []struct {
		name string
		want *kerr.Error
		bend func(r *kmsg.AddRaftVoterRequest)
	}{
		{"another cluster", kerr.InconsistentClusterID, func(r *kmsg.AddRaftVoterRequest) { r.ClusterID = &other }},
		{"a negative id", kerr.InvalidRequest, func(r *kmsg.AddRaftVoterRequest) { r.VoterID = -1 }},
		{"no directory", kerr.InvalidRequest, func(r *kmsg.AddRaftVoterRequest) { r.VoterDirectoryID = [16]byte{} }},
		{"no listener", kerr.InvalidRequest, func(r *kmsg.AddRaftVoterRequest) { r.Listeners = nil }},
		{"another listener", kerr.InvalidRequest, func(r *kmsg.AddRaftVoterRequest) { r.Listeners[0].Name = "X" }},
		{"port 0", kerr.InvalidRequest, func(r *kmsg.AddRaftVoterRequest) { r.Listeners[0].Port = 0 }},
		{"an unknown host", kerr.RequestTimedOut, func(r *kmsg.AddRaftVoterRequest) { r.Listeners[0].Host = "nowhere" }},
		{"another directory than fetches", kerr.RequestTimedOut, func(r *kmsg.AddRaftVoterRequest) { r.VoterDirectoryID = [16]byte{9} }},
	} {
		req := addVoter(2)
		b.bend(req)
		c.code(b.name, ask[*kmsg.AddRaftVoterResponse](x, req).ErrorCode, b.want)
	}
	c.code("the last voter", ask[*kmsg.RemoveRaftVoterResponse](x, removeVoter(1)).ErrorCode, kerr.VoterNotFound)
	update := kmsg.NewPtrUpdateRaftVoterRequest()
	update.CurrentLeaderEpoch, update.VoterID, update.VoterDirectoryID = 1, 2, directoryOf(2)
	y := c.dial(1, controllerPort)
	c.code("an update without listeners", ask[*kmsg.UpdateRaftVoterResponse](y, update).ErrorCode, kerr.InvalidRequest)
	update.Listeners = []kmsg.UpdateRaftVoterRequestListener{{Name: "CONTROLLER", Host: "n2", Port: controllerPort}}
	update.KRaftVersionFeature.MaxSupportedVersion = 1
	c.code("an update of who is no voter", ask[*kmsg.UpdateRaftVoterResponse](y, update).ErrorCode, kerr.VoterNotFound)
	update.CurrentLeaderEpoch = 99
	c.code("an update of another epoch", ask[*kmsg.UpdateRaftVoterResponse](y, update).ErrorCode, kerr.UnknownLeaderEpoch)
	if n := len(c.nodes[0].broker.Raft().Voters()); n != 1 {
		t.Errorf("%d voters", n)
	}
}

// A quorum with static voters brings them into its log, and then they can be changed.
func TestStaticVotersAreUpgraded(t *testing.T) {
	c := start(t, 3)
	x := c.dial(1, clientPort)
	upgrade := func(level int16, validateOnly bool) *kmsg.UpdateFeaturesResponse {
		req := kmsg.NewPtrUpdateFeaturesRequest()
		req.Version, req.ValidateOnly = 2, validateOnly
		req.FeatureUpdates = append(req.FeatureUpdates, kmsg.UpdateFeaturesRequestFeatureUpdate{Feature: "kraft.version", MaxVersionLevel: level, UpgradeType: 1})
		return ask[*kmsg.UpdateFeaturesResponse](x, req)
	}
	c.code("to no version", upgrade(2, false).ErrorCode, kerr.InvalidUpdateVersion)
	c.code("validated only", upgrade(1, true).ErrorCode, nil)
	c.code("RemoveRaftVoter", ask[*kmsg.RemoveRaftVoterResponse](x, removeVoter(2)).ErrorCode, kerr.UnsupportedVersion)
	c.code("upgraded", upgrade(1, false).ErrorCode, nil)
	c.code("upgraded again", upgrade(1, false).ErrorCode, nil)
	if _, features, finalized := versions(x); features["kraft.version"] != 1 || finalized["kraft.version"] != 1 {
		t.Errorf("%v, %v", features, finalized)
	}
	c.code("back", upgrade(0, false).ErrorCode, kerr.InvalidUpdateVersion)
	remove, add := removeVoter(2), addVoter(2)
	remove.VoterDirectoryID, add.VoterDirectoryID = c.nodes[1].broker.DirectoryID(), c.nodes[1].broker.DirectoryID()
	c.code("RemoveRaftVoter", ask[*kmsg.RemoveRaftVoterResponse](x, remove).ErrorCode, nil)
	c.wait(5 * time.Second)
	c.code("AddRaftVoter", ask[*kmsg.AddRaftVoterResponse](x, add).ErrorCode, nil)
	c.createTopic(t, 2, "t")
}

package controller

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
)

// reassign asks for the first partition of a topic to have these replicas; nil cancels.
func (w *world) reassign(topic string, replicas []int32, change ...func(*kmsg.AlterPartitionAssignmentsRequest)) int16 {
	w.t.Helper()
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.Version = 1
	rp := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	rp.Replicas = replicas
	rt := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	rt.Topic, rt.Partitions = topic, append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	for _, f := range change {
		f(req)
	}
	resp := got(w, w.AlterPartitionReassignments, req)
	if resp.ErrorCode != 0 {
		return resp.ErrorCode
	}
	return resp.Topics[0].Partitions[0].ErrorCode
}

func (w *world) mustReassign(topic string, replicas ...int32) {
	w.t.Helper()
	if code := w.reassign(topic, replicas); code != 0 {
		w.t.Fatalf("reassignment refused: %v", kerr.ErrorForCode(code))
	}
}

// expectReplicas fails unless the first partition of a topic is assigned so.
func (w *world) expectReplicas(topic string, replicas, adding, removing []int32) *metadata.Partition {
	w.t.Helper()
	p := w.partition(topic)
	if !slices.Equal(p.Replicas, replicas) || !slices.Equal(p.Adding, adding) || !slices.Equal(p.Removing, removing) {
		w.t.Fatalf("replicas %v adding %v removing %v, want %v, %v, %v", p.Replicas, p.Adding, p.Removing, replicas, adding, removing)
	}
	if len(p.Dirs) != len(p.Replicas) {
		w.t.Fatalf("%d directories for %v", len(p.Dirs), p.Replicas)
	}
	return p
}

func (w *world) mustAlter(topic string, isr ...int32) {
	w.t.Helper()
	if rp := w.alter(topic, isr).Topics[0].Partitions[0]; rp.ErrorCode != 0 {
		w.t.Fatalf("AlterPartition refused: %v", kerr.ErrorForCode(rp.ErrorCode))
	}
}

func TestAReassignmentEndsWhenTheNewReplicasAreInTheISR(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3, 4)
	w.topic("a", 1, 2, 3)
	w.mustReassign("a", 1, 2, 4)
	p := w.expectReplicas("a", []int32{1, 2, 4, 3}, []int32{4}, []int32{3})
	if p.Dir(4) != [16]byte{2, 4} {
		t.Errorf("the new replica is in directory %v", p.Dir(4))
	}
	epoch := p.LeaderEpoch
	w.mustAlter("a", 1, 2, 3, 4)
	w.expectReplicas("a", []int32{1, 2, 4}, nil, nil)
	p = w.expect("a", 1, []int32{1, 2, 4}, nil)
	if p.LeaderEpoch != epoch+1 {
		t.Errorf("leader epoch %d, then %d: what the removed replica fetches would count", epoch, p.LeaderEpoch)
	}
}

// The leader asks for the ISR that ends its own leadership: it is told so, and the change is made.
func TestALeaderThatIsMovedAwayIsSucceeded(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3, 4)
	w.topic("a", 1, 2, 3)
	w.mustReassign("a", 4)
	if rp := w.alter("a", []int32{1, 2, 3, 4}).Topics[0].Partitions[0]; rp.ErrorCode != kerr.NewLeaderElected.Code {
		t.Errorf("code %d", rp.ErrorCode)
	}
	w.expectReplicas("a", []int32{4}, nil, nil)
	w.expect("a", 4, []int32{4}, nil)
	if w.count(event.UncleanElection) != 0 {
		t.Error("the election is told to be unclean")
	}
}

func TestAnotherOrderOfTheSameReplicasNeedsNoWait(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3)
	w.topic("a", 1, 2, 3)
	w.mustReassign("a", 3, 2, 1)
	p := w.expectReplicas("a", []int32{3, 2, 1}, nil, nil)
	if p.Leader != 1 || p.LeaderEpoch != 0 {
		t.Errorf("leader %d in epoch %d: no election is needed", p.Leader, p.LeaderEpoch)
	}
	if w.reassign("a", []int32{3, 2, 1}) != 0 || len(w.last) != 1 {
		t.Error("an assignment that is as wanted is an error, or a change")
	}
}

func TestFewerReplicasWaitUntilAllThatStayAreInTheISR(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3, 4)
	w.topic("a", 1, 2, 3)
	w.mustAlter("a", 1, 2)
	w.mustReassign("a", 3, 4)
	w.expectReplicas("a", []int32{3, 4, 1, 2}, []int32{4}, []int32{1, 2})
	w.mustAlter("a", 1, 2, 4)
	w.expectReplicas("a", []int32{3, 4, 1, 2}, []int32{4}, []int32{1, 2})
	w.alter("a", []int32{1, 2, 3, 4})
	w.expectReplicas("a", []int32{3, 4}, nil, nil)
	w.expect("a", 3, []int32{3, 4}, nil)
}

// Who leaves the assignment is not eligible, though it leaves an ISR below min ISR.
func TestARemovedReplicaIsNotEligible(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MinInsyncReplicas = 3 })
	w.up(1, 2, 3, 4)
	w.topic("a", 1, 2, 3)
	w.mustAlter("a", 1, 3)
	w.expect("a", 1, []int32{1, 3}, []int32{2})
	w.mustReassign("a", 1, 2, 4)
	w.mustAlter("a", 1, 3, 4)
	w.expectReplicas("a", []int32{1, 2, 4}, nil, nil)
	w.expect("a", 1, []int32{1, 4}, []int32{2})
}

func TestACancelledReassignmentGoesBack(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3, 4, 5)
	w.topic("a", 1, 2, 3)
	if code := w.reassign("a", nil); code != kerr.NoReassignmentInProgress.Code {
		t.Errorf("nothing to cancel: code %d", code)
	}
	w.mustReassign("a", 4, 5, 3)
	w.mustAlter("a", 1, 2, 3, 4)
	if code := w.reassign("a", nil); code != 0 {
		t.Fatalf("code %d", code)
	}
	if p := w.expectReplicas("a", []int32{3, 1, 2}, nil, nil); p.LeaderEpoch != 1 {
		t.Errorf("leader epoch %d", p.LeaderEpoch)
	}
	w.expect("a", 1, []int32{1, 2, 3}, nil)
}

func TestGoingBackToReplicasThatAreBehindIsUnclean(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3, 4)
	w.topic("a", 1, 2)
	w.mustReassign("a", 3, 4)
	w.mustAlter("a", 1, 2, 3)
	w.expire(1, 2)
	w.expect("a", 3, []int32{3}, []int32{2})
	if code := w.reassign("a", nil); code != kerr.InvalidReplicaAssignment.Code {
		t.Errorf("code %d", code)
	}
	w.setConfig(kmsg.ConfigResourceTypeTopic, "a", keyUncleanElection, kmsg.IncrementalAlterConfigOpSet, "true")
	if code := w.reassign("a", nil); code != 0 {
		t.Errorf("with unclean election: code %d", code)
	}
	w.expectReplicas("a", []int32{1, 2}, nil, nil)
}

// A second reassignment takes over from the first: who was being added is still waited for if it is to stay, and no
// more if it is not.
func TestAReassignmentReplacesTheOneUnderWay(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3, 4, 5)
	w.topic("a", 1, 2, 3)
	w.mustReassign("a", 1, 2, 4)
	w.mustReassign("a", 1, 4, 5)
	w.expectReplicas("a", []int32{1, 4, 5, 2, 3}, []int32{4, 5}, []int32{2, 3})
	w.mustAlter("a", 1, 2, 3, 5)
	w.expectReplicas("a", []int32{1, 4, 5, 2, 3}, []int32{4, 5}, []int32{2, 3})
	w.mustReassign("a", 1, 2, 3)
	w.expectReplicas("a", []int32{1, 2, 3}, nil, nil)
	w.expect("a", 1, []int32{1, 2, 3}, nil)
}

func TestAReassignmentIsChecked(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3)
	w.topic("a", 1, 2)
	type request = kmsg.AlterPartitionAssignmentsRequest
	fixed := func(r *request) { r.AllowReplicationFactorChange = false }
	for _, tc := range []struct {
		name     string
		replicas []int32
		change   func(*request)
		want     *kerr.Error
	}{
		{"no replicas", []int32{}, func(*request) {}, kerr.InvalidReplicaAssignment},
		{"one twice", []int32{1, 1}, func(*request) {}, kerr.InvalidReplicaAssignment},
		{"not registered", []int32{1, 9}, func(*request) {}, kerr.InvalidReplicaAssignment},
		{"unknown topic", []int32{1}, func(r *request) { r.Topics[0].Topic = "b" }, kerr.UnknownTopicOrPartition},
		{"unknown partition", []int32{1}, func(r *request) { r.Topics[0].Partitions[0].Partition = 1 }, kerr.UnknownTopicOrPartition},
		{"another number of replicas", []int32{1, 2, 3}, fixed, kerr.InvalidReplicationFactor},
	} {
		if code := w.reassign("a", tc.replicas, tc.change); code != tc.want.Code {
			t.Errorf("%s: code %d, want %d", tc.name, code, tc.want.Code)
		}
	}
	if code := w.reassign("a", []int32{1, 3}, fixed); code != 0 {
		t.Errorf("the same number of replicas: code %d", code)
	}
	if code := w.reassign("a", []int32{3, 2}, fixed); code != 0 {
		t.Errorf("the same number while another is under way: code %d", code)
	}
	w.OnLeader(self+1, 9, w.committed, false)
	if code := w.reassign("a", []int32{1, 3}); code != kerr.NotController.Code {
		t.Errorf("inactive: code %d", code)
	}
}

func TestReassignmentsAreListedWhileTheyLast(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3)
	w.topicOf("a", []int32{1, 2}, []int32{2, 1})
	w.topic("b", 1, 2)
	w.mustReassign("a", 1, 3)
	list := func(topics ...kmsg.ListPartitionReassignmentsRequestTopic) []kmsg.ListPartitionReassignmentsResponseTopic {
		req := kmsg.NewPtrListPartitionReassignmentsRequest()
		req.Topics = topics
		return got(w, w.ListPartitionReassignments, req).Topics
	}
	all := list()
	if len(all) != 1 || all[0].Topic != "a" || len(all[0].Partitions) != 1 {
		t.Fatalf("listed %+v", all)
	}
	if p := all[0].Partitions[0]; !slices.Equal(p.Replicas, []int32{1, 3, 2}) || !slices.Equal(p.AddingReplicas, []int32{3}) || !slices.Equal(p.RemovingReplicas, []int32{2}) {
		t.Errorf("listed %+v", p)
	}
	named := kmsg.ListPartitionReassignmentsRequestTopic{Topic: "a", Partitions: []int32{1, 7, 0}}
	if some := list(named, kmsg.ListPartitionReassignmentsRequestTopic{Topic: "c", Partitions: []int32{0}}); len(some) != 1 || len(some[0].Partitions) != 1 {
		t.Errorf("of the named: %+v", some)
	}
	w.mustAlter("a", 1, 2, 3)
	if left := list(); len(left) != 0 {
		t.Errorf("listed after its end: %+v", left)
	}
}

package sim

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
)

// calmStage is a cluster with which nothing has been wrong for long, and a producer that has not begun.
func calmStage(t *testing.T) *Stage {
	t.Helper()
	o := Canonical()
	o.Cluster.Session, o.Cluster.Heartbeat = 3*time.Second, 600*time.Millisecond
	o.Cluster.ReplicaLag, o.Cluster.RequestTimeout = time.Second, 2*time.Second
	o.Topics, o.Producers, o.Consumers = o.Topics[:1], o.Producers[:1], nil
	o.Topics[0].Partitions = 1
	s, err := NewStage(&Schedule{Build: Build(), Scenario: "service", Seed: 1, Options: o}, nil)
	if err == nil {
		err = s.Start()
	}
	if err == nil {
		err = s.Run(20 * time.Second)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func expectBroken(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("no %q in %v", words, err)
	}
}

func TestRecordThatWaitsWithoutReasonIsNotLive(t *testing.T) {
	s := calmStage(t)
	s.r.producers[0].lanes[0].add(1) // and nobody sends it
	expectBroken(t, s.Run(20*time.Second), "P9 broken: record 0 of p0 for t0-0 is not acknowledged for 3s, though leader")
}

func TestRecordThatWaitsWhileOthersAreCommittedIsPatient(t *testing.T) {
	s := calmStage(t)
	l := s.r.producers[0].lanes[0]
	l.add(1) // and nobody sends it
	for range 20 {
		if _, err := s.Produce(l.part.id, 0, -1, time.Second, "another"); err != nil {
			t.Fatal(err)
		}
		if err := s.Run(time.Second); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecordThatWaitsForFaultsIsPatient(t *testing.T) {
	s := calmStage(t)
	s.r.producers[0].lanes[0].add(1)
	for _, f := range []Fault{{Label: "pause/0", Kind: Pause, Target: "n2"}, {Label: "pause/1", Kind: Pause, Target: "n3"}} {
		if _, err := s.Begin(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Run(30 * time.Second); err != nil {
		t.Error(err)
	}
}

// A follower that backs off again and again, as an armed rare path has it, keeps a record waiting; one that backs off no more does not.
func TestRecordThatWaitsForAFollowerThatBacksOffIsPatient(t *testing.T) {
	for site, broken := range map[buggify.Site]bool{buggify.FollowerBackoff: false, buggify.SessionReset: true} {
		s := calmStage(t)
		p := buggify.NewPlan([]buggify.Armed{{Site: site, OneIn: 1}})
		p.Switch(true)
		leader := s.r.cluster.image().Partition(s.r.producers[0].lanes[0].part.id).Leader
		follower := s.r.cluster.byID(leader%3 + 1)
		follower.rare = p.Sites(func(string) *rand.Rand { return rand.New(rand.NewPCG(1, 1)) })
		var fire func()
		fire = func() {
			follower.rare.Fires(site)
			s.r.world.After(time.Second, fire)
		}
		fire()
		s.r.producers[0].lanes[0].add(1) // and nobody sends it
		if err := s.Run(30 * time.Second); (err != nil) != broken {
			t.Errorf("%v: %v", site, err)
		}
	}
}

func TestControllerThatFencesAHealthyBrokerIsNotLive(t *testing.T) { // M30
	s := calmStage(t)
	c := s.r.cluster.controller()
	other := c.id%3 + 1
	if _, err := s.Begin(Fault{Label: "slow-disk/0", Kind: SlowDisk, Target: c.name, Size: 100}); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(15 * time.Second); err != nil {
		t.Fatal(err)
	}
	s.r.judge.service.onFenced(c.id, &event.Event{Kind: event.BrokerFenced, Peer: other}, s.r.world.Now())
	expectBroken(t, s.failure(), "which has had nothing wrong with it for two sessions")
}

func TestFencingABrokerThatStoodStillIsRight(t *testing.T) {
	s := calmStage(t)
	c := s.r.cluster.controller()
	other := c.id%3 + 1
	if _, err := s.Begin(Fault{Label: "pause/0", Kind: Pause, Target: nodeName(other)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(15 * time.Second); err != nil {
		t.Error(err)
	}
}

func TestGivingUpADiskThatIsFineIsNotLive(t *testing.T) {
	s := calmStage(t)
	s.r.judge.service.onLogDirFailed(2, &event.Event{Kind: event.LogDirFailed, Note: "why"}, s.r.world.Now())
	expectBroken(t, s.failure(), "P9 broken: broker 2 gave up its log directory (why), though nothing has been wrong with its disk")
}

func TestFailingDiskExcusesItsBrokerOnly(t *testing.T) {
	s := calmStage(t)
	if _, err := s.Begin(Fault{Label: "failing-disk/0", Kind: FailingDisk, Target: "n1", Size: failedWrites}); err != nil {
		t.Fatal(err)
	}
	s.r.judge.service.onLogDirFailed(1, &event.Event{Kind: event.LogDirFailed, Note: "why"}, s.r.world.Now())
	if err := s.failure(); err != nil {
		t.Error(err)
	}
	s.r.judge.service.onLogDirFailed(2, &event.Event{Kind: event.LogDirFailed, Note: "why"}, s.r.world.Now())
	expectBroken(t, s.failure(), "P9 broken: broker 2 gave up its log directory (why), though nothing has been wrong with its disk")
}

func TestQuorumLeaderThatHasASuccessorGivesUp(t *testing.T) { // M27
	s := calmStage(t)
	q := &s.r.judge.service.quorum
	q.leader, q.epoch = q.leader%3+1, q.epoch+1
	expectBroken(t, s.Run(6*time.Second), "still leads the quorum in epoch")
}

// A leader that reaches its observers only, or one voter of three: with a checker that wants less patience than the core has, the first
// is too late, the second may go on.
func TestQuorumLeaderWithoutAMajorityGivesUp(t *testing.T) { // M27
	for _, c := range []struct {
		lost  int // voters that it loses
		limit time.Duration
		words string
	}{{2, 2 * time.Second, ""}, {2, 200 * time.Millisecond, "though it has heard of no majority of the voters for 1."}, {1, 200 * time.Millisecond, ""}} {
		s := calmStage(t)
		s.r.schedule.Options.Cluster.QuorumTimeout = c.limit // the nodes have theirs
		leader := s.r.cluster.controller()
		for _, v := range leader.broker.Raft().Voters() {
			if v.ID == leader.id || c.lost == 0 {
				continue
			}
			c.lost--
			if _, err := s.Begin(Fault{Label: "partition/" + nodeName(v.ID), Kind: PartitionTwo, Target: leader.name, Peer: nodeName(v.ID)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Run(20 * time.Second); c.words != "" || err != nil {
			expectBroken(t, err, c.words)
		}
	}
}

// A leader whose disk has failed has stopped, as it was; it takes no notice of a successor.
func TestQuorumLeaderThatHasStoppedNeedNotGiveUp(t *testing.T) {
	s := calmStage(t)
	leader := s.r.cluster.controller()
	if _, err := s.Begin(Fault{Label: "failing-disk/0", Kind: FailingDisk, Target: leader.name, Size: 1}); err != nil {
		t.Fatal(err)
	}
	s.r.producers[0].lanes[0].add(1)
	s.r.producers[0].lanes[0].pump()
	if err := s.Run(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	if r := leader.broker.Raft(); r.Failure() == nil || r.State() != "leader" || s.r.cluster.controller() == leader {
		t.Fatalf("%s, %v", r.State(), r.Failure())
	}
}

// The new leader never had what was read in epoch 1, and has more of epoch 0 than the old one.
func TestConsumerGoesBackToWhereAnOlderEpochEnds(t *testing.T) {
	p := &position{offset: 300, epochs: []epochRead{{0, 0}, {1, 139}}}
	for _, c := range []struct {
		epoch     int32
		end, want int64
	}{{1, 400, 300}, {1, 200, 200}, {0, 417, 139}, {0, 100, 100}} {
		if got := p.agreed(c.epoch, c.end); got != c.want {
			t.Errorf("epoch %d ends at %d: back to %d, want %d", c.epoch, c.end, got, c.want)
		}
	}
	if p.back(139); p.offset != 139 || p.epoch() != 0 {
		t.Errorf("at %d after epoch %d", p.offset, p.epoch())
	}
}

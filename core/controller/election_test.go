package controller

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/lockstep/lockstep/core/metadata"
)

// electionCase is written "replicas / isr / elr / last known / leader", who is alive, the target ISR
// and the election; the outcome is what changes.
type electionCase struct {
	name          string
	replicas, isr []int32
	elr, last     []int32
	leader        int32
	alive, target []int32
	election      electionType
	minISR        int
	noELR         bool
	unclean       int32 // shut down uncleanly; 0: none
	want          string
}

func (e electionCase) change() *partitionChange {
	b := &partitionChange{
		partition:  &metadata.Partition{Replicas: e.replicas, ISR: e.isr, ELR: e.elr, LastKnownELR: e.last, Leader: e.leader},
		targetISR:  e.target,
		election:   e.election,
		minISR:     e.minISR,
		elrEnabled: !e.noELR, uncleanShutdown: none,
		acceptable: func(id int32) bool { return slices.Contains(e.alive, id) },
		target:     assignment{replicas: e.replicas},
	}
	if e.unclean != 0 {
		b.uncleanShutdown = e.unclean
	}
	return b
}

func outcome(r *metadata.PartitionChangeRecord) string {
	if r == nil {
		return "nothing"
	}
	s := ""
	add := func(changed bool, format string, v any) {
		if changed {
			s += fmt.Sprintf(format, v)
		}
	}
	add(r.Leader != metadata.NoLeaderChange, " leader=%v", r.Leader)
	add(r.Isr != nil, " isr=%v", r.Isr)
	add(r.EligibleLeaderReplicas != nil, " elr=%v", r.EligibleLeaderReplicas)
	add(r.LastKnownElr != nil, " last=%v", r.LastKnownElr)
	add(r.LeaderRecoveryState != metadata.RecoveryNoChange, " recovery=%v", r.LeaderRecoveryState)
	return s[1:]
}

func TestElectionTable(t *testing.T) {
	r123 := []int32{1, 2, 3}
	for _, e := range []electionCase{
		{name: "nothing to do", isr: r123, leader: 1, alive: r123, target: r123, minISR: 2, want: "nothing"},
		{name: "the leader stays though not preferred", isr: r123, leader: 2, alive: r123, target: r123, minISR: 2, want: "nothing"},
		{name: "the preferred leader returns", isr: r123, leader: 2, alive: r123, target: r123, election: electPreferred, minISR: 2, want: "leader=1"},
		{name: "a preferred leader outside the ISR does not", isr: []int32{2, 3}, leader: 2, alive: r123, target: []int32{2, 3}, election: electPreferred, minISR: 2, want: "nothing"},
		{name: "the leader dies", isr: r123, leader: 1, alive: []int32{2, 3}, target: []int32{2, 3}, minISR: 2, want: "leader=2 isr=[2 3]"},
		{name: "a follower dies", isr: r123, leader: 1, alive: []int32{1, 2}, target: []int32{1, 2}, minISR: 2, want: "isr=[1 2]"},
		{name: "below min ISR the leaver is eligible", isr: []int32{1, 2}, leader: 1, alive: []int32{1}, target: []int32{1}, minISR: 2, want: "isr=[1] elr=[2]"},
		{name: "back at min ISR nobody needs to be", isr: []int32{1}, elr: []int32{2, 3}, leader: 1, alive: r123, target: []int32{1, 2}, minISR: 2, want: "isr=[1 2] elr=[]"},
		{name: "the last one dies", isr: []int32{1}, elr: []int32{2}, leader: 1, alive: nil, target: nil, minISR: 2, want: "leader=-1 isr=[] elr=[1 2] last=[1]"},
		{name: "an eligible one takes over from the last", isr: []int32{1}, elr: []int32{2}, leader: 1, alive: []int32{2, 3}, target: nil, minISR: 2, want: "leader=2 isr=[2] elr=[1]"},
		{name: "no ELR member while the ISR has members", isr: []int32{1}, elr: []int32{2}, leader: -1, last: []int32{1}, alive: []int32{2}, target: []int32{1}, minISR: 2, want: "nothing"},
		{name: "an eligible one returns", elr: []int32{1, 2}, leader: -1, last: []int32{1}, alive: []int32{2}, minISR: 2, want: "leader=2 isr=[2] elr=[1] last=[]"},
		{name: "an eligible one returns and commits alone", elr: []int32{1, 2}, leader: -1, last: []int32{1}, alive: []int32{2}, minISR: 1, want: "leader=2 isr=[2] elr=[] last=[]"},
		{name: "one that is not eligible returns", elr: []int32{1}, leader: -1, last: []int32{1}, alive: []int32{3}, minISR: 2, want: "nothing"},
		{name: "unclean when allowed", elr: []int32{1}, leader: -1, last: []int32{1}, alive: []int32{3}, election: electUnclean, minISR: 2, want: "leader=3 isr=[3] elr=[] last=[] recovery=1"},
		{name: "allowed but not needed", elr: []int32{2}, leader: -1, last: []int32{1}, alive: []int32{1, 2}, election: electUnclean, minISR: 2, want: "leader=2 isr=[2] elr=[] last=[]"},
		{name: "an unclean shutdown leaves the ELR", elr: []int32{1, 2}, leader: -1, last: []int32{1}, unclean: 1, minISR: 2, want: "elr=[2]"},
		{name: "an unclean shutdown of the last in the ISR", isr: []int32{2}, elr: []int32{1}, leader: 2, alive: []int32{3}, unclean: 2, minISR: 2, want: "leader=-1 isr=[] last=[2]"},
		{name: "the last known leader when all were unclean", leader: -1, last: []int32{2}, alive: []int32{1, 2}, minISR: 2, want: "leader=2 isr=[2] last=[] recovery=1"},
		{name: "nobody but the last known leader", leader: -1, last: []int32{2}, alive: []int32{1, 3}, minISR: 2, want: "nothing"},
		{name: "without ELR the last member stays in the ISR", isr: []int32{1}, leader: 1, alive: []int32{2}, noELR: true, minISR: 2, want: "leader=-1"},
		{name: "an unclean shutdown of one that stayed in the ISR without ELR", isr: []int32{2}, leader: -1, unclean: 2, minISR: 2, want: "isr=[] last=[2]"},
		{name: "one that stayed in the ISR without ELR and is fenced", isr: []int32{2}, leader: -1, minISR: 2, want: "isr=[] elr=[2] last=[2]"},
		{name: "ELR is off and it alone knows who has the data", elr: []int32{1, 2}, leader: -1, last: []int32{1}, alive: []int32{3}, noELR: true, minISR: 2, want: "nothing"},
		{name: "one that ELR knew returns when it is off", elr: []int32{1, 2}, leader: -1, last: []int32{1}, alive: []int32{2, 3}, noELR: true, minISR: 2, want: "leader=2 isr=[2] elr=[] last=[]"},
		{name: "one that ELR knew is forgotten when it is off", elr: []int32{1, 2}, leader: -1, last: []int32{1}, alive: []int32{3}, unclean: 1, noELR: true, minISR: 2, want: "elr=[2]"},
		{name: "the last known leader returns when ELR is off", leader: -1, last: []int32{2}, alive: []int32{1, 2}, noELR: true, minISR: 2, want: "leader=2 isr=[2] last=[] recovery=1"},
		{name: "not the last known leader while the ISR has a member", isr: []int32{1}, leader: -1, last: []int32{2}, alive: []int32{2}, noELR: true, minISR: 2, want: "nothing"},
		{name: "unclean when ELR is off", elr: []int32{1}, leader: -1, last: []int32{1}, alive: []int32{3}, election: electUnclean, noELR: true, minISR: 2, want: "leader=3 isr=[3] elr=[] last=[] recovery=1"},
		{name: "the ELR goes with the ISR's own member when it is off", isr: []int32{1}, elr: []int32{2}, leader: 1, alive: []int32{3}, noELR: true, minISR: 2, want: "leader=-1 elr=[]"},
		{name: "without ELR it leads again", isr: []int32{1}, leader: -1, alive: []int32{1, 2}, target: []int32{1}, noELR: true, minISR: 2, want: "leader=1"},
		{name: "without ELR, unclean", isr: []int32{1}, leader: 1, alive: []int32{2}, election: electUnclean, noELR: true, minISR: 2, want: "leader=2 isr=[2] recovery=1"},
	} {
		if e.replicas == nil {
			e.replicas = r123
		}
		if got := outcome(e.change().build()); got != e.want {
			t.Errorf("%s: %s, want %s", e.name, got, e.want)
		}
	}
}

// What must hold of any change, however it came about.
func TestElectionsKeepWhatIsPromised(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		subset := func(label string, of []int32) []int32 {
			return slices.DeleteFunc(slices.Clone(of), func(int32) bool { return rapid.Bool().Draw(t, label) })
		}
		e := electionCase{
			replicas: []int32{1, 2, 3}, minISR: rapid.IntRange(1, 3).Draw(t, "minISR"), noELR: rapid.Bool().Draw(t, "noELR"),
			election: electionType(rapid.IntRange(0, 2).Draw(t, "election")), unclean: rapid.Int32Range(0, 3).Draw(t, "unclean"),
		}
		e.isr = subset("isr", e.replicas)
		if !e.noELR || len(e.isr) == 0 {
			e.elr = slices.DeleteFunc(subset("elr", e.replicas), func(id int32) bool { return slices.Contains(e.isr, id) })
		}
		e.alive = slices.DeleteFunc(subset("alive", e.replicas), func(id int32) bool { return id == e.unclean })
		e.target = slices.DeleteFunc(subset("target", e.replicas), func(id int32) bool { return id == e.unclean })
		e.leader = metadata.NoLeader
		if len(e.isr) > 0 {
			e.leader = rapid.SampledFrom(append(slices.Clone(e.isr), none)).Draw(t, "leader")
		}
		if slices.Contains(e.alive, e.leader) && !slices.Contains(e.target, e.leader) {
			e.target = append(e.target, e.leader)
		}
		b := e.change()
		r := b.build()
		if r == nil {
			return
		}
		img := metadata.NewImage()
		p := b.partition
		_ = img.Apply(&metadata.TopicRecord{Name: "t"})
		if err := img.Apply(p.Record()); err != nil {
			t.Fatal(err)
		}
		if err := img.Apply(r); err != nil {
			t.Fatal(err)
		}
		n := img.Topic("t").Partitions[0]
		switch {
		case n.Leader >= 0 && n.Leader != p.Leader && !slices.Contains(e.alive, n.Leader):
			t.Fatalf("elected %d, which is not alive", n.Leader)
		case n.Leader >= 0 && !slices.Contains(n.ISR, n.Leader):
			t.Fatalf("leader %d is not in the ISR %v", n.Leader, n.ISR)
		case slices.ContainsFunc(n.ELR, func(id int32) bool { return slices.Contains(n.ISR, id) }):
			t.Fatalf("ISR %v and ELR %v overlap", n.ISR, n.ELR)
		case !e.noELR && len(n.ISR) >= e.minISR && len(n.ELR) > 0:
			t.Fatalf("ISR %v is at min ISR %d and the ELR is %v", n.ISR, e.minISR, n.ELR)
		case e.unclean != 0 && slices.Contains(n.ELR, e.unclean):
			t.Fatalf("%d shut down uncleanly and is in the ELR %v", e.unclean, n.ELR)
		case n.Leader != p.Leader && n.LeaderEpoch == p.LeaderEpoch:
			t.Fatal("a new leader without a new epoch")
		}
		clean := slices.Contains(e.target, n.Leader) || slices.Contains(e.elr, n.Leader) || slices.Contains(e.isr, n.Leader)
		if n.Leader >= 0 && n.Leader != p.Leader && !clean && !n.Recovering {
			t.Fatalf("an unclean leader %d is not recovering", n.Leader)
		}
	})
}

package sim

import (
	"slices"
	"testing"
	"time"
)

// calmGroup is a small world with one group.
func calmGroup(g GroupOptions, faults ...Fault) *Schedule {
	s := calm(faults...)
	s.Options.For = 10 * time.Second
	s.Options.Groups, s.Options.Offsets = []GroupOptions{g}, plainOffsets()
	return s
}

// notes counts the entries of each kind that have a note of members.
func notes(s *Schedule) (*Result, map[string]int) {
	seen := map[string]int{}
	r := Run(s, RunOptions{Trace: TracerFunc(func(e *Entry) { seen[e.Kind]++ })})
	return r, seen
}

func TestGroupWithoutTroublesReadsAllAndCommitsIt(t *testing.T) {
	for _, version := range []int{0, 3, 4, 5, 7, 9} {
		g := plainGroup()
		g.Members, g.Version = 2, version
		r, seen := notes(calmGroup(g))
		if r.Verdict() != Passed || r.Stats.Read != 2*r.Stats.Acked || seen["group-trouble"] > 0 || seen["coordinator-loaded"] == 0 {
			t.Errorf("version %d: %s: %s; %d acknowledged, %d read, %d troubles\n%s", version, r.Verdict(), r.Reason(), r.Stats.Acked, r.Stats.Read, seen["group-trouble"], r.Stack)
		}
	}
}

func TestGroupOfTheConsumerProtocolReadsAllAndCommitsIt(t *testing.T) {
	for _, protocol := range []string{nativeProtocol, bothProtocols} {
		g := plainGroup()
		g.Members, g.Protocol = 3, protocol
		r, seen := notes(calmGroup(g))
		if r.Verdict() != Passed || r.Stats.Read < 2*r.Stats.Acked || seen["coordinator-loaded"] == 0 {
			t.Errorf("%s: %s: %s; %d acknowledged, %d read, %d troubles\n%s", protocol, r.Verdict(), r.Reason(), r.Stats.Acked, r.Stats.Read, seen["group-trouble"], r.Stack)
		}
	}
}

func TestMembersComeAndGo(t *testing.T) {
	for _, protocol := range []string{"", nativeProtocol, bothProtocols} {
		for _, static := range []bool{false, true} {
			g := plainGroup()
			g.Members, g.Static, g.Churn, g.Session, g.Protocol = 3, static, time.Second, time.Second, protocol
			r, seen := notes(calmGroup(g))
			if r.Verdict() != Passed || seen["member-crashed"] == 0 || seen["member-leaves"] == 0 || seen["member-stalls"] == 0 || seen["group-trouble"] == 0 {
				t.Errorf("%q, static %t: %s: %s, %v\n%s", protocol, static, r.Verdict(), r.Reason(), seen, r.Stack)
			}
		}
	}
}

func TestGroupOutlivesItsCoordinator(t *testing.T) {
	g := plainGroup()
	s := calmGroup(g, Fault{Label: "kill/0", Kind: Kill, At: 3 * time.Second, For: 2 * time.Second, Target: "leader:__consumer_offsets/0"})
	s.Options.Cluster.Session, s.Options.Cluster.Heartbeat = 500*time.Millisecond, 100*time.Millisecond
	if r, seen := notes(s); r.Verdict() != Passed || r.Stats.Effective[Kill] != 1 || seen["coordinator-loaded"] < 2 {
		t.Errorf("%s: %s, %v\n%s", r.Verdict(), r.Reason(), seen, r.Stack)
	}
}

// Seeds without groups are as they would be if there were none at all; those with groups are all settled by the seed.
func TestSomeSeedsHaveGroups(t *testing.T) {
	with := 0
	for seed := range uint64(200) {
		s := Draw(seed)
		if len(s.Options.Groups) == 0 {
			continue
		}
		with++
		again, err := ParseSchedule(s.String())
		if err != nil || !slices.Equal(again.Options.Groups, s.Options.Groups) || again.Options.Offsets != s.Options.Offsets {
			t.Errorf("seed %d: %v; wrote\n%s", seed, err, s)
		}
	}
	if with < 30 || with > 70 {
		t.Errorf("%d of 200 seeds have groups", with)
	}
}

func TestGroupsThatCannotBeAreRefused(t *testing.T) {
	for _, line := range []string{"members=0", "topics=t7", "static=true version=4", "version=99", "session=1ms", "topics=__consumer_offsets"} {
		s := calmGroup(plainGroup())
		s.Options.Groups = nil
		if _, err := ParseSchedule(s.String() + "offsets partitions=1\ngroup " + line + "\n"); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
}

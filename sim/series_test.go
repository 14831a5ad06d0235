package sim

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// Of the faults of a series one at a time waits for its event: each new leader is struck once.
func TestSeriesStrikesOnceAnEvent(t *testing.T) {
	var faults []Fault
	for _, label := range []string{"kill/0", "kill/1", "kill/2"} {
		faults = append(faults, Fault{
			Label: label, Kind: Kill, At: time.Second, For: time.Second, Target: roleAny,
			On: "became-leader@leader:t0/0", Series: "s", Delay: 10 * time.Millisecond,
		})
	}
	faults[0].On, faults[0].Target, faults[0].Delay = "", "leader:t0/0", 0
	s := calm(faults...)
	s.Options.For = 8 * time.Second
	s.Options.Cluster.Session, s.Options.Cluster.Heartbeat = 500*time.Millisecond, 100*time.Millisecond
	again, err := ParseSchedule(s.String())
	if err != nil || !reflect.DeepEqual(s, again) {
		t.Fatalf("%v: wrote\n%s\nread\n%s", err, s, again)
	}
	var story []string
	r := Run(s, RunOptions{Trace: TracerFunc(func(e *Entry) {
		switch {
		case e.Kind == "fault" && strings.HasPrefix(e.Note, "begins"):
			story = append(story, e.Fault)
		case e.Kind == "became-leader" && e.Partition == "t0-0" && e.Epoch > 0:
			story = append(story, "leader")
		}
	})})
	want := "kill/0 leader kill/1 leader kill/2"
	if r.Verdict() != Passed || !strings.HasPrefix(strings.Join(story, " "), want) {
		t.Errorf("%s: %s: %v", r.Verdict(), r.Reason(), story)
	}
}

// A fault may ask for an event with a note: who became the quorum's leader is struck, not who became its follower.
func TestFaultFollowsAnEventWithItsNote(t *testing.T) {
	pause := Fault{Label: "pause/0", Kind: Pause, At: time.Second, For: 4 * time.Second, Target: roleController}
	kill := Fault{Label: "kill/0", Kind: Kill, At: time.Second, For: time.Second, Target: roleAny, On: "raft-became/leader"}
	s := calm(pause, kill)
	s.Options.For = 8 * time.Second
	leader, killed := int32(-1), int32(-1)
	r := Run(s, RunOptions{Trace: TracerFunc(func(e *Entry) {
		switch {
		case e.Kind == "raft-became" && e.Note == "leader" && killed < 0:
			leader = e.Node
		case e.Kind == "killed" && killed < 0:
			killed = e.Node
		}
	})})
	if r.Verdict() != Passed || killed < 0 || killed != leader {
		t.Errorf("%s: %s: %d became leader, %d was killed", r.Verdict(), r.Reason(), leader, killed)
	}
}

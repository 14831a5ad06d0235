package sim

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// sizesInTest are sizes that cannot miss.
var sizesInTest = map[Kind]int64{
	Delay: 50_000, SlowLink: 10 << 10, RestartStorm: 3, SlowDisk: 100, Split: 1, Bridge: 1, ClockOffset: 60_000, ClockJump: -60_000,
	ClockDrift: -50_000, AddPartitions: 2, RecreateTopic: 2, AlterConfig: 2,
}

// witness is a schedule in which a kind of fault strikes where it matters.
func witness(k Kind) *Schedule {
	f := Fault{Label: k.String() + "/0", Kind: k, At: time.Second, For: 1500 * time.Millisecond, Target: "leader:t0/0", Size: sizesInTest[k]}
	if k.hasPeer() {
		f.Target, f.Peer = "n1", "n2"
	}
	s := calm(f)
	switch k {
	case WipedDisk: // voters keep their disks
		s.Options.Cluster.Combined = false
	case BitRot, MisdirectedWrite: // what was not synced may be gone before it is damaged
		s.Options.Topics[0].FlushMessages = 1
	case UnregisterBroker: // it may have been the controller
		s.Faults[0].For, s.Options.For = 4*time.Second, 8*time.Second
	case AddVoter, RemoveVoter:
		s.Options.Cluster.Voters, s.Options.Cluster.Controllers = 2, 3
		s.Faults[0].Target = "n3"
		if k == RemoveVoter {
			s.Faults[0].Target = "controller"
		}
	case MoveLogDir:
		s.Options.Cluster.LogDirs = 2
	case ElectLeader: // there is something to do when the preferred leader was away
		s.Faults[0].At = 3 * time.Second
		s.Faults = append([]Fault{{Label: "kill/0", Kind: Kill, At: time.Second, For: time.Second, Target: "leader:t0/0"}}, s.Faults...)
		s.Options.Cluster.Session, s.Options.Cluster.Heartbeat = 500*time.Millisecond, 100*time.Millisecond
		s.Options.For = 6 * time.Second
	}
	return s
}

// Each kind, where it hits what matters, is seen to have an effect, and the cluster survives it.
func TestEachKindOfFaultHasAnEffect(t *testing.T) {
	for k := range numKinds {
		r := Run(witness(k), RunOptions{})
		if r.Verdict() != Passed || r.Stats.Effective[k] != 1 {
			t.Errorf("%s: %s: %s, %d effects\n%s", k, r.Verdict(), r.Reason(), r.Stats.Effective[k], r.Stack)
		}
	}
}

// After its end a fault has hold of nothing: the same one can strike again and has an effect again.
func TestEachKindOfFaultIsOverWhenItEnds(t *testing.T) {
	for k := range numKinds {
		s := witness(k)
		if k == AddPartitions || k == ElectLeader || k == Reassign || k.isVoters() {
			continue // what is done once is not done twice
		}
		s.Options.For = 12 * time.Second
		again := s.Faults[0]
		again.Label, again.At = k.String()+"/1", 7*time.Second
		s.Faults = append(s.Faults, again)
		if r := Run(s, RunOptions{}); r.Verdict() != Passed || r.Stats.Effective[k] != 2 {
			t.Errorf("%s: %s: %s, %d effects\n%s", k, r.Verdict(), r.Reason(), r.Stats.Effective[k], r.Stack)
		}
	}
}

// The machine loses its power all the same, but no record of it is damaged: a voter has none.
func TestDamageWithoutRecordsHasNoEffect(t *testing.T) {
	for _, k := range []Kind{BitRot, MisdirectedWrite} {
		s := witness(k)
		s.Options.Cluster.Combined = false
		s.Faults[0].Target = nodeName(firstVoter)
		if r := Run(s, RunOptions{}); r.Verdict() != Inconclusive || r.Stats.Effective[k] != 0 {
			t.Errorf("%s: %s: %s, %d effects", k, r.Verdict(), r.Reason(), r.Stats.Effective[k])
		}
	}
}

func TestFaultOfNoSizeHasNoEffect(t *testing.T) {
	for _, f := range []Fault{{Kind: SlowDisk, Size: 0}, {Kind: SlowDisk, Size: 1}, {Kind: ClockOffset}, {Kind: ClockDrift}, {Kind: ClockJump}} {
		s := witness(f.Kind)
		s.Faults[0].Size = f.Size
		if r := Run(s, RunOptions{}); r.Verdict() != Inconclusive || r.Stats.Effective[f.Kind] != 0 {
			t.Errorf("%s of size %d: %s: %s, %d effects", f.Kind, f.Size, r.Verdict(), r.Reason(), r.Stats.Effective[f.Kind])
		}
	}
}

// Each size of a failing disk is noticed: the broker gives its directory up, and is started again when it is repaired.
func TestEachFailureOfADiskIsNoticed(t *testing.T) {
	for _, size := range []int64{failedWrites, failedSyncs, failedWrite, failedSync, forgottenSync, failedAside, failedAside + 1, failedAside + producersFile} {
		s := witness(FailingDisk)
		s.Faults[0].Size = size
		s.Options.Topics[0].FlushMessages, s.Options.Topics[0].SegmentBytes = 1, 4096 // indexes, too, are written all the time
		if r := Run(s, RunOptions{}); r.Verdict() != Passed || r.Stats.Effective[FailingDisk] != 1 {
			t.Errorf("size %d: %s: %s, %d effects", size, r.Verdict(), r.Reason(), r.Stats.Effective[FailingDisk])
		}
	}
}

// fsyncgate: what the failed sync was to make durable is gone, the broker gives its disk up, and all is well when its machine is back.
func TestFailedSyncIsFinal(t *testing.T) {
	s := witness(FailingDisk)
	s.Faults[0].Size = forgottenSync
	s.Options.Topics[0].FlushMessages = 1
	var offline, power int
	r := Run(s, RunOptions{Trace: TracerFunc(func(e *Entry) {
		switch e.Kind {
		case "log-dir-failed":
			offline++
		case "lost-power":
			power++
		}
	})})
	if r.Verdict() != Passed || r.Stats.Effective[FailingDisk] != 1 || offline != 1 || power != 1 {
		t.Errorf("%s: %s, %d effects, %d offline, %d losses of power", r.Verdict(), r.Reason(), r.Stats.Effective[FailingDisk], offline, power)
	}
}

func TestFaultFollowsAnEvent(t *testing.T) {
	kill := Fault{Label: "kill/0", Kind: Kill, At: time.Second, For: time.Second, Target: "leader:t0/0"}
	loss := Fault{Label: "power-loss/0", Kind: PowerLoss, On: "recovered@struck", Delay: 3 * time.Millisecond, For: time.Second, Target: "struck"}
	pause := Fault{Label: "pause/0", Kind: Pause, On: "became-leader", At: 500 * time.Millisecond, For: time.Second, Target: "any"}
	s := calm(kill, loss, pause)
	s.Options.For = 10 * time.Second // an election may take its time
	s.Options.Cluster.Session, s.Options.Cluster.Heartbeat = 500*time.Millisecond, 100*time.Millisecond
	again, err := ParseSchedule(s.String())
	if err != nil || !reflect.DeepEqual(s, again) {
		t.Fatalf("%v: wrote\n%s\nread\n%s", err, s, again)
	}
	first, second := Run(s, RunOptions{}), Run(again, RunOptions{})
	if first.Verdict() != Passed || first.Stats.Effective[PowerLoss] != 1 || first.Stats.Effective[Pause] != 1 {
		t.Errorf("%s: %s %v", first.Verdict(), first.Reason(), first.Stats.Effective)
	}
	if first.Digest != second.Digest {
		t.Errorf("digests %016x and %016x", first.Digest, second.Digest)
	}
}

// A fault that waits has no effect, and none after the heal, if its event does not happen.
func TestFaultWithoutItsEventDoesNothing(t *testing.T) {
	s := calm(Fault{Label: "kill/0", Kind: Kill, On: "unclean-election", For: time.Second, Target: "any"})
	if r := Run(s, RunOptions{}); r.Verdict() != Inconclusive || r.Stats.Effective[Kill] != 0 {
		t.Errorf("%s: %s", r.Verdict(), r.Reason())
	}
}

func TestPlacesMeanTheRightHosts(t *testing.T) {
	s := calm(
		Fault{Label: "isolate/0", Kind: Isolate, At: 500 * time.Millisecond, For: 3 * time.Second, Target: "follower:t0/0"},
		Fault{Label: "delay/0", Kind: Delay, At: 3 * time.Second, For: time.Millisecond, Target: "struck", Size: 1},
		Fault{Label: "delay/1", Kind: Delay, At: 3200 * time.Millisecond, For: time.Millisecond, Target: "outsider:t0/0", Size: 1},
		Fault{Label: "delay/2", Kind: Delay, At: 3300 * time.Millisecond, For: time.Millisecond, Target: "leader:t0/0", Size: 1},
	)
	s.Options.Cluster.ReplicaLag = time.Second
	s.Options.Topics[0].Replicas = "1,2,3/2,3,1"
	struck := map[string]string{}
	r := Run(s, RunOptions{Trace: TracerFunc(func(e *Entry) {
		if e.Kind == "fault" && strings.HasPrefix(e.Note, "begins") {
			struck[e.Fault] = strings.TrimPrefix(e.Note, "begins on ")
		}
	})})
	want := map[string]string{"isolate/0": "n2", "delay/0": "n2", "delay/1": "n2", "delay/2": "n1"}
	if r.Verdict() != Passed || !reflect.DeepEqual(struck, want) {
		t.Errorf("%s: %s: struck %v, want %v", r.Verdict(), r.Reason(), struck, want)
	}
}

// Two faults that cut the same way: it is whole when the second has ended, not before.
func TestCutsOfSeveralFaultsAddUp(t *testing.T) {
	long := Fault{Label: "isolate/0", Kind: Isolate, At: 500 * time.Millisecond, For: 3 * time.Second, Target: "n1"}
	short := Fault{Label: "partition/0", Kind: PartitionTwo, At: 600 * time.Millisecond, For: 100 * time.Millisecond, Target: "n1", Peer: "n2"}
	s := calm(long, short)
	s.Options.Cluster.Session, s.Options.Cluster.Heartbeat = 500*time.Millisecond, 100*time.Millisecond
	var between []string
	r := Run(s, RunOptions{Trace: TracerFunc(func(e *Entry) {
		if e.Kind == "broker-unfenced" && e.Peer == 1 && e.T > 0 {
			between = append(between, formatTime(e.T))
		}
	})})
	if r.Verdict() != Passed || r.Stats.Effective[Isolate] != 1 {
		t.Errorf("%s: %s, unfenced at %v", r.Verdict(), r.Reason(), between)
	}
}

// Whatever the budget allows, of any min.insync.replicas replicas that had a record one has it still.
func TestBudgetLeavesACopyOfWhatIsPromised(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topic := TopicOptions{RF: rapid.IntRange(1, 5).Draw(t, "rf"), FlushMessages: rapid.Int64Range(0, 1).Draw(t, "flush")}
		topic.MinISR = rapid.IntRange(1, topic.RF).Draw(t, "min.isr")
		replicas := make([]loss, topic.RF)
		for range rapid.IntRange(0, 10).Draw(t, "losses") {
			at := rapid.IntRange(0, topic.RF-1).Draw(t, "replica")
			before := replicas[at]
			replicas[at] = max(before, loss(rapid.IntRange(int(lostPower), int(lostDisk)).Draw(t, "loss")))
			if !topic.survives(replicas) {
				replicas[at] = before
			}
		}
		copies := 0
		for _, l := range replicas {
			if l == lostNothing || l == lostPower && topic.FlushMessages == 1 {
				copies++
			}
		}
		if topic.MinISR >= 2 && topic.RF-copies >= topic.MinISR {
			t.Fatalf("%+v: %v lost, which may be all who had a record", topic, replicas)
		}
	})
}

func TestVotersKeepTheirDisks(t *testing.T) {
	s := calm(Fault{Label: "wiped-disk/0", Kind: WipedDisk, At: time.Second, For: time.Second, Target: "n1"})
	s.Options.Unbounded = true
	if r := Run(s, RunOptions{}); r.Stats.Effective[WipedDisk] != 0 {
		t.Errorf("%d effects", r.Stats.Effective[WipedDisk])
	}
}

func TestCoverageNamesItsHoles(t *testing.T) {
	var c Coverage
	s := Stats{}
	s.Effective[Kill], s.Features[AcksAll] = 2, 1
	c.Add(&s)
	s = Stats{}
	s.Effective[Pause], s.Features[Truncations] = 1, 1
	c.Add(&s)
	holes := strings.Join(c.Holes(), "\n")
	for _, want := range []string{"never used: acks=1", "never with an effect: clog", "never together: acks=all and pause", "never together: truncation and kill"} {
		if !strings.Contains(holes, want) {
			t.Errorf("no %q in\n%s", want, holes)
		}
	}
	if strings.Contains(holes, "never used: truncation") || c.Together[AcksAll][Kill] != 1 {
		t.Error(holes)
	}
}

func TestEachColumnOfTheMatrixHasItsOwnLetters(t *testing.T) {
	seen := map[string]bool{}
	for f := range Feature(255) {
		l := letter(f)
		if seen[l] || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz") != "" {
			t.Errorf("column %d is %q", f, l)
		}
		seen[l] = true
	}
	if letter(0) != "a" || letter(25) != "z" || letter(26) != "aa" || letter(52) != "ba" {
		t.Error(letter(0), letter(25), letter(26), letter(52))
	}
}

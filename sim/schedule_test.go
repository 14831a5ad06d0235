package sim

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/scheduler/virtual"
	"pgregory.net/rapid"
)

func TestScheduleSurvivesItsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Draw(rapid.Uint64().Draw(t, "seed"))
		again, err := ParseSchedule(s.String())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(s, again) {
			t.Fatalf("wrote\n%s\nread\n%s", s, again)
		}
	})
}

func TestScheduleNamesTheLineThatIsWrong(t *testing.T) {
	good := Draw(7).String()
	for _, c := range []struct{ name, line, want string }{
		{"unknown line", "frobnicate 3", `unknown line "frobnicate"`},
		{"unknown key", "cluster brokres=3", `unknown key "brokres"`},
		{"unknown fault", "fault label=x kind=earthquake target=n1", `no fault kind "earthquake"`},
		{"unknown host", "fault label=x kind=kill target=n77", `no host "n77"`},
		{"impossible topic", "topic name=x partitions=1 rf=9 min.isr=1", `topic "x" cannot be placed`},
	} {
		_, err := ParseSchedule(good + c.line + "\n")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// Whatever is in a schedule's line for a fault is settled: no other line is needed to play it.
func TestFaultsAreDrawnOneByOne(t *testing.T) {
	for seed := range uint64(50) {
		o := DrawOptions(seed)
		p := drawPlan(virtual.Rand(seed, "faults/plan"), &o)
		p.focusOnGroup(virtual.Rand(seed, "faults/offsets"))
		p.focusOnTransaction(virtual.Rand(seed, "faults/transactions"))
		p.drawGroups(virtual.Rand(seed, "faults/groups"))
		before := p.drawFar(virtual.Rand(seed, "faults/far"))
		for i := range p.count {
			f := p.draw(virtual.Rand(seed, "fault/"+strconv.Itoa(i)), i, before)
			if !slices.Contains(DrawFaults(seed, o), f) {
				t.Fatalf("seed %d: %+v is not among the faults", seed, f)
			}
			before = append(before, f)
		}
	}
}

func TestMostFaultsFollowAnotherOrAnEvent(t *testing.T) {
	all, on, soon := 0, 0, 0
	for seed := range uint64(200) {
		faults := Draw(seed).Faults
		for i, f := range faults {
			all++
			if f.On != "" {
				on++
			}
			if i > 0 && f.At-faults[i-1].At < 200*time.Millisecond {
				soon++
			}
		}
	}
	if all < 2000 || on < all/8 || soon < all/4 {
		t.Errorf("of %d faults %d follow an event and %d come within 200 ms of another", all, on, soon)
	}
}

func TestScheduleOrdersFaultsByTime(t *testing.T) {
	for seed := range uint64(50) {
		faults := Draw(seed).Faults
		if !slices.IsSortedFunc(faults, func(a, b Fault) int { return int(a.At - b.At) }) {
			t.Fatalf("seed %d: %v", seed, faults)
		}
	}
}

// What no run could do, or what would be a run of something else than its writer meant, is refused with a word on why.
func TestScheduleThatCannotBeRunIsRefused(t *testing.T) {
	const good = "seed 4\nfor 2s\nsettle 1s\ncluster brokers=3\ntopic name=t0 partitions=2 rf=3 min.isr=2\nproducer acks=-1\nconsumer wait=50ms\nfault label=kill/0 kind=kill at=1s for=1s target=n2\n"
	if _, err := ParseSchedule(good); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"kind=kill ", "", "it has no kind"},
		{"at=1s", "at=-1s", "negative time"},
		{"target=n2", "target=n2 size=-1", "negative size"},
		{"target=n2", "", `no host ""`},
		{"target=n2", "target=p0", "it strikes nodes, not the client p0"},
		{"target=n2", "target=leader:t9/0", "no partition t9-0"},
		{"target=n2", "target=leader:t0/2", "no partition t0-2"},
		{"target=n2", "target=n1 on=became-leader@leader:t9/0", "no partition t9-0"},
		{"kind=kill", "kind=reassign", "it is about a partition, as in leader:t0/0, not about n2"},
		{"kind=kill", "kind=partition", `no host ""`},
		{"kind=kill", "kind=clock-drift size=-1000001", "runs backwards"},
		{"fault ", "fault label=kill/0 kind=pause target=n1\nfault ", `two faults are labelled "kill/0"`},
		{"for 2s", "for 0s", "for is not above zero"},
		{"settle 1s", "settle -1s", "settle is negative"},
		{"brokers=3", "brokers=3 session=0s", "session is below a millisecond"},
		{"brokers=3", "brokers=3 rebalance=300ms", "rebalance is below a second"},
		{"brokers=3", "brokers=3 disk.sync=-1s", "disk.sync=-1s is negative"},
		{"topic name=t0 partitions=2 rf=3 min.isr=2\n", "", "clients and no topic"},
		{" min.isr=2", "", "min.isr is not above zero"},
		{"min.isr=2", "min.isr=2 replicas=1,2,3", "they are of 1 partition, not of 2"},
		{"min.isr=2", "min.isr=2 replicas=1,2,2/1,2,3", `"2" is not one more broker`},
		{"producer ", "topic name=t0 partitions=1 rf=1 min.isr=1\nproducer ", "two topics are called t0"},
		{"acks=-1", "acks=7", "acks=7 is not -1, 0 or 1"},
		{"acks=-1", "acks=1 idempotent=true", "idempotent needs acks=-1"},
		{"acks=-1", "interval=0s", "interval is not above zero"},
		{"acks=-1", "records=0", "records is not above zero"},
		{"acks=-1", "version=99", "version=99 is not one of Produce, 3 to 13"},
		{"wait=50ms", "version=3", "version=3 is not one of Fetch, 4 to 18"},
	} {
		_, err := ParseSchedule(strings.Replace(good, c.old, c.new, 1))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q: got %v, want %q", c.new, c.old, err, c.want)
		}
	}
}

// What is drawn can be run: from seeds here, by rapid in sim/property.
func TestDrawnSchedulesCanBeRun(t *testing.T) {
	for seed := range uint64(3000) {
		if err := Draw(seed).check(); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// frame is the n-th frame from one host to another.
type frame struct {
	from, to int32
	n        int64
}

// journey is when a frame was sent and how long it was on its way.
type journey struct{ sent, took scheduler.Instant }

func journeys(s *Schedule) map[frame]journey {
	sent, arrived := map[frame]scheduler.Instant{}, map[frame]journey{}
	Run(s, RunOptions{Messages: true, Trace: TracerFunc(func(e *Entry) {
		switch e.Kind {
		case kindSent:
			sent[frame{e.Node, e.Peer, e.Offset}] = e.T
		case kindMessage:
			f := frame{e.Peer, e.Node, e.Offset}
			arrived[f] = journey{sent[f], e.T - sent[f]}
		}
	})})
	return arrived
}

// Two runs part for good when one of them loses a fault, and yet the n-th frame of a link takes as long as it did, but for those
// that other faults are about or that wait for one before them.
func TestFaultThatIsTakenAwayLeavesTheLuckOfLinks(t *testing.T) {
	s := DrawFor(8, 10*time.Second)
	without := s.clone()
	without.Faults = slices.Delete(without.Faults, 0, 1)
	less := journeys(without)
	parted, same := 0, 0
	for f, a := range journeys(s) { // order: sums
		if b, ok := less[f]; ok && a.sent != b.sent {
			parted++
			if a.took == b.took {
				same++
			}
		}
	}
	if parted < 1000 || same < parted*3/4 {
		t.Errorf("%d frames were sent at another time, %d of them took as long", parted, same)
	}
}

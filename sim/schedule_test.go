package sim

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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
		p.drawGroups(virtual.Rand(seed, "faults/groups"))
		var before []Fault
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

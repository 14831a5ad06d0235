package sim

import (
	"reflect"
	"slices"
	"strings"
	"testing"

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

// A fault is drawn from its label: what other kinds draw, or whether they are there, is nothing to it.
func TestFaultKeepsItsDrawWhenOthersAreRemoved(t *testing.T) {
	for seed := range uint64(50) {
		s := Draw(seed)
		for _, f := range s.Faults {
			for _, span := range spansOfDraw {
				if i := slices.IndexFunc(drawKind(seed, f.Kind, 9, span, &s.Options), func(g Fault) bool { return g == f }); i >= 0 {
					goto found
				}
			}
			t.Fatalf("seed %d: %+v is not drawn from its label", seed, f)
		found:
		}
	}
}

func TestScheduleOrdersFaultsByTime(t *testing.T) {
	for seed := range uint64(50) {
		faults := Draw(seed).Faults
		if len(faults) == 0 || !slices.IsSortedFunc(faults, func(a, b Fault) int { return int(a.At - b.At) }) {
			t.Fatalf("seed %d: %v", seed, faults)
		}
	}
}

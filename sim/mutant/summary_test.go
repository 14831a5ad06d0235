package mutant

import "testing"

func TestSummaryCountsAndTakesTheMedians(t *testing.T) {
	number := func(n int) *int { return &n }
	seconds := func(s float64) *float64 { return &s }
	s := Summarize([]*Report{
		{ID: "A", Tier: TierA, Found: true, CoreSeconds: 1, Faults: number(5), Operations: number(0), Shrinking: seconds(2)},
		{ID: "B", Tier: TierA, CoreSeconds: 60},
		{ID: "C", Tier: TierB, Found: true, CoreSeconds: 2, Faults: number(1), Operations: number(9), Shrinking: seconds(30)},
		{ID: "D", Tier: TierC, Found: true, CoreSeconds: 3, Faults: number(2), Operations: number(1), Shrinking: seconds(4)},
		{ID: "E", Tier: Equivalent},
	})
	want := "3 of 5 found; the median schedule has 2 faults and 1 operation, after 4.0 core seconds of shrinking, 30.0 at most"
	if s.String() != want || len(s.Missed) != 1 || s.Missed[0] != "B" || s.CoreSeconds != 66 || s.Build == "" {
		t.Errorf("%s; missed %v, %v core seconds, build %q", s, s.Missed, s.CoreSeconds, s.Build)
	}
	if got := Summarize([]*Report{{ID: "A", Tier: TierA, Found: true}}).String(); got != "1 of 1 found" {
		t.Error(got)
	}
}

package mutant

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// The test program plays a simulator in which seed 5 fails with the mutant and without it, seed 9 with it, and seed 40, if a
// checker is named, by that one.
func TestMain(m *testing.M) {
	if os.Getenv("LOCKSTEP_FAKE") == "" {
		os.Exit(m.Run())
	}
	os.Exit(fake(os.Args[1], os.Args[2:]))
}

func fake(verb string, args []string) (code int) {
	number := func(flag string) int {
		n, _ := strconv.Atoi(args[slices.Index(args, flag)+1])
		return n
	}
	switch verb {
	case "fuzz":
		from := number("--seed-from")
		for _, f := range []struct {
			seed    int
			checker string
		}{{5, "I1"}, {9, "I1"}, {40, os.Getenv("LOCKSTEP_FAKE_LATE")}} {
			if f.checker != "" && f.seed >= from && f.seed < from+number("--seeds") {
				fmt.Printf(`{"failures":[{"seed":%d,"promise":"P1","checker":%q,"reason":"gone"}]}`, f.seed, f.checker)
				return 1
			}
		}
		fmt.Print(`{"failures":null}`)
	case "shrink":
		fmt.Print(`{"faults":2,"operations":7}`)
	case "replay":
		if number("--seed") == 5 {
			return 1
		}
	}
	return 0
}

func newHunt(t *testing.T, checkers ...string) *hunt {
	t.Helper()
	t.Setenv("LOCKSTEP_FAKE", "1")
	o := Hunt{Budget: 10 * time.Second, From: 1, Seeds: 100, Shrink: true, Clean: os.Args[0]}
	return &hunt{Hunt: o, mutant: &Mutant{Checkers: checkers}, program: os.Args[0], report: &Report{}}
}

func TestSeedThatFailsWithoutTheMutantDoesNotCount(t *testing.T) {
	h := newHunt(t, "I1")
	if err := h.run(context.Background(), ""); err != nil {
		t.Fatal(err)
	}
	r := h.report
	if !r.Found || r.Seed != 9 || r.Seeds != 9 || !r.Expected || !slices.Equal(r.Dirty, []uint64{5}) {
		t.Errorf("%+v", r)
	}
	if r.Faults == nil || *r.Faults != 2 || r.Operations == nil || *r.Operations != 7 {
		t.Errorf("shrunk to %v faults and %v operations", r.Faults, r.Operations)
	}
}

func TestCheckerThatWasNotExpectedIsToldApart(t *testing.T) {
	h := newHunt(t, "I2")
	if err := h.run(context.Background(), ""); err != nil || h.report.Expected || h.report.noticed() != "(I1)" || h.report.Seeds != 9 {
		t.Errorf("%+v, %v", h.report, err)
	}
}

func TestCheckerThatIsToNoticeIsWaitedFor(t *testing.T) {
	h := newHunt(t, "I2")
	t.Setenv("LOCKSTEP_FAKE_LATE", "I2")
	if err := h.run(context.Background(), ""); err != nil || !h.report.Expected || h.report.Seed != 40 {
		t.Errorf("%+v, %v", h.report, err)
	}
}

func TestHuntEndsWithItsSeeds(t *testing.T) {
	h := newHunt(t, "I1")
	h.Seeds = 4
	if err := h.run(context.Background(), ""); err != nil || h.report.Found || h.report.Seeds != 4 || h.report.outcome() != "no" {
		t.Errorf("%+v, %v", h.report, err)
	}
}

func TestOnlyTiersAAndBMustBeFound(t *testing.T) {
	reports := []*Report{{ID: "M1", Tier: TierA}, {ID: "M2", Tier: TierB, Found: true}, {ID: "M3", Tier: TierC}, {ID: "M4", Tier: TierC, Error: "does not build"}}
	if missed := Missed(reports); !slices.Equal(missed, []string{"M1", "M4"}) {
		t.Errorf("%q", missed)
	}
}

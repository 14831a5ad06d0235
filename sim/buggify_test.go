package sim

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
)

func TestOneSeedInThreeArmsNothingAndTheOthersAThirdOfTheSites(t *testing.T) {
	const seeds = 300
	none, armed := 0, 0
	for seed := range uint64(seeds) {
		n := len(drawBuggify(seed))
		armed += n
		if n == 0 {
			none++
		}
	}
	if none < seeds/4 || none > seeds*2/5 {
		t.Errorf("%d of %d seeds arm nothing", none, seeds)
	}
	if average := armed / (seeds - none); average < int(buggify.NumSites)/4 || average > int(buggify.NumSites)*2/5 {
		t.Errorf("%d sites a seed", average)
	}
}

func TestCanonicalScenarioArmsNothing(t *testing.T) {
	if armed := Canonical().Buggify; armed != nil {
		t.Errorf("%v", armed)
	}
}

func TestScheduleWithoutABuggifyLineArmsNothing(t *testing.T) {
	var lines []string
	for line := range strings.Lines(drawArmed().String()) {
		if !strings.HasPrefix(line, "buggify ") {
			lines = append(lines, line)
		}
	}
	s, err := ParseSchedule(strings.Join(lines, ""))
	if err != nil || s.Options.Buggify != nil {
		t.Errorf("%v, %v", s.Options.Buggify, err)
	}
}

// drawArmed is a schedule of a seed that arms sites.
func drawArmed() *Schedule {
	for seed := uint64(1); ; seed++ {
		if s := Draw(seed); len(s.Options.Buggify) > 0 {
			return s
		}
	}
}

func TestBuggifyLineNamesWhatIsWrong(t *testing.T) {
	for line, want := range map[string]string{ // order: each alone
		"buggify storage/nonsense=1/8":      `no buggify site "storage/nonsense"`,
		"buggify storage/short-read=8":      "no buggify site",
		"buggify storage/short-read=1/0":    "is not site=1/n",
		"buggify storage/short-read=1/many": "is not site=1/n",
	} {
		if _, err := ParseSchedule(Draw(7).String() + line + "\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestArmedSitesFireInARunAndAreCounted(t *testing.T) {
	s := &Schedule{Build: Build(), Seed: 1, Options: Canonical()}
	s.Options.For = 2 * time.Second
	s.Options.Buggify = []buggify.Armed{{Site: buggify.ShortRead, OneIn: 2}, {Site: buggify.AnswerLate, OneIn: 10}}
	hits := Run(s, RunOptions{}).Stats.Buggify
	if hits[buggify.ShortRead] == 0 || hits[buggify.AnswerLate] == 0 || len(hits.Never()) != int(buggify.NumSites)-2 {
		t.Errorf("hits %v", hits)
	}
}

func TestSiteCountsSurviveJSON(t *testing.T) {
	counts := SiteCounts{buggify.Mute: 3, buggify.ResignEarly: 1}
	text, err := json.Marshal(counts)
	var again SiteCounts
	if err == nil {
		err = json.Unmarshal(text, &again)
	}
	if err != nil || counts != again || !slices.Contains(again.Never(), "storage/short-read") {
		t.Errorf("%s: %v, %v", text, again, err)
	}
}

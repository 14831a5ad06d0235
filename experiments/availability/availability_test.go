package availability

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"math"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/sim"
)

// The collector takes a third of the time if it is let.
func TestMain(m *testing.M) {
	debug.SetGCPercent(800)
	os.Exit(m.Run())
}

// tested are the rows that tests look at, with fewer seeds than the experiment's.
const tested = "^(rf1-isr1-one-(clean|power)|rf3-isr2-one-(clean|power)|rf2-isr2-one-power|rf3-isr2-two-power|" +
	"rf2-isr1-two-(clean|clean-unclean|power))$"

var measured = sync.OnceValue(func() *Report {
	o := flags{rows: tested, seeds: 20, workers: 1}
	configs, err := o.configs(nil)
	if err != nil {
		panic(err)
	}
	return Run(Options{Configs: configs, From: 1, Seeds: o.seeds, Workers: runtime.NumCPU()})
})

// row is what was measured for a configuration. All seeds have passed.
func row(t *testing.T, name string) *Row {
	t.Helper()
	if testing.Short() {
		t.Skip("hundreds of runs")
	}
	rows, ok := measured().rows(name)
	if !ok {
		t.Fatalf("no row %s", name)
	}
	for _, f := range rows[0].Failures {
		t.Errorf("%s, seed %d: %s", name, f.Seed, f.Reason)
	}
	return rows[0]
}

// between checks a number of seconds.
func between(t *testing.T, what string, seconds, least, most float64) {
	t.Helper()
	if seconds < least || seconds > most {
		t.Errorf("%s: %.2f s, not within %.2f and %.2f s", what, seconds, least, most)
	}
}

// lossless checks that nothing acknowledged was lost.
func lossless(t *testing.T, r *Row, acks string) {
	t.Helper()
	if p := r.acks(acks); p.SeedsWithLoss > 0 {
		t.Errorf("%s, acks=%s: %s", r.Name, acks, r.loss(acks))
	}
}

// losing checks that acknowledged records were lost.
func losing(t *testing.T, r *Row, acks string) {
	t.Helper()
	if p := r.acks(acks); p.SeedsWithLoss == 0 {
		t.Errorf("%s, acks=%s: %s", r.Name, acks, r.loss(acks))
	}
}

func TestOneReplicaIsAwayUntilItsBrokerIsBack(t *testing.T) {
	for _, name := range []string{"rf1-isr1-one-clean", "rf1-isr1-one-power"} {
		r := row(t, name)
		down := r.Config.down().Seconds()
		between(t, name+", acks=all", r.acks("all").Unavailable.Median, down, down+3)
		between(t, name+", acks=1", r.acks("1").Unavailable.Median, down, down+3)
		between(t, name+", consumer", r.Unavailable.Median, down, down+3)
	}
}

func TestOneReplicaLosesAcknowledgedRecordsByPowerLossOnly(t *testing.T) {
	lossless(t, row(t, "rf1-isr1-one-clean"), "all")
	lossless(t, row(t, "rf1-isr1-one-clean"), "1")
	losing(t, row(t, "rf1-isr1-one-power"), "all")
}

func TestControlledShutdownOfALeaderIsBriefAndLosesNothing(t *testing.T) {
	r := row(t, "rf3-isr2-one-clean")
	between(t, "acks=all", r.acks("all").Unavailable.Max, 0, brief)
	between(t, "acks=1", r.acks("1").Unavailable.Max, 0, brief)
	between(t, "consumer", r.Unavailable.Max, 0, brief)
	lossless(t, r, "all")
}

// Detection takes 7 to 9 s, and clients then need their next timeout. Nobody waits for the broker.
func TestPowerLossOfALeaderIsBoundedAndLosesNothingThatAllAcknowledged(t *testing.T) {
	r := row(t, "rf3-isr2-one-power")
	between(t, "acks=all, median", r.acks("all").Unavailable.Median, 7, 16)
	between(t, "acks=all, most", r.acks("all").Unavailable.Max, 7, 22)
	between(t, "consumer", r.Unavailable.Median, 7, 16)
	lossless(t, r, "all")
	losing(t, r, "0")
}

func TestTooFewInSyncReplicasStopAcksAllAndNewsButNobodyElse(t *testing.T) {
	for _, name := range []string{"rf2-isr2-one-power", "rf3-isr2-two-power"} {
		r := row(t, name)
		all, one := r.acks("all").Unavailable.Median, r.acks("1").Unavailable.Median
		if all < one+3 || all < r.Unavailable.Median+3 || r.News.Median < one+3 {
			t.Errorf("%s: acks=all %.1f s, acks=1 %.1f s, consumer %.1f s, without news %.1f s", name, all, one, r.Unavailable.Median, r.News.Median)
		}
		if r.acks("all").Errors["NOT_ENOUGH_REPLICAS"] == 0 || r.acks("1").Errors["NOT_ENOUGH_REPLICAS"] > 0 {
			t.Errorf("%s: errors of acks=all %v, of acks=1 %v", name, r.acks("all").Errors, r.acks("1").Errors)
		}
		lossless(t, r, "all")
	}
}

func TestUncleanElectionTradesRecordsForTime(t *testing.T) {
	wait, unclean := row(t, "rf2-isr1-two-clean"), row(t, "rf2-isr1-two-clean-unclean")
	if w, u := wait.acks("all").Unavailable.Median, unclean.acks("all").Unavailable.Median; u >= w {
		t.Errorf("without service for %.1f s when waiting, for %.1f s with unclean election", w, u)
	}
	lossless(t, wait, "all")
	losing(t, unclean, "all")
}

// With eligible leader replicas, a partition whose whole ISR and ELR went down uncleanly comes back through the last known leader
// (KIP-966).
func TestLastKnownLeaderIsElectedThoughUncleanElectionIsOff(t *testing.T) {
	r := row(t, "rf2-isr1-two-power")
	if r.lastKnownLeaders() == 0 {
		t.Errorf("reasons of losses: %v", r.Reasons)
	}
	if most := r.acks("all").Unavailable.Max; most > (r.Config.length() - 5*time.Second).Seconds() {
		t.Errorf("without service for %.1f s", most)
	}
}

func TestNumbersAgreeWithWhatTheFindingsExpect(t *testing.T) {
	row(t, "rf1-isr1-one-clean")
	if len(measured().Findings) < 6 {
		t.Errorf("%d findings", len(measured().Findings))
	}
	for _, f := range measured().Findings {
		if f.Surprising {
			t.Errorf("%s\n%s", f.heading(), f.Text)
		}
	}
}

func TestFindingSaysWhenTheNumbersContradictIt(t *testing.T) {
	quick := func(name string) *Row {
		for _, c := range Configs() {
			if c.Name() == name {
				r := newTally(c).row()
				r.Name, r.Seeds = name, 1
				return r
			}
		}
		t.Fatal(name)
		return nil
	}
	r := &Report{Rows: []*Row{quick("rf1-isr1-one-clean"), quick("rf1-isr1-one-power")}} // nothing was ever unavailable
	f := findings(r)
	if len(f) != 1 || !f[0].Surprising || f[0].Verdict != "wrong" || !strings.Contains(f[0].Text, "NOT what was measured") {
		t.Errorf("%+v", f)
	}
}

func TestPauseLongerThanNoiseCountsInFull(t *testing.T) {
	at := func(d time.Duration) scheduler.Instant { return scheduler.Instant(d) }
	end := at(10 * time.Second)
	var s service
	for _, d := range []time.Duration{noise, 2*noise + 1, 2 * time.Second, 11 * time.Second} {
		s.answered(at(d), end)
	}
	if want := 10*time.Second - noise; s.without != want {
		t.Errorf("%s, not %s", s.without, want)
	}
}

func TestSpreadIsMedianPercentileAndMost(t *testing.T) {
	var d []time.Duration
	for i := range 100 {
		d = append(d, time.Duration(100-i)*time.Second)
	}
	if s := spread(d); s != (Spread{50, 95, 100}) {
		t.Errorf("%+v", s)
	}
	if s := spread(nil); s != (Spread{}) {
		t.Errorf("%+v", s)
	}
}

func TestLossThatNoSeedSawIsBoundedByTheRuleOfThree(t *testing.T) {
	none, some := producerTally{lost: make([]int64, 1000)}, producerTally{lost: []int64{0, 6}}
	if s := none.summary(-1); math.Abs(s.LossBound-0.003) > 1e-9 || s.SeedsWithLoss != 0 {
		t.Errorf("%+v", s)
	}
	if s := some.summary(1); s.LossBound != 0 || s.SeedsWithLoss != 1 || s.LostMean != 3 || s.LostMax != 6 {
		t.Errorf("%+v", s)
	}
}

func TestRowsHaveNamesOfTheirOwnAndSchedulesThatReplay(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Configs() {
		if seen[c.Name()] {
			t.Errorf("two rows are named %s", c.Name())
		}
		seen[c.Name()] = true
		for seed := range uint64(20) {
			s := c.Schedule(seed)
			if again, err := sim.ParseSchedule(s.String()); err != nil || again.String() != s.String() {
				t.Fatalf("%s, seed %d: %v", c.Name(), seed, err)
			}
			if last := s.Faults[len(s.Faults)-1]; last.At >= s.Faults[0].At+s.Faults[0].For {
				t.Errorf("%s, seed %d: the first broker is back before the last is stopped", c.Name(), seed)
			}
		}
	}
}

func TestWorkersChangeNothing(t *testing.T) {
	report := func(workers int) string {
		r := Run(Options{Configs: Configs()[:2], From: 1, Seeds: 2, Workers: workers})
		r.WallSeconds = 0
		text, _ := json.Marshal(r)
		return string(text)
	}
	if one, three := report(1), report(3); one != three {
		t.Errorf("with one worker\n%s\nwith three\n%s", one, three)
	}
}

func TestPictureIsXMLAndNamesEachConfiguration(t *testing.T) {
	r := &Report{}
	for _, c := range Configs() {
		r.Rows = append(r.Rows, newTally(c).row())
	}
	var b strings.Builder
	if err := r.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range r.Rows {
		if !regexp.MustCompile(`>` + row.Title + `<`).MatchString(b.String()) {
			t.Errorf("no %s", row.Title)
		}
	}
}

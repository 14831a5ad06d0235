// Package availability asks what article 000 promised to try: "create and stop a Kafka cluster, to
// validate these assumptions". Which configuration goes on, for whom, and what does it lose?
//
// Each seed of a configuration is one run of the simulator: three brokers, a topic of one partition,
// three producers side by side (acks=0, acks=1, and acks=all with idempotence) and a consumer. One to
// three brokers are stopped at random moments, in a controlled way or by power loss, and started again.
// Sessions, heartbeats, back-offs and the age of metadata are Kafka's defaults (broker.session.timeout.ms
// 9 s, retry.backoff.ms 100 ms, metadata.max.age.ms 5 min). Clients wait 5 s for an answer and not Kafka's
// 30 s, behind which everything else would hide; one row has those. Nothing is synced unasked, but the
// system writes back after 5 to 30 s. A host without power answers nothing, not even that a port is closed.
//
// What is measured, from the start of the clients to 8 s or more after the last start of a broker:
//   - a producer is unavailable from its last acknowledgement to the next, if that takes longer than
//     100 ms: it makes a record every 25 ms and never stops trying. With acks=0 a record that was sent
//     counts as acknowledged, for that is all such a producer ever knows;
//   - a consumer is unavailable from the last fetch that was answered without an error to the next one,
//     under the same rule: it fetches all the time, and waits at most 50 ms for records;
//   - it is without news from the last record it read to the next;
//   - a record is lost if it was acknowledged and, when all brokers are back and in sync, is not in the
//     leader's log. Where no seed of N lost any, the probability of a loss is below 3/N at 95 % (the rule of three).
package availability

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockstep/lockstep/scheduler/virtual"
	"github.com/lockstep/lockstep/sim"
)

// Options is what to run.
type Options struct {
	Configs     []Config
	From, Seeds uint64
	Workers     int
	Interrupted func() bool       // may be nil
	Progress    func(done uint64) // how many runs are done, after each, one call at a time; may be nil
}

// Spread is how a number of seconds differs from seed to seed.
type Spread struct {
	Median float64 `json:"median"`
	P95    float64 `json:"p95"`
	Max    float64 `json:"max"`
}

// Producer is what became of the producers with one acks setting.
type Producer struct {
	Acks          string             `json:"acks"`
	Unavailable   Spread             `json:"unavailableSeconds"`
	LostMean      float64            `json:"lostMean"` // acknowledged records, a seed
	LostMax       int64              `json:"lostMax"`
	SeedsWithLoss uint64             `json:"seedsWithLoss"`
	LossBound     float64            `json:"lossProbabilityBelow,omitempty"` // at 95 %, where no seed lost any
	Errors        map[string]float64 `json:"errorsPerSeed"`
}

// Failure is a run that broke a promise, or broke.
type Failure struct {
	Seed    uint64 `json:"seed"`
	Reason  string `json:"reason"`
	verdict sim.Verdict
}

// Row is what a configuration has shown.
type Row struct {
	Config      Config             `json:"-"`
	Name        string             `json:"name"`
	Title       string             `json:"configuration"`
	Trouble     string             `json:"brokers"`
	Seeds       uint64             `json:"seeds"` // that passed: the numbers are theirs
	Producers   []Producer         `json:"producers"`
	Unavailable Spread             `json:"consumerUnavailableSeconds"`
	News        Spread             `json:"consumerWithoutNewsSeconds"`
	Errors      map[string]float64 `json:"consumerErrorsPerSeed"`
	Reasons     map[string]int64   `json:"lossesByReason"` // records, of all seeds; the committed ones by the checkers' reason
	Failures    []Failure          `json:"failures,omitempty"`
	Simulated   float64            `json:"simulatedSeconds"`
}

// Report is the whole experiment.
type Report struct {
	From        uint64    `json:"seedFrom"`
	Seeds       uint64    `json:"seeds"`
	Rows        []*Row    `json:"rows"`
	Findings    []Finding `json:"findings"`
	WallSeconds float64   `json:"wallSeconds"`
	Interrupted bool      `json:"interrupted,omitempty"`
}

// tally gathers a configuration's runs.
type tally struct {
	config         Config
	producers      [len(acksOfProducers)]producerTally
	fetches, news  []time.Duration
	consumerErrors errorCounts
	reasons        map[string]int64
	failures       []Failure
	simulated      time.Duration
}

type producerTally struct {
	without []time.Duration
	lost    []int64
	errors  errorCounts
}

// Run plays all seeds of all configurations. The number of workers changes nothing but the time it takes.
func Run(o Options) *Report {
	began := time.Now()
	tallies := make([]*tally, len(o.Configs))
	for i, c := range o.Configs {
		tallies[i] = newTally(c)
	}
	var next atomic.Uint64
	var lock sync.Mutex
	var workers sync.WaitGroup
	done, total := uint64(0), o.Seeds*uint64(len(o.Configs))
	for range max(o.Workers, 1) {
		workers.Go(func() {
			run := sim.RunOptions{World: virtual.New(0), Interrupted: o.Interrupted}
			for i := next.Add(1) - 1; i < total && !o.isInterrupted(); i = next.Add(1) - 1 {
				// Configurations in turn, so that the time left can be told from the time taken.
				t := tallies[i%uint64(len(tallies))]
				r, m := play(t.config, o.From+i/uint64(len(tallies)), run)
				lock.Lock()
				t.add(r, m)
				done++
				if o.Progress != nil {
					o.Progress(done)
				}
				lock.Unlock()
			}
		})
	}
	workers.Wait()
	return newReport(&o, tallies, time.Since(began))
}

func (o *Options) isInterrupted() bool { return o.Interrupted != nil && o.Interrupted() }

func newReport(o *Options, tallies []*tally, wall time.Duration) *Report {
	report := &Report{From: o.From, Seeds: o.Seeds, WallSeconds: wall.Seconds(), Interrupted: o.isInterrupted()}
	for _, t := range tallies {
		report.Rows = append(report.Rows, t.row())
	}
	report.Findings = findings(report)
	return report
}

func newTally(c Config) *tally {
	t := &tally{config: c, consumerErrors: errorCounts{}, reasons: map[string]int64{}}
	for i := range t.producers {
		t.producers[i].errors = errorCounts{}
	}
	return t
}

// add takes a run in. One that did not pass says nothing about availability, and is told of.
func (t *tally) add(r *sim.Result, m *measure) {
	switch r.Verdict() {
	case sim.Interrupted:
		return
	case sim.Passed:
	default:
		t.failures = append(t.failures, Failure{r.Schedule.Seed, r.Verdict().String() + ": " + r.Reason(), r.Verdict()})
		return
	}
	t.simulated += r.Stats.Simulated
	t.fetches = append(t.fetches, m.fetches.without)
	t.news = append(t.news, m.news.without)
	t.consumerErrors.add(m.consumerErrors)
	for _, l := range r.Stats.Losses {
		t.reasons[l.Reason] += l.Records
	}
	for i := range t.producers {
		p := &t.producers[i]
		p.without = append(p.without, m.producers[i].without)
		p.lost = append(p.lost, r.Lost[i])
		p.errors.add(m.producerErrors[i])
	}
}

func (t *tally) row() *Row {
	slices.SortFunc(t.failures, func(a, b Failure) int { return int(int64(a.Seed) - int64(b.Seed)) })
	row := &Row{
		Config: t.config, Name: t.config.Name(), Title: t.config.Title(), Trouble: t.config.Trouble(), Seeds: uint64(len(t.fetches)),
		Unavailable: spread(t.fetches), News: spread(t.news), Errors: perSeed(t.consumerErrors, len(t.fetches)),
		Reasons: t.reasons, Failures: t.failures, Simulated: t.simulated.Seconds(),
	}
	for i, acks := range acksOfProducers {
		row.Producers = append(row.Producers, t.producers[i].summary(acks))
	}
	return row
}

func (p *producerTally) summary(acks int) Producer {
	s := Producer{Acks: acksName(acks), Unavailable: spread(p.without), Errors: perSeed(p.errors, len(p.without))}
	sum := int64(0)
	for _, n := range p.lost {
		sum += n
		s.LostMax = max(s.LostMax, n)
		if n > 0 {
			s.SeedsWithLoss++
		}
	}
	n := float64(max(len(p.lost), 1))
	s.LostMean = float64(sum) / n
	if s.SeedsWithLoss == 0 {
		s.LossBound = min(3/n, 1)
	}
	return s
}

func acksName(acks int) string { return map[int]string{0: "0", 1: "1", -1: "all"}[acks] }

// spread sorts the durations. The 95th percentile is the least that 95 % do not pass.
func spread(d []time.Duration) Spread {
	if len(d) == 0 {
		return Spread{}
	}
	slices.Sort(d)
	at := func(percent int) float64 { return d[(len(d)*percent+99)/100-1].Seconds() }
	return Spread{Median: at(50), P95: at(95), Max: at(100)}
}

func perSeed(e errorCounts, seeds int) map[string]float64 {
	mean := map[string]float64{}
	for kind, n := range e { // order: a map again
		mean[kind] = float64(n) / float64(max(seeds, 1))
	}
	return mean
}

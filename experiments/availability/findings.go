package availability

import (
	"fmt"
	"strings"
)

// Finding is a sentence of the article, and what the measured numbers say of it.
type Finding struct {
	Claim   string `json:"article,omitempty"` // empty: the article does not speak of it
	Verdict string `json:"verdict,omitempty"` // on the claim: right, partly right or wrong
	Text    string `json:"measured"`
	// Surprising says that the numbers have another shape than the protocol leads to expect.
	Surprising bool `json:"surprising,omitempty"`
}

func (f *Finding) heading() string {
	if f.Claim == "" {
		return "What the article does not say:"
	}
	return fmt.Sprintf("“%s” — %s:", f.Claim, f.Verdict)
}

// brief is a pause that nobody calls an outage, in seconds.
const brief = 1.0

// statement is what is expected of the numbers. Whether it is told as holding is for the numbers to say.
type statement struct {
	holds bool
	text  string
}

// judge makes a finding: claims are what the article says, statements what explains it.
func judge(claim string, claims []bool, statements ...statement) Finding {
	f := tell(statements...)
	f.Claim, f.Verdict = claim, verdictOf(claims)
	return f
}

// tell makes a finding that the article has nothing on.
func tell(statements ...statement) (f Finding) {
	var texts []string
	for _, s := range statements {
		if !s.holds {
			f.Surprising = true
			s.text = "Expected, and NOT what was measured: " + s.text
		}
		texts = append(texts, s.text)
	}
	f.Text = strings.Join(texts, " ")
	return f
}

func verdictOf(claims []bool) string {
	right := 0
	for _, c := range claims {
		if c {
			right++
		}
	}
	switch right {
	case len(claims):
		return "right"
	case 0:
		return "wrong"
	}
	return "partly right"
}

// findings judges what the rows that were run have to say.
func findings(r *Report) (all []Finding) {
	for _, f := range []func(r *Report) (Finding, bool){
		oneReplica, threeReplicas, twoOfTwo, moreBrokersThanMinISR, outOfSync, waitingThroughPowerLoss, recommended, acknowledgements, sharedQuorum,
	} {
		if finding, ok := f(r); ok {
			all = append(all, finding)
		}
	}
	return all
}

// rows finds rows by name; ok is false unless all of them were run.
func (r *Report) rows(names ...string) (rows []*Row, ok bool) {
	for _, name := range names {
		for _, row := range r.Rows {
			if row.Name == name && row.Seeds > 0 {
				rows = append(rows, row)
			}
		}
	}
	return rows, len(rows) == len(names)
}

func (r *Row) acks(name string) *Producer {
	for i := range r.Producers {
		if r.Producers[i].Acks == name {
			return &r.Producers[i]
		}
	}
	panic("availability: no producer with acks=" + name)
}

// lasts says that an outage lasts about as long as the broker is down, in nearly all seeds.
func (r *Row) lasts(s Spread) bool { return s.Median > 0.9*r.Config.down().Seconds() }

// ends says that an outage ends well before the broker is back.
func (r *Row) ends(s Spread) bool { return s.P95 < 0.9*r.Config.down().Seconds() }

// loss says how often something acknowledged was lost.
func (r *Row) loss(acks string) string {
	p := r.acks(acks)
	if p.SeedsWithLoss == 0 {
		return fmt.Sprintf("no seed of %d lost an acknowledged record (a probability below %s %% at 95 %%)", r.Seeds, number(100*p.LossBound))
	}
	return fmt.Sprintf("%s %% of the seeds lost acknowledged records, %s on average and up to %d",
		number(100*float64(p.SeedsWithLoss)/float64(r.Seeds)), number(p.LostMean), p.LostMax)
}

func (r *Row) loses(acks string) bool { return r.acks(acks).SeedsWithLoss > 0 }

func oneReplica(r *Report) (Finding, bool) {
	rows, ok := r.rows("rf1-isr1-one-clean", "rf1-isr1-one-power")
	if !ok {
		return Finding{}, false
	}
	clean, power := rows[0], rows[1]
	down := clean.lasts(clean.acks("1").Unavailable) && clean.lasts(clean.acks("all").Unavailable) && clean.lasts(clean.Unavailable) &&
		power.lasts(power.acks("1").Unavailable) && power.lasts(power.acks("all").Unavailable) && power.lasts(power.Unavailable)
	return judge("Replication factor of 1: when the broker becomes unavailable, the partition is also unavailable and the cluster cannot serve consumers or producers.",
		[]bool{down},
		statement{down, fmt.Sprintf("With the broker away for %.0f s, producers with acks=all were without it for %.1f s (median; power loss: %.1f s), consumers for %.1f s (%.1f s).",
			clean.Config.down().Seconds(), clean.acks("all").Unavailable.Median, power.acks("all").Unavailable.Median, clean.Unavailable.Median, power.Unavailable.Median)},
		statement{!clean.loses("all"), "A controlled shutdown costs time only: with acks=all " + clean.loss("all") + "."},
		statement{power.loses("all"), "A power loss costs more than time, with acks=all too, for acks=all of one replica waits for nobody and for no disk: " + power.loss("all") + "."},
	), true
}

func threeReplicas(r *Report) (Finding, bool) {
	rows, ok := r.rows("rf3-isr2-one-clean", "rf3-isr2-one-power")
	if !ok {
		return Finding{}, false
	}
	clean, power := rows[0], rows[1]
	stop, crash := clean.acks("all").Unavailable, power.acks("all").Unavailable
	statements := []statement{
		{stop.Max < brief && clean.Unavailable.Max < brief, fmt.Sprintf("For a controlled shutdown that is nearly so: leadership moves first, and clients pause for one retry and a look at the metadata: producers %.2f s, consumers %.2f s (at most %.2f s and %.2f s).",
			stop.Median, clean.Unavailable.Median, stop.Max, clean.Unavailable.Max)},
		{crash.Median > brief && power.Unavailable.Median > brief, fmt.Sprintf("A power loss is downtime: producers were without a leader for %.1f s (95th percentile %.1f s), consumers for %.1f s. That is detection (no heartbeat for the 9 s of broker.session.timeout.ms), the election, and the client's way to find out: its request has to time out (here after 5 s, and the next one too if nobody was elected yet) before it asks for metadata.",
			crash.Median, crash.P95, power.Unavailable.Median)},
		{power.ends(crash) && power.ends(power.Unavailable), fmt.Sprintf("It ends by itself, before the broker is back after %.0f s.", power.Config.down().Seconds())},
	}
	if patient, ok := r.rows("rf3-isr2-one-power-patient"); ok {
		p := patient[0].acks("all").Unavailable
		statements = append(statements, statement{p.Median > crash.Median && p.Median < 1.1*30+brief,
			fmt.Sprintf("With Kafka's default request.timeout.ms of 30 s it is %.1f s: then it is not the cluster that takes the time but clients, who wait for a dead broker.", p.Median)})
	}
	return judge("Replication factor of 3, with other in-sync replicas: the cluster can operate normally and there is no downtime for consumers or producers.",
		[]bool{stop.Max < brief && clean.Unavailable.Max < brief, crash.P95 < brief && power.Unavailable.P95 < brief}, statements...), true
}

func twoOfTwo(r *Report) (Finding, bool) {
	rows, ok := r.rows("rf2-isr2-one-power")
	if !ok {
		return Finding{}, false
	}
	row := rows[0]
	all, one := row.acks("all"), row.acks("1")
	return judge("Two replicas, min.insync.replicas 2: if you lose a broker, neither the producer nor the consumer will be able to work.",
		[]bool{row.lasts(all.Unavailable), row.lasts(one.Unavailable), row.lasts(row.Unavailable)},
		statement{row.lasts(all.Unavailable), fmt.Sprintf("Producers with acks=all stop: %.1f s of the %.0f s that the broker is away, answered %s.",
			all.Unavailable.Median, row.Config.down().Seconds(), mostFrequent(all.Errors))},
		statement{row.ends(one.Unavailable), fmt.Sprintf("Producers with acks=1 do not: they were back after %.1f s, for min.insync.replicas binds acks=all only.", one.Unavailable.Median)},
		statement{row.ends(row.Unavailable), fmt.Sprintf("Consumers do not either: their fetches were answered again after %.1f s, up to the high watermark.", row.Unavailable.Median)},
		statement{row.lasts(row.News), fmt.Sprintf("But the high watermark stands still while the ISR is below the minimum (KIP-966), so they read nothing new for %.1f s, not even what acks=1 was told is written.", row.News.Median)},
	), true
}

func mostFrequent(errors map[string]float64) string {
	name, _, _ := strings.Cut(describeErrors(errors), " ")
	return name
}

func moreBrokersThanMinISR(r *Report) (Finding, bool) {
	rows, ok := r.rows("rf3-isr3-one-power", "rf3-isr2-one-power", "rf3-isr2-two-power")
	if !ok {
		return Finding{}, false
	}
	three, two, twoGone := rows[0], rows[1], rows[2]
	right := three.lasts(three.acks("all").Unavailable) && two.ends(two.acks("all").Unavailable)
	return judge("The number of brokers must be greater than the minimum size of the synchronous replica.",
		[]bool{right},
		statement{right, fmt.Sprintf("With three replicas and one broker without power, acks=all was away for %.1f s with min.insync.replicas 3 and for %.1f s with 2. To be exact: not the brokers count, but the replicas.",
			three.acks("all").Unavailable.Median, two.acks("all").Unavailable.Median)},
		statement{twoGone.acks("all").Unavailable.Median > twoGone.acks("1").Unavailable.Median && !twoGone.loses("all"),
			fmt.Sprintf("With two brokers gone, acks=all stops (%.1f s) while acks=1 goes on with the last replica (%.1f s); with acks=all %s.",
				twoGone.acks("all").Unavailable.Median, twoGone.acks("1").Unavailable.Median, twoGone.loss("all"))},
	), true
}

func outOfSync(r *Report) (Finding, bool) {
	rows, ok := r.rows("rf2-isr1-two-clean", "rf2-isr1-two-clean-unclean")
	if !ok {
		return Finding{}, false
	}
	wait, unclean := rows[0], rows[1]
	w, u := wait.acks("all"), unclean.acks("all")
	return judge("No replica in sync: wait for the partition leader to come back (sacrificing availability), or allow an out-of-sync replica to become the leader (sacrificing consistency).",
		[]bool{w.Unavailable.Median > u.Unavailable.Median && wait.Unavailable.Median > unclean.Unavailable.Median, !wait.loses("all") && unclean.loses("all")},
		statement{w.Unavailable.Median > u.Unavailable.Median, fmt.Sprintf("Two replicas shut down one after the other, the stale one back first: waiting took producers with acks=all %.1f s (median), unclean election %.1f s.",
			w.Unavailable.Median, u.Unavailable.Median)},
		statement{!wait.loses("all") && unclean.loses("all"), fmt.Sprintf("Waiting: %s. Unclean election: %s, acknowledged with acks=all.", wait.loss("all"), unclean.loss("all"))},
	), true
}

func waitingThroughPowerLoss(r *Report) (Finding, bool) {
	rows, ok := r.rows("rf2-isr1-two-power")
	if !ok {
		return Finding{}, false
	}
	row := rows[0]
	statements := []statement{
		{row.loses("all"), "Waiting for the leader keeps everything only if its disk did. Two replicas of two lose power, unclean election off, acks=all: " + row.loss("all") + "."},
		{row.lastKnownLeaders() > 0, fmt.Sprintf("With eligible leader replicas (KIP-966) a broker that comes back from an unclean shutdown is not eligible any more; when the whole ISR and ELR went down that way, the last known leader is elected all the same, though unclean election is off, and the partition goes on with what that disk has kept (%d committed records lost in that way, in all seeds).", row.lastKnownLeaders())},
	}
	if three, ok := r.rows("rf3-isr2-three-power", "rf3-isr2-three-clean"); ok {
		power, clean := three[0], three[1]
		statements = append(statements,
			statement{power.loses("all"), "Three replicas with min.insync.replicas 2 that all lose power: " + power.loss("all") + "."},
			statement{!clean.loses("all") && clean.loses("1"), fmt.Sprintf("All three shut down: with acks=all %s; with acks=1 %s, for an eligible replica has all that is committed, and below the minimum ISR nothing is.", clean.loss("all"), clean.loss("1"))})
	}
	return tell(statements...), true
}

// lastKnownLeaders is how many committed records were lost because a last known leader was elected.
func (r *Row) lastKnownLeaders() (records int64) {
	for reason, n := range r.Reasons { // order: a sum
		if strings.Contains(reason, "KIP-966") {
			records += n
		}
	}
	return records
}

func recommended(r *Report) (Finding, bool) {
	rows, ok := r.rows("rf3-isr2-one-clean", "rf3-isr2-one-power")
	if !ok {
		return Finding{}, false
	}
	clean, power := rows[0], rows[1]
	right := !clean.loses("all") && !power.loses("all") && power.ends(power.acks("all").Unavailable)
	return judge("To tolerate a failure: at least 2 synchronized replicas, a replication factor of 3, at least 3 brokers.",
		[]bool{right},
		statement{right, fmt.Sprintf("With acks=all: shut down, %s; by power loss, %s. Service is back in %.2f s and %.1f s (median).",
			clean.loss("all"), power.loss("all"), clean.acks("all").Unavailable.Median, power.acks("all").Unavailable.Median)},
	), true
}

func acknowledgements(r *Report) (Finding, bool) {
	rows, ok := r.rows("rf3-isr2-one-power", "rf3-isr2-one-clean")
	if !ok {
		return Finding{}, false
	}
	row, clean := rows[0], rows[1]
	one := "acks=1: " + row.loss("1")
	if row.loses("1") {
		one += ", those that the next leader had not fetched yet"
	} else {
		one += ", what is at stake is only what followers have not fetched yet, here a round trip of about a millisecond"
	}
	one += "; in a controlled shutdown " + clean.loss("1")
	if clean.loses("1") {
		one += ", taken by the old leader after the new one was elected and before it knew"
	}
	return tell(
		statement{row.loses("0"), fmt.Sprintf("Its requirements tolerate a failure with acks=all only. Three replicas, min.insync.replicas 2, one power loss; acks=0: %s, and the producer saw %s errors a seed: it goes on writing into a dead connection.",
			strings.Replace(row.loss("0"), "acknowledged records", "records that were sent", 1), number(sumOf(row.acks("0").Errors)))},
		statement{row.acks("1").LostMean <= row.acks("0").LostMean, one + "."},
		statement{!row.loses("all"), "acks=all: " + row.loss("all") + "."},
	), true
}

func sumOf(errors map[string]float64) (sum float64) {
	for _, n := range errors { // order: a sum
		sum += n
	}
	return sum
}

func sharedQuorum(r *Report) (Finding, bool) {
	rows, ok := r.rows("rf3-isr1-two-power", "rf3-isr1-two-power-combined")
	if !ok {
		return Finding{}, false
	}
	apart, combined := rows[0], rows[1]
	a, c := apart.acks("1").Unavailable, combined.acks("1").Unavailable
	return tell(
		statement{c.Median > a.Median, fmt.Sprintf("Three brokers that are the controllers too do not survive two stops. Two of three without power, one in-sync replica left: with a controller elsewhere acks=1 was back after %.1f s, with the brokers as the quorum after %.1f s, when a second voter was. One voter of three elects nobody, neither a controller nor a leader.",
			a.Median, c.Median)},
	), true
}

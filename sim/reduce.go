package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
)

// The passes of a shrinker. Each returns whether it made anything smaller.

// change tries a copy of the best schedule that f has changed.
func (k *shrinker) change(f func(c *Schedule)) bool {
	c := k.best.clone()
	f(c)
	return k.try(c)
}

// reduceBy is change for what makes the schedule smaller, which is worth trying with other seeds.
func (k *shrinker) reduceBy(f func(c *Schedule)) bool {
	for i := range 1 + k.luck {
		if k.change(func(c *Schedule) {
			f(c)
			c.Seed += uint64(i)
		}) {
			return true
		}
	}
	return false
}

// ddmin looks for a small subset of n things that is enough: it drops ever smaller chunks as long as that
// succeeds (Zeller and Hildebrandt). try is told the numbers of what is left.
func ddmin(n int, try func(left []int) bool) (gave bool) {
	left := make([]int, n)
	for i := range left {
		left[i] = i
	}
	for chunk := n; chunk > 0; {
		dropped := false
		for from := 0; from < len(left); {
			rest := slices.Delete(slices.Clone(left), from, min(from+chunk, len(left)))
			if try(rest) {
				left, dropped, gave = rest, true, true
			} else {
				from += chunk
			}
		}
		if chunk == 1 && !dropped {
			break
		}
		chunk = max(min(chunk, len(left))/2, min(1, len(left)))
	}
	return gave
}

// thin has the clients do less, so that all that follows costs less.
func (k *shrinker) thin() (gave bool) {
	gave = k.change(func(c *Schedule) {
		c.Options.Consumers = nil
		c.retarget()
	})
	for _, interval := range []time.Duration{500 * time.Millisecond, 200 * time.Millisecond, 50 * time.Millisecond} {
		if k.change(func(c *Schedule) { c.Options.thin(interval) }) {
			return true
		}
	}
	return gave
}

// thin has producers make small batches, and not more often than once in an interval.
func (o *Options) thin(interval time.Duration) {
	for i := range o.Producers {
		p := &o.Producers[i]
		p.Records, p.Size, p.Interval = 1, min(p.Size, 20), max(p.Interval, interval)
	}
}

// cutTime ends the run soon after the failure; a failure that comes after the heal is tried with shorter main phases.
func (k *shrinker) cutTime() (gave bool) {
	if k.failed >= 0 {
		return false // accept has done it
	}
	for _, d := range []time.Duration{time.Second, k.best.Options.For / 4, k.best.Options.For / 2, k.best.Options.For * 3 / 4} {
		d = d.Round(100 * time.Millisecond)
		if d > 0 && d < k.best.Options.For && k.change(func(c *Schedule) { c.Options.For = d; c.dropLateFaults() }) {
			return true
		}
	}
	return false
}

// dropLateFaults forgets what never begins.
func (s *Schedule) dropLateFaults() {
	s.Faults = slices.DeleteFunc(s.Faults, func(f Fault) bool { return f.At >= s.Options.For })
}

// shift moves all faults to an earlier time together.
func (k *shrinker) shift() (gave bool) {
	if len(k.best.Faults) == 0 {
		return false
	}
	first := slices.MinFunc(k.best.Faults, func(a, b Fault) int { return int(a.At - b.At) }).At
	for _, d := range []time.Duration{first - 500*time.Millisecond, first - 2*time.Second, first / 2, first / 4} {
		d = d.Truncate(time.Millisecond)
		if d >= 500*time.Millisecond && k.change(func(c *Schedule) { c.earlier(d) }) {
			return true
		}
	}
	return false
}

func (s *Schedule) earlier(d time.Duration) {
	for i := range s.Faults {
		s.Faults[i].At = max(s.Faults[i].At-d, 0)
	}
}

// dropFaults looks for the fewest faults.
func (k *shrinker) dropFaults() (gave bool) {
	all := k.best.Faults
	if k.failed >= 0 {
		all = slices.DeleteFunc(slices.Clone(all), func(f Fault) bool { return f.At > k.failed })
	}
	return ddmin(len(all), func(left []int) bool {
		return k.reduceBy(func(c *Schedule) {
			c.Faults = nil
			for _, i := range left {
				c.Faults = append(c.Faults, all[i])
			}
		})
	})
}

// operation is a producer's tick.
type operation struct{ producer, tick int }

// dropOperations looks for the fewest produces, of those that were made until the failure.
func (k *shrinker) dropOperations() bool {
	var all []operation
	for producer, ticks := range k.made {
		for _, tick := range ticks {
			all = append(all, operation{producer, tick})
		}
	}
	return ddmin(len(all), func(left []int) bool {
		return k.reduceBy(func(c *Schedule) { c.keepOperations(all, left) })
	})
}

// keepOperations leaves a producer the operations all[left].
func (s *Schedule) keepOperations(all []operation, left []int) {
	kept := make([][]int, len(s.Options.Producers))
	for _, i := range left {
		kept[all[i].producer] = append(kept[all[i].producer], all[i].tick)
	}
	for i := range kept {
		s.Options.Producers[i].Keep = operationsOf(kept[i]).String()
	}
}

// simplifyOptions tries less of everything, then the plain value of each option that has another.
func (k *shrinker) simplifyOptions() (gave bool) {
	for _, pass := range []func() bool{k.dropTxns, k.dropGroups, k.dropMembers, k.dropConsumers, k.dropProducers, k.dropTopics, k.dropPartitions, k.dropNodes, k.dropBuggify, k.plain} {
		gave = pass() || gave
	}
	return gave
}

func (k *shrinker) dropConsumers() bool {
	return dropSome(k, 0, func(c *Schedule) *[]ConsumerOptions { return &c.Options.Consumers })
}

func (k *shrinker) dropGroups() bool {
	return dropSome(k, 0, func(c *Schedule) *[]GroupOptions { return &c.Options.Groups })
}

func (k *shrinker) dropTxns() bool {
	return dropSome(k, 0, func(c *Schedule) *[]TxnOptions { return &c.Options.Txns })
}

// dropMembers tries one member a group, then one more.
func (k *shrinker) dropMembers() (gave bool) {
	for i := range k.best.Options.Groups {
		for n := 1; n < k.best.Options.Groups[i].Members; n++ {
			if k.reduceBy(func(c *Schedule) {
				c.Options.Groups[i].Members = n
				c.retarget()
			}) {
				gave = true
				break
			}
		}
	}
	return gave
}

func (k *shrinker) dropProducers() bool {
	return dropSome(k, 0, func(c *Schedule) *[]ProducerOptions { return &c.Options.Producers })
}

func (k *shrinker) dropTopics() bool {
	return dropSome(k, 1, func(c *Schedule) *[]TopicOptions { return &c.Options.Topics })
}

// dropBuggify looks for the fewest rare paths that have to be taken.
func (k *shrinker) dropBuggify() bool {
	return dropSome(k, 0, func(c *Schedule) *[]buggify.Armed { return &c.Options.Buggify })
}

// dropSome looks for the fewest of a schedule's things of one sort, but least of them.
func dropSome[T any](k *shrinker, least int, of func(c *Schedule) *[]T) bool {
	all := *of(k.best)
	return ddmin(len(all), func(left []int) bool {
		return len(left) >= least && k.reduceBy(func(c *Schedule) {
			*of(c) = subset(all, left)
			c.retarget()
		})
	})
}

func subset[T any](all []T, left []int) (some []T) {
	for _, i := range left {
		some = append(some, all[i])
	}
	return some
}

// dropPartitions tries one partition a topic, then one fewer.
func (k *shrinker) dropPartitions() (gave bool) {
	for i := range k.best.Options.Topics {
		for n := 1; n < k.best.Options.Topics[i].Partitions; n++ {
			if k.best.Options.Topics[i].Replicas == "" && k.reduceBy(func(c *Schedule) {
				c.Options.Topics[i].Partitions = n
				c.retarget()
			}) {
				gave = true
				break
			}
		}
	}
	return gave
}

// leastBrokers is what topics with three replicas need: to have fewer would change what is promised.
const leastBrokers = 3

// dropNodes tries fewer brokers, and voters that are brokers too.
func (k *shrinker) dropNodes() (gave bool) {
	cluster := &k.best.Options.Cluster
	if !cluster.Combined {
		gave = k.reduceBy(func(c *Schedule) {
			c.Options.Cluster.Combined = true
			c.retarget()
		})
	}
	for n := leastBrokers; n < k.best.Options.Cluster.Brokers; n++ {
		if k.reduceBy(func(c *Schedule) { c.fewerBrokers(n) }) {
			gave = true
			break
		}
	}
	if k.best.Options.Cluster.Controllers > 0 {
		gave = k.reduceBy(func(c *Schedule) {
			c.Options.Cluster.Controllers = 0
			c.retarget()
		}) || gave
	}
	if k.best.Options.Cluster.Voters > 1 {
		gave = k.reduceBy(func(c *Schedule) {
			c.Options.Cluster.Voters = 1
			c.retarget()
		}) || gave
	}
	return gave
}

// fewerBrokers leaves n; topics keep as many replicas as that allows.
func (s *Schedule) fewerBrokers(n int) {
	o := &s.Options
	o.Cluster.Brokers = n
	if o.Cluster.Combined {
		o.Cluster.Voters, o.Cluster.Controllers = min(o.Cluster.Voters, n), min(o.Cluster.Controllers, n)
	}
	for _, t := range o.topicPointers() {
		t.RF, t.MinISR = min(t.RF, n), min(t.MinISR, n)
	}
	s.retarget()
}

// retarget gives faults whose host is gone another one of its sort, and forgets those that have none.
func (s *Schedule) retarget() {
	hosts := hostNames(&s.Options)
	for i := range s.Faults {
		f := &s.Faults[i]
		f.Peer = s.standInTarget(f.Peer, hosts)
		f.Target = s.standInTarget(f.Target, hosts)
		if name, place, ok := strings.Cut(f.On, "@"); ok {
			f.On = name + "@" + s.standInTarget(place, hosts)
		}
	}
	s.Faults = slices.DeleteFunc(s.Faults, func(f Fault) bool { return f.Target == "" || f.Kind.hasPeer() && (f.Peer == "" || f.Target == f.Peer) })
}

// standIn is the host itself, or the one of its sort (n, p, c) that its number means when there are fewer.
func standIn(host string, hosts []string) string {
	if slices.Contains(hosts, host) {
		return host
	}
	var sort []string
	for _, h := range hosts {
		if h[0] == host[0] {
			sort = append(sort, h)
		}
	}
	number := 0
	if _, err := fmt.Sscan(host[1:], &number); err != nil || len(sort) == 0 {
		return ""
	}
	return sort[number%len(sort)]
}

// standInTarget does the same for a target that may be a role, as in "leader:t0/1".
func (s *Schedule) standInTarget(target string, hosts []string) string {
	p := parsePlace(target)
	switch {
	case p.role == "" && target != "":
		return standIn(target, hosts)
	case p.partition.Topic == "":
		return target
	}
	t := s.Options.topic(p.partition.Topic)
	if t == nil {
		t = &s.Options.Topics[0]
	}
	p.partition = event.Partition{Topic: t.Name, Index: p.partition.Index % int32(t.Partitions)}
	return p.String()
}

// plain tries the usual value of each option that has another: all of a line at once, then one by one.
func (k *shrinker) plain() (gave bool) {
	for line := range k.best.Options.lines() {
		own, usual := k.best.Options.line(line), usualOptions(&k.best.Options).line(line)
		var odd []int
		for i := range own {
			if formatValue(own[i].at) != formatValue(usual[i].at) && !isShape(own[i].key) {
				odd = append(odd, i)
			}
		}
		gave = ddmin(len(odd), func(left []int) bool {
			return k.change(func(c *Schedule) {
				fields := c.Options.line(line)
				for i, at := range odd {
					if !slices.Contains(left, i) {
						_ = parseValue(formatValue(usual[at].at), fields[at].at)
					} else {
						_ = parseValue(formatValue(own[at].at), fields[at].at)
					}
				}
			})
		}) || gave
	}
	return gave
}

// isShape says that an option is the matter of another pass, or of what is promised.
func isShape(key string) bool {
	return slices.Contains([]string{"brokers", "voters", "combined", "name", "partitions", "rf", "min.isr", "unclean", "acks", "keep", "replicas", "members", "static", "into", "ids", "twins"}, key)
}

// lines is how many lines of options a schedule has, see line.
func (o *Options) lines() int {
	return 1 + len(o.Topics) + len(o.Producers) + len(o.Consumers) + len(o.Groups) + len(o.Txns)
}

// line is the fields of a schedule's n-th line of options: the cluster, then topics, producers, consumers, groups and transactional producers.
func (o *Options) line(n int) []field {
	if n == 0 {
		return o.Cluster.fields()
	}
	n--
	if n < len(o.Topics) {
		return o.Topics[n].fields()
	}
	n -= len(o.Topics)
	if n < len(o.Producers) {
		return o.Producers[n].fields()
	}
	n -= len(o.Producers)
	if n < len(o.Consumers) {
		return o.Consumers[n].fields()
	}
	n -= len(o.Consumers)
	if n < len(o.Groups) {
		return o.Groups[n].fields()
	}
	return o.Txns[n-len(o.Groups)].fields()
}

// usualOptions are options with as many lines as o, all of them plain. Producers stay idempotent or not: that is a promise.
func usualOptions(o *Options) *Options {
	u := &Options{Cluster: defaultCluster()}
	u.Cluster.Session, u.Cluster.Heartbeat, u.Cluster.ReplicaLag = o.Cluster.Session, o.Cluster.Heartbeat, o.Cluster.ReplicaLag // slower is not plainer
	for range o.Topics {
		u.Topics = append(u.Topics, TopicOptions{SegmentBytes: 1 << 20})
	}
	for _, p := range o.Producers {
		u.Producers = append(u.Producers, ProducerOptions{Idempotent: p.Idempotent, Interval: p.Interval, Records: 1, Size: 20, Version: 9})
	}
	for range o.Consumers {
		u.Consumers = append(u.Consumers, ConsumerOptions{Wait: 500 * time.Millisecond, MaxBytes: 1 << 20, Version: 13})
	}
	for range o.Groups {
		u.Groups = append(u.Groups, plainGroup())
	}
	for range o.Txns {
		u.Txns = append(u.Txns, plainTxn())
	}
	return u
}

// roundNumbers tries round times and small sizes of each fault.
func (k *shrinker) roundNumbers() (gave bool) {
	for i := range k.best.Faults {
		gave = k.roundTime(func(s *Schedule) *time.Duration { return &s.Faults[i].For }, true) || gave
		gave = k.roundTime(func(s *Schedule) *time.Duration { return &s.Faults[i].At }, false) || gave
		gave = k.smaller(func(s *Schedule) *int64 { return &s.Faults[i].Size }) || gave
	}
	return gave
}

// roundTime tries ever less round values, the roundest first; shorter says that less is better too.
func (k *shrinker) roundTime(at func(s *Schedule) *time.Duration, shorter bool) bool {
	now := *at(k.best)
	var values []time.Duration
	if shorter {
		values = append(values, 0, 100*time.Millisecond, time.Second)
	}
	for _, unit := range []time.Duration{time.Second, 100 * time.Millisecond, 10 * time.Millisecond} {
		values = append(values, now.Truncate(unit), now.Round(unit))
	}
	for _, v := range values {
		if v == now {
			return false // as round as that already
		}
		if (v < now || !shorter || v-now < time.Second) && k.change(func(c *Schedule) { *at(c) = v }) {
			return true
		}
	}
	return false
}

func (k *shrinker) smaller(at func(s *Schedule) *int64) bool {
	for v := int64(0); v < *at(k.best); v = 2*v + 1 {
		if k.change(func(c *Schedule) { *at(c) = v }) {
			return true
		}
	}
	return false
}

// plainKinds are the kinds that need no luck with what the clients do, the plainest first.
var plainKinds = []Kind{Kill, Pause, Isolate, PowerLoss}

// plainFaults tries a plainer kind for each fault: a broken disk needs operations that make the broker notice it, a kill does not.
//
// It waits until the faults are few: each costs up to eight runs.
func (k *shrinker) plainFaults() (gave bool) {
	if len(k.best.Faults) > fewFaults {
		return false
	}
	for i := range k.best.Faults {
		for _, kind := range plainKinds {
			if k.best.Faults[i].Kind == kind {
				break
			}
			if k.reduceBy(func(c *Schedule) { c.become(i, kind, 0) }) || k.reduceBy(func(c *Schedule) { c.become(i, kind, longFault) }) {
				gave = true
				break
			}
		}
	}
	return gave
}

// fewFaults is how many a person can follow.
const fewFaults = 4

// longFault is longer than the sessions of most runs.
const longFault = 10 * time.Second

// become makes a fault one of another kind, that lasts at least so long.
func (s *Schedule) become(i int, k Kind, least time.Duration) {
	f := &s.Faults[i]
	f.Label = s.freeLabel(k)
	f.Kind, f.For, f.Peer, f.Size = k, max(f.For, least), "", 0
	if k == PowerLoss {
		f.Size = 1
	}
}

// freeLabel is a label of the kind that no fault has.
func (s *Schedule) freeLabel(k Kind) string {
	for n := 0; ; n++ {
		label := fmt.Sprintf("%s/%d", k, n)
		if !slices.ContainsFunc(s.Faults, func(f Fault) bool { return f.Label == label }) {
			return label
		}
	}
}

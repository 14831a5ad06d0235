package availability

import (
	"fmt"
	"strings"
	"time"

	"github.com/lockstep/lockstep/scheduler/virtual"
	"github.com/lockstep/lockstep/sim"
)

// Config is one cluster and what is done to it: a line of the table for each of Acks.
//
// The brokers are n1, n2 and n3. The topic has one partition; its replicas are n1 to nRF, and n1
// leads. Brokers are stopped in the order n1, n2, n3, so that the first is the leader, the second
// most often its successor; and they are started again in that order, each as long after it was
// stopped. What comes back first has therefore missed the most.
type Config struct {
	RF       int
	MinISR   int
	Unclean  bool
	Stopped  int  // brokers: 1, 2 or 3
	Power    bool // they lose power; else they are shut down in a controlled way
	Combined bool // the brokers are the controllers too; else a node that nobody stops is
	Patient  bool // clients wait 30 s for an answer, as Kafka's do by default; else 5 s
}

// The producers of every run, side by side: what is a line each in the table.
var acksOfProducers = [...]int{0, 1, -1}

const (
	producerInterval = 25 * time.Millisecond // mean; at most twice that
	fetchWait        = 50 * time.Millisecond

	// noise is the longest pause between two answers that is none: producers make a batch every
	// 50 ms at the latest, fetches are answered after fetchWait, and links and disks take some milliseconds.
	noise = 100 * time.Millisecond
)

// leftOut says which configurations would teach nothing more.
const leftOut = "Left out: unclean election where an in-sync replica is left, which is elected either way (one stop; RF 3 and two stops); " +
	"two stops with RF 1, for the second broker has no replica, and with min ISR 3, for which one is enough; " +
	"three stops with min ISR 1, which are as two of two replicas, and with min ISR 3, as one."

// Configs are those of which each teaches something; leftOut says which are not among them.
func Configs() (all []Config) {
	for _, power := range []bool{false, true} {
		for _, c := range [][2]int{{1, 1}, {2, 1}, {2, 2}, {3, 1}, {3, 2}, {3, 3}} {
			all = append(all, Config{RF: c[0], MinISR: c[1], Stopped: 1, Power: power})
		}
	}
	all = append(all, Config{RF: 3, MinISR: 2, Stopped: 1, Power: true, Patient: true})
	for _, power := range []bool{false, true} {
		for _, c := range [][2]int{{2, 1}, {2, 2}, {3, 1}, {3, 2}} {
			all = append(all, Config{RF: c[0], MinISR: c[1], Stopped: 2, Power: power})
			if c[0] == 2 {
				all = append(all, Config{RF: c[0], MinISR: c[1], Stopped: 2, Power: power, Unclean: true})
			}
		}
	}
	all = append(all, Config{RF: 3, MinISR: 1, Stopped: 2, Power: true, Combined: true})
	for _, power := range []bool{false, true} {
		for _, unclean := range []bool{false, true} {
			all = append(all, Config{RF: 3, MinISR: 2, Stopped: 3, Power: power, Unclean: unclean})
		}
	}
	return all
}

// Name is the configuration in a word, for flags: rf3-isr2-one-power.
func (c Config) Name() string {
	name := fmt.Sprintf("rf%d-isr%d-%s-%s", c.RF, c.MinISR, c.count(), c.manner())
	for _, x := range []struct {
		on   bool
		name string
	}{{c.Unclean, "unclean"}, {c.Combined, "combined"}, {c.Patient, "patient"}} {
		if x.on {
			name += "-" + x.name
		}
	}
	return name
}

func (c Config) manner() string {
	if c.Power {
		return "power"
	}
	return "clean"
}

// Title is the configuration for people.
func (c Config) Title() string {
	parts := []string{fmt.Sprintf("RF %d, min ISR %d", c.RF, c.MinISR)}
	if c.Unclean {
		parts = append(parts, "unclean")
	}
	if c.Combined {
		parts = append(parts, "combined")
	}
	if c.Patient {
		parts = append(parts, "client timeout 30 s")
	}
	return strings.Join(parts, ", ")
}

// Trouble is what is done to the brokers, for people.
func (c Config) Trouble() string {
	how := "shut down"
	if c.Power {
		how = "power loss"
		if c.Stopped > 1 {
			how = "power losses"
		}
	}
	return c.count() + " " + how
}

func (c Config) count() string { return [...]string{"", "one", "two", "three"}[c.Stopped] }

// down is how long a broker stays down: long enough that clients find a new leader while it is.
func (c Config) down() time.Duration {
	if c.Patient {
		return 40 * time.Second
	}
	return 25 * time.Second
}

// longestGap is the most between two stops: now before the first one was noticed (after 9 s), now
// after it, and short enough that three brokers are down together.
const longestGap = 12 * time.Second

const (
	firstStop = 2 * time.Second // at the earliest
	jitter    = 2 * time.Second // of the first stop
	aftermath = 8 * time.Second // from the last start on
)

// length is how long clients are watched.
func (c Config) length() time.Duration {
	return firstStop + jitter + time.Duration(c.Stopped-1)*longestGap + c.down() + aftermath
}

// Schedule is the run of a seed. The seed draws when the brokers are stopped, and all that the
// simulator leaves to chance: delays, sync times, what a power loss takes.
func (c Config) Schedule(seed uint64) *sim.Schedule {
	o := sim.Options{Cluster: sim.Canonical().Cluster, For: c.length(), Settle: 120 * time.Second, Unbounded: true}
	o.Cluster.Voters, o.Cluster.Combined = 1, c.Combined
	if c.Combined {
		o.Cluster.Voters = 3
	}
	o.Cluster.MetadataAge = 5 * time.Minute
	o.Cluster.Retransmit = 924 * time.Second // as Linux with its 15 retries: the client's timeout comes first
	o.Cluster.RequestTimeout = 5 * time.Second
	if c.Patient {
		o.Cluster.RequestTimeout = 30 * time.Second
	}
	o.Topics = []sim.TopicOptions{{
		Name: "t0", Partitions: 1, RF: c.RF, MinISR: c.MinISR, Unclean: c.Unclean, SegmentBytes: 1 << 20, Replicas: "1,2,3"[:2*c.RF-1],
	}}
	for _, acks := range acksOfProducers {
		o.Producers = append(o.Producers, sim.ProducerOptions{
			Acks: acks, Idempotent: acks == -1, Interval: producerInterval, Records: 1, Size: 100, Version: 9,
		})
	}
	o.Consumers = []sim.ConsumerOptions{{Wait: fetchWait, MaxBytes: 1 << 20, Version: 13}}
	return &sim.Schedule{Build: sim.Build(), Scenario: "availability/" + c.Name(), Seed: seed, Options: o, Faults: c.faults(seed)}
}

func (c Config) faults(seed uint64) (faults []sim.Fault) {
	r := virtual.Rand(seed, "availability/stops")
	kind := sim.CleanRestart
	if c.Power {
		kind = sim.PowerLoss
	}
	at := firstStop + time.Duration(r.Int64N(int64(jitter)))
	for i := range c.Stopped {
		faults = append(faults, sim.Fault{
			Label: fmt.Sprintf("%s/%d", kind, i), Kind: kind, At: at.Truncate(time.Millisecond), For: c.down(), Target: fmt.Sprintf("n%d", 1+i),
		})
		at += time.Millisecond + time.Duration(r.Int64N(int64(longestGap)))
	}
	return faults
}

package sim

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/lockstep/lockstep/core/event"
)

// Feature is something of the core that a run may have used.
type Feature uint8

// The features.
const (
	AcksAll Feature = iota
	AcksOne
	AcksNone
	Idempotence
	FetchSessions
	Elections
	UncleanElections
	EligibleReplicas
	ISRShrinks
	ISRGrows
	ISRRefused
	Truncations
	Divergences
	Recoveries
	TornTails
	SegmentRolls
	Retention
	RemovedReplicas
	FencedBrokers
	ControlledShutdowns
	FailedLogDirs
	QuorumElections
	Prevotes
	QuorumTruncations
	SnapshotsWritten
	SnapshotsLoaded
	Transactions
	ReadCommitted
	Copies
	numFeatures
)

var featureNames = [numFeatures]string{
	"acks=all", "acks=1", "acks=0", "idempotent", "session", "election", "unclean", "elr", "isr-", "isr+", "isr-refused",
	"truncation", "diverging", "recovery", "torn-tail", "roll", "retention", "replica-gone", "fenced", "shutdown", "dir-failed",
	"quorum", "prevote", "raft-truncation", "snapshot", "snapshot-load",
	"transaction", "read-committed", "exactly-once",
}

func (f Feature) String() string { return featureNames[f] }

func parseFeature(name string) (Feature, error) {
	i := slices.Index(featureNames[:], name)
	if i < 0 {
		return 0, fmt.Errorf("no feature %q", name)
	}
	return Feature(i), nil
}

// sightings is what events tell of the features that a run uses.
type sightings struct {
	kinds    [event.NumKinds]uint32
	isr      map[event.Partition]int // its size, as last committed
	features [numFeatures]bool
}

// see is called for every event.
func (s *sightings) see(e *event.Event) {
	s.kinds[e.Kind]++
	switch e.Kind {
	case event.IsrCommitted:
		s.seeISR(e)
	case event.PartitionChanged:
		_, elr, _ := strings.Cut(e.Note, "elr=")
		s.saw(EligibleReplicas, elr != "" && elr[0] != ' ')
	case event.Recovered:
		s.saw(TornTails, e.Len > 0)
	case event.RaftBecame:
		s.saw(QuorumElections, e.Note == "leader")
		s.saw(Prevotes, e.Note == "prospective")
	}
}

func (s *sightings) saw(f Feature, yes bool) { s.features[f] = s.features[f] || yes }

func (s *sightings) seeISR(e *event.Event) {
	if s.isr == nil {
		s.isr = map[event.Partition]int{}
	}
	size := 1 + strings.Count(e.Note, ",")
	if before, known := s.isr[e.Partition]; known {
		s.saw(ISRShrinks, size < before)
		s.saw(ISRGrows, size > before)
	}
	s.isr[e.Partition] = size
}

// featureEvents are the features that one kind of event shows.
var featureEvents = [numFeatures]event.Kind{
	Elections: event.BecameLeader, UncleanElections: event.UncleanElection, ISRRefused: event.IsrRejected, Truncations: event.Truncated,
	Divergences: event.Diverged, SegmentRolls: event.SegmentRolled, Retention: event.LogStartMoved, RemovedReplicas: event.ReplicaRemoved,
	FencedBrokers: event.BrokerFenced, ControlledShutdowns: event.NodeStopped, FailedLogDirs: event.LogDirFailed,
	QuorumTruncations: event.RaftTruncated, SnapshotsWritten: event.SnapshotWritten, SnapshotsLoaded: event.SnapshotLoaded,
	Recoveries: event.Recovered,
}

// FeatureCounts is for each feature the number of runs that used it.
type FeatureCounts [numFeatures]int

// MarshalJSON names the features and leaves out those that no run used.
func (c FeatureCounts) MarshalJSON() ([]byte, error) {
	return marshalNamed(c[:], func(i int) string { return Feature(i).String() })
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *FeatureCounts) UnmarshalJSON(text []byte) error {
	return unmarshalNamed(text, c[:], parseFeature)
}

// used is the features that a run of these options has used.
func (s *sightings) used(o *Options) (used FeatureCounts) {
	for f, kind := range featureEvents {
		if kind != 0 {
			s.saw(Feature(f), s.kinds[kind] > 0)
		}
	}
	for _, p := range o.Producers {
		s.saw(AcksAll, p.Acks == -1)
		s.saw(AcksOne, p.Acks == 1)
		s.saw(AcksNone, p.Acks == 0)
		s.saw(Idempotence, p.Idempotent)
	}
	for _, c := range o.Consumers {
		s.saw(FetchSessions, c.Sessions)
		s.saw(ReadCommitted, c.Committed)
	}
	s.saw(Transactions, o.hasTransactions())
	for i := range o.Groups {
		s.saw(Copies, o.Groups[i].copies())
	}
	for f, yes := range s.features {
		if yes {
			used[f] = 1
		}
	}
	return used
}

// Coverage counts the runs of a campaign in which a feature was used and a kind of fault had an effect.
type Coverage struct {
	Together [numFeatures][numKinds]uint64
	Features [numFeatures]uint64
	Kinds    [numKinds]uint64
}

// Add takes in a run's numbers.
func (c *Coverage) Add(s *Stats) {
	for k, n := range s.Effective {
		if n > 0 {
			c.Kinds[k]++
		}
	}
	for f, used := range s.Features {
		if used == 0 {
			continue
		}
		c.Features[f]++
		for k, n := range s.Effective {
			if n > 0 {
				c.Together[f][k]++
			}
		}
	}
}

// Holes names what no run has shown: features and kinds of fault that were never seen, and of the others those that never met.
func (c *Coverage) Holes() (holes []string) {
	for f, n := range c.Features {
		if n == 0 {
			holes = append(holes, "never used: "+Feature(f).String())
		}
	}
	for k, n := range c.Kinds {
		if n == 0 {
			holes = append(holes, "never with an effect: "+Kind(k).String())
		}
	}
	for f := range c.Together {
		if alone := c.neverWith(Feature(f)); len(alone) > 0 {
			holes = append(holes, "never together: "+Feature(f).String()+" and "+strings.Join(alone, ", "))
		}
	}
	return holes
}

func (c *Coverage) neverWith(f Feature) (kinds []string) {
	for k, n := range c.Together[f] {
		if n == 0 && c.Features[f] > 0 && c.Kinds[k] > 0 {
			kinds = append(kinds, Kind(k).String())
		}
	}
	return kinds
}

// Print writes the matrix as a table, kinds of fault down and features across, and then its holes.
func (c *Coverage) Print(w io.Writer) {
	t := newLeftTable(w)
	head := []any{"", "runs"}
	for f := range numFeatures {
		head = append(head, letter(f))
	}
	_ = t.Append(head...)
	for k := range numKinds {
		row := []any{k.String(), brief(c.Kinds[k])}
		for f := range numFeatures {
			row = append(row, brief(c.Together[f][k]))
		}
		_ = t.Append(row...)
	}
	_ = t.Render()
	for f := range numFeatures {
		fmt.Fprintf(w, "%s: %s (%d)\n", letter(f), f, c.Features[f])
	}
	for _, hole := range c.Holes() {
		fmt.Fprintln(w, hole)
	}
}

// letter stands for a feature at the head of a column: a to z, then aa and so on.
func letter(f Feature) string {
	last := string(rune('a' + f%26))
	if f < 26 {
		return last
	}
	return letter(f/26-1) + last
}

// brief is a count in at most four letters; nothing is a dot.
func brief(n uint64) string {
	switch {
	case n == 0:
		return "."
	case n < 10_000:
		return fmt.Sprint(n)
	case n < 10_000_000:
		return fmt.Sprintf("%dk", n/1000)
	}
	return fmt.Sprintf("%dM", n/1_000_000)
}

// CoverageJSON is the matrix for machines.
type CoverageJSON struct {
	Features map[string]uint64            `json:"features"`
	Faults   map[string]uint64            `json:"faults"`
	Together map[string]map[string]uint64 `json:"together"`
	Holes    []string                     `json:"holes"`
}

// JSON is the matrix by names; what is zero is left out.
func (c *Coverage) JSON() *CoverageJSON {
	j := &CoverageJSON{Features: map[string]uint64{}, Faults: map[string]uint64{}, Together: map[string]map[string]uint64{}, Holes: c.Holes()}
	for k, n := range c.Kinds {
		j.Faults[Kind(k).String()] = n
	}
	for f, n := range c.Features {
		j.Features[Feature(f).String()] = n
		row := map[string]uint64{}
		for k, n := range c.Together[f] {
			if n > 0 {
				row[Kind(k).String()] = n
			}
		}
		j.Together[Feature(f).String()] = row
	}
	return j
}

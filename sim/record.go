package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Record is what became of one seed, as a line of a campaign's results. The same build gives the same record for a seed on
// every machine.
type Record struct {
	Seed  uint64 `json:"seed"`
	Build string `json:"build"`
	Variant
	Verdict Verdict `json:"verdict"`
	Promise string  `json:"promise,omitempty"`
	Checker string  `json:"checker,omitempty"`
	Reason  string  `json:"reason,omitempty"`
	Repro   string  `json:"repro,omitempty"`
	Digest  Digest  `json:"digest"`
	Stats   Stats   `json:"stats"`
}

// NewRecord is the record of a run of what a variant draws for its seed.
func NewRecord(r *Result, v Variant) *Record {
	record := &Record{
		Seed: r.Schedule.Seed, Build: Build(), Variant: v, Verdict: r.Verdict(), Reason: r.Reason(), Digest: Digest(r.Digest), Stats: r.Stats,
	}
	if record.Verdict == Violated {
		record.Promise, record.Checker = r.Violations[0].Promise, r.Violations[0].Checker
	}
	if record.failed() {
		record.Repro = r.Repro()
	}
	return record
}

func (r *Record) failed() bool { return r.Verdict == Violated || r.Verdict == Broken }

// ParseRecord reads a record's JSON.
func ParseRecord(text []byte) (*Record, error) {
	r := new(Record)
	err := json.Unmarshal(text, r)
	if err == nil && r.Build == "" {
		err = errors.New("it names no build")
	}
	if err != nil {
		return nil, fmt.Errorf("not a record of a campaign: %w", err)
	}
	return r, nil
}

// Digest is a run's digest; its text form is 16 hexadecimal digits.
type Digest uint64

func (d Digest) String() string { return fmt.Sprintf("%016x", uint64(d)) }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 64)
	*d = Digest(n)
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *Verdict) UnmarshalText(text []byte) error {
	i := slices.Index(verdictNames, string(text))
	if i < 0 {
		return fmt.Errorf("no verdict %q", text)
	}
	*v = Verdict(i)
	return nil
}

// KindCounts is a number for each kind of fault.
type KindCounts [numKinds]int

// MarshalJSON names the kinds and leaves out those that have none.
func (c KindCounts) MarshalJSON() ([]byte, error) {
	return marshalNamed(c[:], func(i int) string { return Kind(i).String() })
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *KindCounts) UnmarshalJSON(text []byte) error { return unmarshalNamed(text, c[:], ParseKind) }

package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrTwoDigests says that one seed of one build gave two digests: it is not deterministic, or a machine is not sound.
var ErrTwoDigests = errors.New("one seed has two digests")

// ErrTwoCampaigns says that results of different builds or variants were put together: their seeds mean different things.
var ErrTwoCampaigns = errors.New("results of two campaigns")

// Results are records of a campaign, at most one of a seed. Adding is commutative and idempotent.
type Results struct {
	build   string
	variant Variant
	records map[uint64]*Record
}

// Len is the number of seeds.
func (s *Results) Len() int { return len(s.records) }

// Find returns a seed's record, nil if there is none.
func (s *Results) Find(seed uint64) *Record { return s.records[seed] }

// AreOf fails with ErrTwoCampaigns if there are results of another build or variant.
func (s *Results) AreOf(build string, v Variant) error {
	if s.records != nil && (s.build != build || s.variant != v) {
		return fmt.Errorf("%w: these are of build %s%s, not of build %s%s", ErrTwoCampaigns, s.build, s.variant.Flags(), build, v.Flags())
	}
	return nil
}

// Add takes a record. It fails, and changes nothing, with ErrTwoDigests or ErrTwoCampaigns.
func (s *Results) Add(r *Record) error {
	if s.records == nil {
		s.build, s.variant, s.records = r.Build, r.Variant, map[uint64]*Record{}
	}
	if err := s.AreOf(r.Build, r.Variant); err != nil {
		return fmt.Errorf("seed %d: %w", r.Seed, err)
	}
	if known := s.records[r.Seed]; known != nil {
		if known.Digest != r.Digest {
			return fmt.Errorf("%w: seed %d has %s and %s", ErrTwoDigests, r.Seed, min(known.Digest, r.Digest), max(known.Digest, r.Digest))
		}
		return nil
	}
	s.records[r.Seed] = r
	return nil
}

// Seeds are the seeds, lowest first.
func (s *Results) Seeds() []uint64 {
	seeds := make([]uint64, 0, len(s.records))
	for seed := range s.records { // order: sorted below
		seeds = append(seeds, seed)
	}
	slices.Sort(seeds)
	return seeds
}

// Sum is the results as the fuzz that they are of.
func (s *Results) Sum() *Fuzz {
	f := newFuzz(FuzzOptions{Variant: s.variant})
	f.Build = s.build
	for _, seed := range s.Seeds() {
		f.add(s.records[seed])
	}
	f.sort()
	return f
}

// Write writes the records, one a line, lowest seed first.
func (s *Results) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	for _, seed := range s.Seeds() {
		if err := e.Encode(s.records[seed]); err != nil {
			return err
		}
	}
	return nil
}

// Read adds the records of a results file. It returns how many of its bytes are whole lines: a process that ended
// while it wrote leaves a last line that does not count.
func (s *Results) Read(r io.Reader) (whole int64, err error) { return readLines(r, s.addLine) }

func (s *Results) addLine(line []byte) error {
	record, err := ParseRecord(line)
	if err != nil {
		return err
	}
	return s.Add(record)
}

// ResultsFile is a campaign's results on a disk: they grow by a line for each seed, and a campaign that ended early
// goes on from there.
type ResultsFile struct {
	Results
	*LineFile
}

// OpenResults opens the results file of a campaign of this build, or makes it.
func OpenResults(name string, v Variant) (*ResultsFile, error) {
	f := &ResultsFile{}
	lines, err := OpenLineFile(name, func(line []byte) error {
		if err := f.addLine(line); err != nil {
			return err
		}
		return f.AreOf(Build(), v)
	})
	f.LineFile = lines
	return f, err
}

// Append adds a record, here and in the file.
func (f *ResultsFile) Append(r *Record) error {
	if err := f.Add(r); err != nil {
		return err
	}
	return f.LineFile.Append(r)
}

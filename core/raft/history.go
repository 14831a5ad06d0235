package raft

import (
	"slices"

	"github.com/lockstep/lockstep/core/record"
)

// history is the voter sets and kraft.versions of the log, by the offset of their record, from the latest snapshot to the log's end
// (Kafka's KRaftControlRecordStateMachine). What the end of the log says counts as soon as it is appended, and no longer than it
// is there: a set is a majority's to commit, and the majority is that of the set itself (KIP-853, Raft 4.1).
//
// Invariant: it has read all that the log was given.
type history struct {
	static   []Voter
	voters   []votersAt
	versions []versionAt
}

// votersAt is the voters from an offset on. Those of a snapshot are at its last offset, and those a directory was formatted with at -1.
type votersAt struct {
	offset int64
	voters []Voter
}

type versionAt struct {
	offset  int64
	version int16
}

// lastVoters are the voters, those of the configuration as long as no record says anything else.
func (h *history) lastVoters() []Voter {
	if n := len(h.voters); n > 0 {
		return h.voters[n-1].voters
	}
	if h.version() > 0 {
		return nil // formatted to find them in the log of others
	}
	return h.static
}

// votersOffset is where the last voters' record is; ok is false if there is none.
func (h *history) votersOffset() (offset int64, ok bool) {
	if n := len(h.voters); n > 0 {
		return h.voters[n-1].offset, true
	}
	return 0, false
}

// removedAfter reports whether a replica was a voter until the last set, which is not below hw.
func (h *history) removedAfter(k voterKey, hw int64) bool {
	n := len(h.voters)
	return n > 1 && h.voters[n-1].offset >= hw && !isVoter(h.voters[n-1].voters, k) && isVoter(h.voters[n-2].voters, k)
}

// version is the last kraft.version.
func (h *history) version() int16 {
	if n := len(h.versions); n > 0 {
		return h.versions[n-1].version
	}
	return 0
}

// controlsAt is what a snapshot of all below offset has to say.
func (h *history) controlsAt(offset int64) (c controls) {
	for _, v := range h.versions {
		if v.offset < offset {
			c.version = v.version
		}
	}
	for _, v := range h.voters {
		if v.offset < offset {
			c.voters = v.voters
		}
	}
	return c
}

// reset starts anew from a snapshot that ends at offset.
func (h *history) reset(c controls, end int64) {
	h.voters, h.versions = h.voters[:0], h.versions[:0]
	if c.version > 0 {
		h.versions = append(h.versions, versionAt{end - 1, c.version})
	}
	if len(c.voters) > 0 {
		h.voters = append(h.voters, votersAt{end - 1, c.voters})
	}
}

// truncate forgets what was at end and above, and reports whether there was anything.
func (h *history) truncate(end int64) bool {
	before := len(h.voters) + len(h.versions)
	h.voters = slices.DeleteFunc(h.voters, func(v votersAt) bool { return v.offset >= end })
	h.versions = slices.DeleteFunc(h.versions, func(v versionAt) bool { return v.offset >= end })
	return len(h.voters)+len(h.versions) < before
}

// forget drops what a snapshot to offset has replaced: all but the last before it.
func (h *history) forget(offset int64) {
	for len(h.voters) > 1 && h.voters[1].offset < offset {
		h.voters = h.voters[1:]
	}
	for len(h.versions) > 1 && h.versions[1].offset < offset {
		h.versions = h.versions[1:]
	}
}

// controls are what the control records of a snapshot say.
type controls struct {
	version int16
	voters  []Voter // nil if it does not say
}

// records are those that a snapshot begins with, after its header.
func (c controls) records() (records []controlRecord) {
	if c.version > 0 {
		records = append(records, kraftVersionRecord(c.version))
		if len(c.voters) > 0 {
			records = append(records, votersRecord(c.voters))
		}
	}
	return records
}

// add takes note of what control records say that the log was given.
func (h *history) add(f found) {
	h.versions = append(h.versions, f.versions...)
	h.voters = append(h.voters, f.voters...)
}

// found is what the control records of some batches say, in order.
type found struct {
	voters   []votersAt
	versions []versionAt
}

func (f *found) any() bool { return len(f.voters)+len(f.versions) > 0 }

// findControls reads the control records in whole batches. listener is whose endpoint the quorum speaks to.
func findControls(batches []byte, listener string) (f found, err error) {
	err = eachControl(batches, func(offset int64, kind int16, value []byte) error {
		switch kind {
		case controlKRaftVersion:
			version, err := parseKRaftVersion(value)
			f.versions = append(f.versions, versionAt{offset, version})
			return err
		case controlVoters:
			voters, err := parseVoters(value, listener)
			f.voters = append(f.voters, votersAt{offset, voters})
			return err
		}
		return nil
	})
	return f, err
}

// VoterSets calls f with the ids of each voter set in whole batches of the metadata log, and the offset of its record.
func VoterSets(batches []byte, f func(offset int64, ids []int32)) error {
	found, err := findControls(batches, "")
	for _, v := range found.voters {
		ids := make([]int32, len(v.voters))
		for i := range v.voters {
			ids[i] = v.voters[i].ID
		}
		f(v.offset, ids)
	}
	return err
}

// eachControl calls f with the control records in whole batches.
func eachControl(batches []byte, f func(offset int64, kind int16, value []byte) error) error {
	var scratch record.Scratch
	for len(batches) > 0 {
		b, rest, err := record.Parse(batches)
		if err != nil {
			return err
		}
		batches = rest
		if !b.IsControl() {
			continue
		}
		err = b.Each(&scratch, func(r record.Record) error {
			return f(b.BaseOffset()+int64(r.OffsetDelta), controlType(r.Key), r.Value)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

package raft

import (
	"encoding/binary"
	"errors"

	"github.com/lockstep/lockstep/core/record"
)

// Types of control records.
const (
	controlLeaderChange   = 2
	controlSnapshotHeader = 3
	controlSnapshotFooter = 4
	controlKRaftVersion   = 5
	controlVoters         = 6
)

// controlRecord is one record of a control batch.
type controlRecord struct {
	kind  int16
	value []byte
}

// controlBatch is a batch of control records.
func controlBatch(offset int64, epoch int32, timestamp int64, records ...controlRecord) record.Batch {
	b := record.NewBuilder(nil, record.BatchOptions{BaseOffset: offset, LeaderEpoch: epoch,
		ProducerID: record.NoProducerID, Control: true, BaseTimestamp: timestamp})
	for _, r := range records {
		key := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, 0), uint16(r.kind))
		b.Append(timestamp, key, r.value)
	}
	return b.Build()
}

func controlType(key []byte) int16 {
	if len(key) < 4 {
		return -1
	}
	return int16(binary.BigEndian.Uint16(key[2:]))
}

// The records of KIP-853, in the flexible version 0 that they have.

func kraftVersionRecord(version int16) controlRecord {
	return controlRecord{controlKRaftVersion, append(binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(version)), 0)}
}

func votersRecord(voters []Voter) controlRecord {
	b := binary.AppendUvarint([]byte{0, 0}, uint64(len(voters)+1))
	for i := range voters {
		v := &voters[i]
		b = binary.BigEndian.AppendUint32(b, uint32(v.ID))
		b = append(b, v.DirectoryID[:]...)
		b = binary.AppendUvarint(b, uint64(len(v.Endpoints)+1))
		for _, e := range v.Endpoints {
			b = binary.BigEndian.AppendUint16(appendCompact(appendCompact(b, e.Name), e.Host), e.Port)
			b = append(b, 0)
		}
		b = binary.BigEndian.AppendUint16(b, uint16(v.KRaftVersion.Min))
		b = binary.BigEndian.AppendUint16(b, uint16(v.KRaftVersion.Max))
		b = append(b, 0, 0)
	}
	return controlRecord{controlVoters, append(b, 0)}
}

func appendCompact(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s)+1)), s...)
}

var errControlRecord = errors.New("raft: bad control record")

func parseKRaftVersion(b []byte) (int16, error) {
	r := controlReader{src: b}
	r.int16() // of the record
	v := r.int16()
	r.tags()
	if r.bad || v < 0 {
		return 0, errControlRecord
	}
	return v, nil
}

// parseVoters reads a VotersRecord; listener is whose endpoint the quorum speaks to.
func parseVoters(b []byte, listener string) ([]Voter, error) {
	r := controlReader{src: b}
	r.int16() // of the record
	var voters []Voter
	for range r.count() {
		voters = append(voters, r.voter(listener))
		if r.bad {
			return nil, errControlRecord
		}
	}
	r.tags()
	voters = sortVoters(voters)
	for i := range voters {
		r.bad = r.bad || voters[i].ID < 0 || i > 0 && voters[i].ID == voters[i-1].ID
	}
	if r.bad || len(voters) == 0 {
		return nil, errControlRecord
	}
	return voters, nil
}

// controlReader walks the value of a control record. When it has run dry it is bad and gives zeros; no claimed count makes it
// do more than the bytes are worth.
type controlReader struct {
	src []byte
	bad bool
}

func (r *controlReader) span(n uint64) []byte {
	if n > uint64(len(r.src)) {
		r.bad, r.src = true, nil
		return nil
	}
	b := r.src[:n]
	r.src = r.src[n:]
	return b
}

func (r *controlReader) int16() int16 {
	if b := r.span(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *controlReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.src)
	if n <= 0 {
		r.bad, r.src = true, nil
		return 0
	}
	r.src = r.src[n:]
	return v
}

// count is of the items of an array, which take a byte each at least. None may be null.
func (r *controlReader) count() uint64 {
	n := r.uvarint()
	if n == 0 || n-1 > uint64(len(r.src)) {
		r.bad, r.src = true, nil
		return 0
	}
	return n - 1
}

func (r *controlReader) string() string { return string(r.span(r.count())) }

func (r *controlReader) tags() {
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		r.uvarint()
		r.span(r.uvarint())
	}
}

func (r *controlReader) voter(listener string) Voter {
	var k voterKey
	if b := r.span(4); b != nil {
		k.id = int32(binary.BigEndian.Uint32(b))
	}
	copy(k.dir[:], r.span(16))
	var endpoints []Endpoint
	for range r.count() {
		e := Endpoint{Name: r.string(), Host: r.string(), Port: uint16(r.int16())}
		r.tags()
		if r.bad {
			return Voter{}
		}
		endpoints = append(endpoints, e)
	}
	versions := versionRange{r.int16(), r.int16()}
	r.tags()
	r.tags()
	return newVoter(k, endpoints, versions, listener)
}

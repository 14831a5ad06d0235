package raft

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/disk"
)

// electionState is what a node must never forget: the epoch it is in, who leads it and whom it
// voted for. Kafka's ElectionState.
type electionState struct {
	epoch    int32
	leader   int32 // none if not known
	voted    int32 // none if it did not vote
	votedDir [16]byte
}

// ErrQuorumState is a quorum-state file that cannot be read: the node must not guess its votes.
var ErrQuorumState = errors.New("raft: bad quorum-state file")

// quorumStateStore makes election states durable, one at a time.
type quorumStateStore interface {
	write(e electionState, q quorum, done func(error))
}

// quorum is what the file also says.
type quorum struct {
	version int16 // of kraft.version, and so of the file
	voters  []Voter
}

// quorumStateFile is the store of production: Kafka's quorum-state in the metadata log's directory.
type quorumStateFile struct {
	disk disk.Disk
	name string
}

// write replaces the file atomically and syncs it; done means durable.
func (f *quorumStateFile) write(e electionState, q quorum, done func(error)) {
	storage.WriteFileAtomic(f.disk, f.name, appendQuorumState(nil, e, q), done)
}

// quorumStateJSON is QuorumStateData: all fields of version 0 and 1.
type quorumStateJSON struct {
	ClusterID        *string      `json:"clusterId,omitempty"`
	LeaderID         *int32       `json:"leaderId"`
	LeaderEpoch      *int32       `json:"leaderEpoch"`
	VotedID          *int32       `json:"votedId"`
	VotedDirectoryID *string      `json:"votedDirectoryId,omitempty"`
	AppliedOffset    *int64       `json:"appliedOffset,omitempty"`
	CurrentVoters    *[]voterJSON `json:"currentVoters,omitempty"`
	DataVersion      *int16       `json:"data_version"`
}

type voterJSON struct {
	VoterID int32 `json:"voterId"`
}

// appendQuorumState is the file's content: version 0 with kraft.version 0, else version 1, which has the voted directory's id and
// not the voters: these are in the log.
func appendQuorumState(dst []byte, e electionState, q quorum) []byte {
	version := min(q.version, 1)
	j := quorumStateJSON{LeaderID: &e.leader, LeaderEpoch: &e.epoch, VotedID: &e.voted, DataVersion: &version}
	if version > 0 {
		dir := base64.RawURLEncoding.EncodeToString(e.votedDir[:])
		j.VotedDirectoryID = &dir
	} else {
		j.ClusterID, j.AppliedOffset = new(string), new(int64) // Kafka leaves them empty
		ids := make([]voterJSON, len(q.voters))
		for i := range q.voters {
			ids[i].VoterID = q.voters[i].ID
		}
		j.CurrentVoters = &ids
	}
	b, err := json.Marshal(j)
	if err != nil {
		panic(err) // plain fields: cannot fail
	}
	return append(dst, b...)
}

// parseQuorumState reads version 0 or 1. No content at all is a node that never took part.
func parseQuorumState(b []byte) (electionState, error) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	if len(bytes.TrimSpace(line)) == 0 {
		return electionState{}, fmt.Errorf("%w: empty", ErrQuorumState)
	}
	var j quorumStateJSON
	if err := json.Unmarshal(line, &j); err != nil {
		return electionState{}, fmt.Errorf("%w: %v", ErrQuorumState, err)
	}
	return j.electionState()
}

// quorumStateVersion is the version of a file that parseQuorumState understands.
func quorumStateVersion(b []byte) (version int16) {
	var j quorumStateJSON
	line, _, _ := bytes.Cut(b, []byte("\n"))
	if json.Unmarshal(line, &j) == nil && j.DataVersion != nil {
		version = *j.DataVersion
	}
	return version
}

func (j *quorumStateJSON) electionState() (electionState, error) {
	if j.DataVersion == nil || *j.DataVersion < 0 || *j.DataVersion > 1 {
		return electionState{}, fmt.Errorf("%w: data_version is not 0 or 1", ErrQuorumState)
	}
	if j.LeaderID == nil || j.LeaderEpoch == nil || j.VotedID == nil {
		return electionState{}, fmt.Errorf("%w: a field is missing", ErrQuorumState)
	}
	e := electionState{epoch: *j.LeaderEpoch, leader: *j.LeaderID, voted: *j.VotedID}
	if e.epoch < 0 || e.leader < none || e.voted < none {
		return electionState{}, fmt.Errorf("%w: a field is negative", ErrQuorumState)
	}
	if *j.DataVersion == 1 && j.VotedDirectoryID != nil {
		if err := parseUUID(*j.VotedDirectoryID, &e.votedDir); err != nil {
			return electionState{}, err
		}
	}
	if e.voted == none {
		e.votedDir = [16]byte{}
	}
	return e, nil
}

// parseUUID reads Kafka's form of a UUID: URL-safe base64 without padding.
func parseUUID(s string, id *[16]byte) error {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return fmt.Errorf("%w: bad directory id", ErrQuorumState)
	}
	copy(id[:], b)
	return nil
}

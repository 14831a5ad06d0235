package buggify

import (
	"fmt"
	"slices"
	"strings"
)

// Site is a place in the core where something legal happens that is rare otherwise.
type Site uint8

// The sites. A comment says what happens there when the site fires, and so what a correct Kafka may do at any time.
const (
	ShortRead      Site = iota // a read of a log gives less than it could
	RecentMiss                 // the log's tail is not found in memory: its positions come from the disk
	ForgetRecent               // positions of the log's tail are forgotten early
	TinySegment                // a segment rolls after a few bytes
	IndexDense                 // a batch gets an index entry whatever the interval says
	IndexSparse                // a batch gets none
	IndexEvicted               // all indexes of inactive segments leave memory
	ColdWindow                 // a cold read looks at one header at a time
	ScanChunk                  // a scan reads a little more than a header at a time
	ScanLate                   // the check of a scanned chunk completes late
	EarlyFlush                 // a write is synced though no flush is due
	DelayedSync                // a sync begins late
	DelayedWrite               // the appends of a turn are handed to the disk late
	WriteAlone                 // an append is written alone, not with its neighbours
	RecoverAll                 // recovery walks the whole log, not from the recovery point
	DistrustClean              // a clean shutdown's mark is not believed
	DistrustEpochs             // the epoch checkpoint is not believed: epochs come from the batches
	CheckpointSkip             // the offset checkpoints are not written this time
	RetentionNow               // retention is enforced early
	CleanNow                   // a log is compacted that is not dirty enough
	CleanChunk                 // the cleaner reads a little more than a header at a time
	CleanMapFull               // the cleaner has room for a few keys only
	CleanAbandon               // the cleaner gives up before it replaces a segment
	SwapLate                   // it replaces a segment a moment later

	OnePartition    // a fetch answers no further partition
	OneBatch        // a fetch reads one batch of a partition
	EarlyEmpty      // a fetch that waits is answered early
	FollowerBackoff // a follower pauses after an answer and begins a new session
	SessionReset    // a follower begins a new fetch session
	FollowerHWLate  // a follower does not take note of the high watermark this time
	ISRCheckEarly   // the ISR is checked early
	AlterLost       // the answer to AlterPartition is as good as lost
	AlterLate       // and is taken note of late
	HWLate          // the leader moves its high watermark a moment later

	ElectionEarly  // an election timeout is the shortest that may be drawn
	VoteLate       // a vote is answered late
	PreVoteAgain   // a won pre-vote is held again
	ResignEarly    // the quorum's leader gives up
	SnapshotNow    // a snapshot of the metadata is taken at once
	SnapshotLate   // the writing of a snapshot begins late
	SnapshotChunk  // a part of a snapshot has a few bytes
	RaftOneBatch   // a fetch of the metadata log answers one batch
	RaftTakeOne    // a follower of the quorum takes one batch of an answer
	RaftEmptyEarly // a fetch of the metadata log that would wait is answered at once
	RaftBackoff    // a follower of the quorum pauses and asks another voter
	DeliverOne     // the state machine gets one committed batch at a time

	CommitLate    // the controller learns late that its records have committed
	RebalanceNow  // preferred leaders are restored early
	HeartbeatLate // a broker's heartbeat leaves late

	CoordinatorLoadLate // a coordinator's partition is loaded late
	CoordinatorReadLate // what a coordinator is to load next comes late

	TxnMarkersLate  // the markers of a transaction's end leave late
	TxnMarkersTwice // markers are sent again, late, though they were answered (version 2: a late one is told from those that count)
	TxnCompleteLate // a transaction that has all its markers is complete a moment later
	TxnEpochLeap    // a new producer of a transactional id gets one of the last epochs there are
	TxnVerifyLate   // what the coordinator says of a transaction is taken note of late

	AnswerLate     // an answer leaves late
	Mute           // a connection is not read for a moment
	StallEarly     // a connection is not read until its request is done
	IdleClose      // an idle connection is closed
	SessionEvicted // a client's fetch session was evicted
	SessionRefused // there is no room for a fetch session
	ForwardLate    // a request is forwarded to the controller late
	ForwardTwice   // a forwarded request is sent again though it was answered

	NumSites
)

var names = [NumSites]string{
	"storage/short-read", "storage/recent-miss", "storage/forget-recent", "storage/tiny-segment", "storage/index-dense", "storage/index-sparse",
	"storage/index-evicted", "storage/cold-window", "storage/scan-chunk", "storage/scan-late", "storage/early-flush", "storage/delayed-sync",
	"storage/delayed-write", "storage/write-alone", "storage/recover-all", "storage/distrust-clean", "storage/distrust-epochs",
	"storage/checkpoint-skip", "storage/retention-now", "storage/clean-now", "storage/clean-chunk", "storage/clean-map-full", "storage/clean-abandon",
	"storage/swap-late",
	"replica/one-partition", "replica/one-batch", "replica/early-empty", "replica/follower-backoff", "replica/session-reset",
	"replica/follower-hw-late", "replica/isr-check-early", "replica/alter-lost", "replica/alter-late", "replica/hw-late",
	"raft/election-early", "raft/vote-late", "raft/pre-vote-again", "raft/resign-early", "raft/snapshot-now", "raft/snapshot-late", "raft/snapshot-chunk",
	"raft/one-batch", "raft/take-one", "raft/empty-early", "raft/backoff", "raft/deliver-one",
	"controller/commit-late", "controller/rebalance-now", "broker/heartbeat-late",
	"coordinator/load-late", "coordinator/read-late",
	"txn/markers-late", "txn/markers-twice", "txn/complete-late", "txn/epoch-leap", "txn/verify-late",
	"api/answer-late", "api/mute", "api/stall-early", "api/idle-close", "api/session-evicted", "api/session-refused", "api/forward-late",
	"api/forward-twice",
}

func (s Site) String() string { return names[s] }

// ParseSite finds a site by its name.
func ParseSite(name string) (Site, error) {
	i := slices.Index(names[:], name)
	if i < 0 {
		return 0, fmt.Errorf("no buggify site %q; there are: %s", name, strings.Join(names[:], ", "))
	}
	return Site(i), nil
}

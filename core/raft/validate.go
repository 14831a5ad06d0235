package raft

// validity is what a leader makes of the end of a follower's log.
type validity uint8

const (
	valid       validity = iota
	diverging            // truncate to the end of an epoch
	snapshotted          // what comes next is only in a snapshot
)

// validateOffsetAndEpoch compares the end of a follower's log, its fetch offset and the epoch of the
// record before, with ours, which starts at start after the snapshot base (zero if start is 0).
//
// epochEnd is Log.EndOffsetForEpoch. For diverging the follower is told an epoch and where it ends here.
func validateOffsetAndEpoch(offset int64, epoch int32, start, end int64, base, latest SnapshotID,
	epochEnd func(int32) (int32, int64)) (validity, SnapshotID) {
	if start == 0 && offset == 0 {
		return valid, SnapshotID{}
	}
	if start > 0 && (offset < start || offset == start && epoch != base.Epoch || epoch < base.Epoch) {
		return snapshotted, latest
	}
	if start > 0 && offset == start {
		return valid, SnapshotID{}
	}
	found, foundEnd := epochEnd(epoch)
	if found < 0 { // all that we have is of later epochs
		found, foundEnd = max(base.Epoch, 0), start
	}
	foundEnd = min(foundEnd, end)
	if found != epoch || foundEnd < offset {
		return diverging, SnapshotID{EndOffset: foundEnd, Epoch: found}
	}
	return valid, SnapshotID{}
}

// truncationPoint is where a follower cuts its log that is told how far the leader's goes in an
// epoch: at the shorter of both if it has that epoch too, else at the end of the epoch before.
func truncationPoint(leader SnapshotID, start, end int64, epochEnd func(int32) (int32, int64)) int64 {
	found, foundEnd := epochEnd(leader.Epoch)
	switch {
	case found == leader.Epoch:
		return min(foundEnd, leader.EndOffset, end)
	case found < 0:
		return min(start, end)
	default:
		return min(foundEnd, end)
	}
}

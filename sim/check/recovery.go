package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
)

// I13, recovery: a log that is opened is a prefix of what it was before the crash, it has everything that was written (after a
// kill) or synced (after a power loss), and no batch in it has a bad CRC. The log is read from the node's files, by this
// package's own walk.

// logBatch is a batch as a file has it.
type logBatch struct {
	base, next int64
	epoch      int32
	crc        uint32
	size       int32
	horizon    int64
	newest     int64
}

// crash notes what a log must still have when it is opened again. The disk is as it was before the crash.
func (s *State) crash(r *replica, powerLoss bool) {
	if r.role != idle {
		s.noteHad(r)
	}
	if !r.crashed {
		r.required, r.requiredWhy = r.writtenRecords(), "written"
	}
	switch {
	case r.part.deleted:
		r.required = 0
	case powerLoss:
		s.requireDurable(r) // also of a node that was down already
	}
	r.powerLoss = powerLoss || r.crashed && r.powerLoss
	r.crashed = true
	r.resetRole()
}

// noteHad remembers how far the log was its leader's, through all crashes in a leader epoch.
func (s *State) noteHad(r *replica) {
	had := s.commonEnd(r)
	if r.hadEpoch == r.epoch {
		had = max(had, r.hadEnd)
	}
	r.hadEnd, r.hadEpoch = had, r.epoch
}

// writtenRecords is the end of the last batch that is written.
func (r *replica) writtenRecords() int64 { return r.endBelow(r.written) }

// endBelow is the end of the last batch that ends at an offset or below it; 0 if there is none: an empty log may be anywhere.
func (r *replica) endBelow(offset int64) int64 {
	for i := len(r.slots) - 1; i >= r.first; i-- {
		if next := r.at(i).next; next <= offset && !r.slots[i].gone {
			return next
		}
	}
	return 0
}

// requireDurable lowers what is required to what the files hold whatever the power loss takes.
func (s *State) requireDurable(r *replica) {
	durable, _ := s.readLog(r, s.in.Durable)
	end := int64(0)
	for _, b := range durable {
		if id := r.idOf(b); id >= 0 && b.next <= r.written {
			end = b.next
		}
	}
	if r.part.topic.FlushEveryAppend && !r.crashed && end < r.writtenRecords() && (r.part.topic.Compact || s.isMoving(r)) {
		// A cleaner may have been between two names of a file, or a log between two directories: what the next recovery makes of them has all that was answered.
		r.required, r.requiredWhy = r.writtenRecords(), "written with flush.messages=1"
		return
	}
	if !r.crashed && end < r.writtenRecords() && r.part.topic.FlushEveryAppend && r.part != s.metadata {
		s.violate("P2", "I13", s.did(r.node.id, "lost its power"), "record %s was answered as written by broker %d, but flush.messages=1 and it was not synced",
			recordName(r.part.id, end), r.node.id)
	}
	r.required, r.requiredWhy = end, "synced"
}

// isMoving reports whether a log is about to have the name of one in another log directory.
func (s *State) isMoving(r *replica) bool {
	log := s.open(r)
	return log != nil && log.IsMoving()
}

// idOf is the batch of the log that a file's batch is, or none.
func (r *replica) idOf(b logBatch) int32 {
	i := r.slotAt(b.base)
	if i < len(r.slots) && r.at(i).same(b) {
		return r.slots[i].batch
	}
	return none
}

func (b *batch) same(f logBatch) bool {
	return b.base == f.base && b.next == f.next && b.epoch == f.epoch && b.hasForm(form{f.crc, f.size})
}

// onRecovered compares an opened log with the model and makes the model what the files have.
func (s *State) onRecovered(r *replica, e *event.Event) {
	if r.part == s.metadata {
		r.node.voters.cut(e.Offset)
	}
	found, bad := s.readLog(r, s.in.File)
	n := 0
	for n < len(found) && found[n].next <= e.Offset {
		n++
	}
	found = found[:n]
	if n := len(found); n > 0 && found[n-1].next != e.Offset && bad != "" {
		s.violate(r.safety("P8"), "I13", r.node.lastEnd(), "broker %d opened %s with its end at %d, but %s", r.node.id, r.part.id, e.Offset, bad)
	}
	ids := s.identify(r, found)
	if r.part.cleaned.to > 0 || len(r.cleaning.retained) > 0 {
		s.dropGone(r, found)
	}
	s.checkKept(r, found, e.Offset)
	s.adopt(r, ids, found, e.Offset)
	s.mark(r, dirtyEpochs|dirtyProducers|dirtyLogStart|dirtyOpened)
}

// checkKept: whatever was required is there.
func (s *State) checkKept(r *replica, found []logBatch, end int64) {
	if !r.crashed || end >= r.required {
		return
	}
	s.violate(r.safety("P8"), "I13", r.node.lastEnd(), "broker %d opened %s with its end at %d, though everything below %d was %s before it %s",
		r.node.id, r.part.id, end, r.required, r.requiredWhy, r.howItDied())
}

func (r *replica) howItDied() string {
	if r.powerLoss {
		return "lost its power"
	}
	return "was killed"
}

// identify finds the batches of the files in the model: in the log as it was, or among what it had truncated since it was
// last opened, which comes back if the files had not followed yet.
func (s *State) identify(r *replica, found []logBatch) []int32 {
	ids := make([]int32, 0, len(found))
	for _, f := range found {
		id := r.idOf(f)
		if id < 0 {
			id = r.truncatedBefore(f)
		}
		if id < 0 {
			s.violate(r.safety("P8"), "I13", r.node.lastEnd(), "broker %d recovered record %s of epoch %d, which its log did not have before it %s",
				r.node.id, recordName(r.part.id, f.base), f.epoch, r.howItDied())
			return ids
		}
		ids = append(ids, id)
	}
	return ids
}

// truncatedBefore finds a batch among those that left this log by truncation in the incarnation that ended.
func (r *replica) truncatedBefore(f logBatch) int32 {
	p := r.part
	for i := len(p.removals) - 1; i >= 0; i-- {
		m := &p.removals[i]
		if m.node != r.node.id || m.kind != truncated || m.incarnation < r.opened {
			continue
		}
		at, ok := slices.BinarySearchFunc(m.batches, f.base, func(id int32, base int64) int { return int(min(max(p.batches[id].base-base, -1), 1)) })
		if ok && p.batches[m.batches[at]].same(f) {
			return m.batches[at]
		}
	}
	return none
}

// adopt makes the model what was found on the disk.
func (s *State) adopt(r *replica, ids []int32, found []logBatch, end int64) {
	logStart, first := min(r.logStart, end), end
	if len(found) > 0 {
		first = found[0].base // the files may begin below the log start
	}
	from, same := r.slotAt(first), 0
	for same < len(ids) && from+same < len(r.slots) && r.slots[from+same].batch == ids[same] {
		same++
	}
	kind := killed
	switch {
	case r.damaged:
		kind = damaged
	case r.powerLoss:
		kind = powerLost
	}
	s.remove(r, from+same, kind, "")
	r.clear(first)
	for i, id := range ids {
		r.push(id)
		x := &r.slots[len(r.slots)-1]
		x.form, x.horizon, x.newest = form{found[i].crc, found[i].size}, max(found[i].horizon, 0), found[i].newest
	}
	r.cleaning = cleaningOf{}
	r.end, r.written = end, end
	r.startAt(max(first, logStart))
	r.crashed, r.powerLoss, r.damaged, r.required = false, false, false, 0
	r.opened, r.openedAt = r.node.incarnation, s.now
}

// causeInFiles is why a running node's files lack a record.
func (s *State) causeInFiles(r *replica, offset int64) string {
	if r.node.incarnation > 1 {
		return r.node.lastEnd()
	}
	return s.did(r.node.id, fmt.Sprintf("had none at %d in its files", offset))
}

// isGoneFromDisk reports whether a batch is not among the files of a node that is down.
func (s *State) isGoneFromDisk(r *replica, id int32) bool {
	found, _ := s.readLog(r, s.in.File)
	b := &r.part.batches[id]
	for _, f := range found {
		if b.same(f) {
			return false
		}
	}
	return true
}

// checkFiles compares the files of a running node with the model: all that is written is there.
func (s *State) checkFiles(r *replica) {
	found, bad := s.readLog(r, s.in.File)
	if s.isBeingReplaced(r) {
		return
	}
	at := r.first
	for _, f := range found {
		if f.next <= r.logStart {
			continue
		}
		for at < len(r.slots) && r.slots[at].gone {
			at++
		}
		if at < len(r.slots) && r.at(at).same(f) && r.slots[at].form == (form{f.crc, f.size}) {
			at++
			continue
		}
		if f.base < r.written {
			s.violate(r.safety("P8"), "I13", s.causeInFiles(r, f.base), "the files of %s on broker %d have another record at %d than its log", r.part.id, r.node.id, f.base)
		}
		return
	}
	for at < len(r.slots) && r.slots[at].gone {
		at++
	}
	if at < len(r.slots) && r.at(at).next <= r.written {
		s.violate(r.safety("P8"), "I13", s.causeInFiles(r, r.at(at).base), "record %s is in the log of broker %d, but not in its files%s",
			recordName(r.part.id, r.at(at).base), r.node.id, because(bad))
	}
}

// because appends what ended a walk of the files, if anything did.
func because(bad string) string {
	if bad == "" {
		return ""
	}
	return ": " + bad
}

// reader reads a file of a node: Inspector.File or Inspector.Durable.
type reader func(node int32, topicID [16]byte, name string) []byte

// readLog is the batches of a log's files. What it returns is valid until the next call.
func (s *State) readLog(r *replica, read reader) (found []logBatch, bad string) {
	found = s.scratch[:0]
	bad = s.walkLog(r, read, func(b record.Batch) {
		found = append(found, logBatch{b.BaseOffset(), b.NextOffset(), b.LeaderEpoch(), b.CRC(), int32(len(b)), b.DeleteHorizon(), b.MaxTimestamp()})
	})
	s.scratch = found
	return found, bad
}

// walkLog visits the batches in the segment files of a log as far as they are whole and continue each other, and says what ended the
// walk before the end of the files. Compaction may have taken a segment's last batches.
func (s *State) walkLog(r *replica, read reader, visit func(record.Batch)) (bad string) {
	w := walk{expect: none, visit: visit}
	for _, name := range s.in.Files(r.node.id, r.part.topicID, r.part.dir) {
		base, ok := segmentBase(name, r.part.dir)
		if !ok {
			continue
		}
		if w.expect >= 0 && (base < w.expect || base > w.expect && !r.part.areGone(w.expect, base)) {
			return fmt.Sprintf("segment %s does not continue the log at %d", name, w.expect)
		}
		w.expect = base
		if bad = w.segment(name, read(r.node.id, r.part.topicID, name)); bad != "" {
			return bad
		}
	}
	return ""
}

// segmentBase is the base offset in the name of a segment's file in dir.
func segmentBase(name, dir string) (int64, bool) {
	base, inDir := strings.CutPrefix(name, dir)
	digits, ok := strings.CutSuffix(base, ".log")
	if !inDir || !ok || len(digits) != 20 {
		return 0, false
	}
	offset, err := strconv.ParseInt(digits, 10, 64)
	return offset, err == nil
}

// walk is a walk of a log's files.
type walk struct {
	expect int64 // the least offset that may come; none: any
	visit  func(record.Batch)
}

func (w *walk) segment(name string, b []byte) (bad string) {
	pos := 0
	for rest := b; len(rest) > 0; {
		batch, next, err := record.Parse(rest)
		switch {
		case err != nil:
			return fmt.Sprintf("%s has no batch at position %d", name, pos)
		case !batch.CheckCRC():
			return fmt.Sprintf("%s has a batch with a bad CRC at position %d", name, pos)
		case batch.BaseOffset() < w.expect:
			return fmt.Sprintf("%s goes back to offset %d at position %d", name, batch.BaseOffset(), pos)
		}
		w.visit(batch)
		w.expect = batch.NextOffset()
		pos += len(batch)
		rest = next
	}
	return ""
}

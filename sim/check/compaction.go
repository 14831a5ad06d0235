package check

import (
	"cmp"
	"slices"
	"strings"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
)

// I11, compaction: of each key the last committed record stays, a tombstone for delete.retention.ms after it was first compacted and
// not much longer, and the log keeps its end.
//
// The model of a log keeps the batches as they were written. What compaction takes from a replica, and what it leaves of a batch, is
// noted besides: see slot and batch. A follower that fetches from a compacted log has gaps in its own.

// cleaned is what is known of a partition's compaction.
type cleaned struct {
	to         int64             // some replica's log was compacted up to there
	records    map[int32][]keyed // by batch: its records, if the topic was compacted when it was written
	keys       map[string]int32  // numbers for them
	superseded offsetSet         // of records that a cleaner rightly removed
}

// keyed is a record of a compacted topic.
type keyed struct {
	offset    int64
	key       int32 // its number; none: it has no key
	tombstone bool
}

// offsetSet is a set of offsets, 64 neighbours in a word.
type offsetSet map[int64]uint64

func (s offsetSet) has(offset int64) bool { return s[offset>>6]>>(offset&63)&1 == 1 }

func (s offsetSet) add(offset int64) { s[offset>>6] |= 1 << (offset & 63) }

// reasonCompacted is why a record is gone that a later one of its key has made superfluous.
const reasonCompacted = "compaction"

// form is what a cleaner left of a batch.
type form struct {
	crc  uint32
	size int32
}

// retained is a batch that a cleaner wrote.
type retained struct {
	base, next int64
	epoch      int32
	form       form
	horizon    int64 // record.NoDeleteHorizon: none
	newest     int64
	offsets    []int64 // of its records, sorted
}

func (k *retained) has(offset int64) bool {
	_, found := slices.BinarySearch(k.offsets, offset)
	return found
}

// noteKeys remembers the records of a batch as its leader wrote it.
func (p *partition) noteKeys(id int32, b record.Batch) {
	if !p.topic.Compact || b.IsControl() {
		return
	}
	c := &p.cleaned
	if c.records == nil {
		c.records, c.keys, c.superseded = map[int32][]keyed{}, map[string]int32{}, offsetSet{}
	}
	all := make([]keyed, 0, b.Count())
	_ = b.Each(nil, func(r record.Record) error {
		all = append(all, keyed{b.BaseOffset() + int64(r.OffsetDelta), c.number(r.Key), r.Value == nil})
		return nil
	})
	c.records[id] = all
}

// number is a key's own.
func (c *cleaned) number(key []byte) int32 {
	if key == nil {
		return none
	}
	n, known := c.keys[string(key)]
	if !known {
		n = int32(len(c.keys))
		c.keys[string(key)] = n
	}
	return n
}

// hasForm reports whether a batch, found in some log, is what its leader wrote or what a cleaner left of that.
func (b *batch) hasForm(f form) bool {
	if b.crc == f.crc && b.size == f.size {
		return true
	}
	for _, x := range b.forms {
		if x == f {
			return true
		}
	}
	return false
}

// onCleaningBegan takes the start of a compaction: what it drops for its age it judges by this moment.
func (s *State) onCleaningBegan(r *replica, e *event.Event) {
	r.cleaning = cleaningOf{from: e.Offset, began: s.in.UnixMilli(r.node.id)}
}

// cleaningOf is a compaction under way.
type cleaningOf struct {
	from     int64 // what lies below was compacted before
	began    int64 // ms
	retained []retained

	latest []int64 // by key: its last committed record, among the first seen batches of the log; none: it has none there
	seen   int
}

// onBatchRetained takes a batch that a cleaner wrote. It is not in the log before the next SegmentsReplaced, but may be there after a crash.
func (s *State) onBatchRetained(r *replica, e *event.Event) {
	b := record.Batch(e.Batch)
	k := retained{base: b.BaseOffset(), next: b.NextOffset(), epoch: b.LeaderEpoch(), form: form{b.CRC(), int32(len(b))}, horizon: b.DeleteHorizon(), newest: b.MaxTimestamp(), offsets: make([]int64, 0, b.Count())}
	_ = b.Each(nil, func(x record.Record) error {
		k.offsets = append(k.offsets, b.BaseOffset()+int64(x.OffsetDelta))
		return nil
	})
	if all := r.cleaning.retained; len(all) > 0 && k.base <= all[len(all)-1].base {
		r.cleaning.retained = all[:0] // the one before was given up
	}
	r.cleaning.retained = append(r.cleaning.retained, k)
	i := r.slotAt(k.base)
	if i == len(r.slots) || r.at(i).base != k.base || r.at(i).next != k.next || r.at(i).epoch != k.epoch {
		s.violate(r.safety("P3"), "I11", s.did(r.node.id, "compacted its log"), "broker %d compacted its log of %s into a batch at %d, where it had none like it", r.node.id, r.part.id, k.base)
		return
	}
	if old := r.at(i); !old.hasForm(k.form) {
		old.forms = append(old.forms, k.form)
	}
	s.checkHorizon(r, i, &k)
}

// checkHorizon: a tombstone's time is set once, to delete.retention.ms after the compaction that met it first.
func (s *State) checkHorizon(r *replica, i int, k *retained) {
	x := &r.slots[i]
	switch {
	case k.horizon == record.NoDeleteHorizon:
		return
	case x.horizon == 0:
		if least := r.cleaning.began + r.part.topic.deleteRetention(); r.part.topic.Compact && k.horizon < least {
			s.violate(r.safety("P3"), "I11", s.did(r.node.id, "compacted its log"), "the tombstones at %s on broker %d may go at %d ms, which is %d ms too early",
				recordName(r.part.id, k.base), r.node.id, k.horizon, least-k.horizon)
		}
	case x.horizon != k.horizon:
		s.violate(r.safety("P3"), "I11", s.did(r.node.id, "compacted its log"), "the tombstones at %s on broker %d were to go at %d ms, and now at %d",
			recordName(r.part.id, k.base), r.node.id, x.horizon, k.horizon)
	case k.horizon <= r.cleaning.began && k.next <= r.cleaning.from:
		for _, y := range r.part.cleaned.records[x.batch] {
			if y.tombstone && k.has(y.offset) {
				s.violate(r.safety("P3"), "I11", s.did(r.node.id, "compacted its log"), "the tombstone %s is still on broker %d at %d ms, and was to go at %d",
					recordName(r.part.id, y.offset), r.node.id, r.cleaning.began, k.horizon)
			}
		}
	}
}

// deleteRetention is delete.retention.ms, whose default is a day.
func (t Topic) deleteRetention() int64 {
	if t.DeleteRetentionMs == 0 {
		return 24 * 3_600_000
	}
	return t.DeleteRetentionMs
}

// onSegmentsReplaced takes what a cleaner wrote in place of what the log had.
func (s *State) onSegmentsReplaced(r *replica, e *event.Event) {
	from, to := e.Offset, e.Offset+e.Len
	latest := r.latestOffsets()
	var all []retained
	for _, k := range r.cleaning.retained {
		if k.base >= from && k.next <= to {
			all = append(all, k)
		}
	}
	s.checkEndKept(r, all, to)
	s.checkCleanedStable(r, to)
	n := 0
	for i := r.firstAt(from); i < len(r.slots) && r.at(i).base < to; i++ {
		var left *retained
		if n < len(all) && all[n].base == r.at(i).base {
			left, n = &all[n], n+1
		}
		s.checkRemoved(r, i, left, latest)
		s.checkMarkerKept(r, i, left)
		s.checkProducerKept(r, i, left)
		r.slots[i].take(left)
	}
	r.part.cleaned.to = max(r.part.cleaned.to, to)
	r.noteGone(r.firstAt(from), to)
}

// took notes in which form a batch was appended: a follower gets what the leader has.
func (x *slot) took(b record.Batch) {
	x.form, x.newest, x.empty = form{b.CRC(), int32(len(b))}, b.MaxTimestamp(), b.Count() == 0
	if h := b.DeleteHorizon(); h != record.NoDeleteHorizon {
		x.horizon = h
	}
}

// take makes what a cleaner left of a batch that of the slot.
func (x *slot) take(left *retained) {
	if left == nil {
		x.gone = true
		return
	}
	x.form, x.horizon, x.newest, x.empty = left.form, 0, left.newest, len(left.offsets) == 0
	if left.horizon != record.NoDeleteHorizon {
		x.horizon = left.horizon
	}
}

// firstAt is the place of the first batch that begins at or after offset, also among those that compaction took.
func (r *replica) firstAt(offset int64) int {
	i := r.slotAt(offset)
	if i < len(r.slots) && r.at(i).base < offset {
		i++
	}
	return i
}

// noteGone marks the batches that some replica does not have any more.
func (r *replica) noteGone(from int, to int64) {
	for i := from; i < len(r.slots) && r.at(i).base < to; i++ {
		if r.slots[i].gone {
			r.at(i).gone = true
		}
	}
}

// checkEndKept: the log's end is told by a batch, if one told it before.
func (s *State) checkEndKept(r *replica, all []retained, to int64) {
	i := r.slotAt(to - 1)
	had := i < len(r.slots) && r.at(i).next == to && !r.slots[i].gone
	if had && (len(all) == 0 || all[len(all)-1].next != to) {
		s.violate(r.safety("P3"), "I11", s.did(r.node.id, "compacted its log"), "broker %d compacted its log of %s, and no batch ends at %d any more, where one did",
			r.node.id, r.part.id, to)
	}
}

// latestOffsets is the last committed record of each key in a log. What was committed, and lost as the configuration allows, counts:
// the cleaner goes by it until the log is truncated.
func (r *replica) latestOffsets() []int64 {
	c := &r.cleaning
	for len(c.latest) < len(r.part.cleaned.keys) {
		c.latest = append(c.latest, none)
	}
	end := r.part.committed.end
	for _, l := range r.part.losses {
		end = max(end, l.to)
	}
	for ; c.seen < len(r.slots) && r.at(c.seen).next <= end; c.seen++ {
		if r.part.isUncommitted(r.at(c.seen)) {
			continue // it replaces nothing
		}
		for _, k := range r.part.cleaned.records[r.slots[c.seen].batch] {
			if k.key != none {
				c.latest[k.key] = k.offset
			}
		}
	}
	return c.latest
}

// checkRemoved judges what is left of a batch; nil: nothing.
func (s *State) checkRemoved(r *replica, i int, left *retained, latest []int64) {
	p, now := r.part, r.cleaning.began
	for _, k := range p.cleaned.records[r.slots[i].batch] {
		if left != nil && left.has(k.offset) || p.cleaned.superseded.has(k.offset) {
			continue
		}
		overdue := k.tombstone && r.slots[i].horizon > 0 && r.slots[i].horizon <= now
		if k.key == none || p.mayBeAborted(r.at(i)) || latest[k.key] > k.offset || overdue {
			p.cleaned.superseded.add(k.offset)
			continue
		}
		what := "record"
		if k.tombstone {
			what = "tombstone"
		}
		s.violate(r.safety(p.topic.promise()), "I11", s.did(r.node.id, "compacted its log"), "%s %s, the last of its key, was compacted away by broker %d",
			what, recordName(p.id, k.offset), r.node.id)
		return
	}
}

// checkProducerKept: the last batch of a producer stays, if empty: who has the log from here on must know its sequence.
func (s *State) checkProducerKept(r *replica, i int, left *retained) {
	b := r.at(i)
	if left != nil || b.producer < 0 || b.control || r.slots[i].gone || int(r.lastOf[b.producer]) != i || s.mayHaveExpired(r, b) {
		return
	}
	s.violate("P5", "I11", s.did(r.node.id, "compacted its log"), "batch %s, the last of its producer, was compacted away by broker %d", recordName(r.part.id, b.base), r.node.id)
}

// isSuperseded reports whether a record may be gone because compaction took it.
func (p *partition) isSuperseded(offset int64) bool { return p.cleaned.superseded.has(offset) }

// areGone reports whether compaction took all batches that were committed in [from, to).
func (p *partition) areGone(from, to int64) bool {
	c := &p.committed
	for i := c.after(p, from); i < len(c.batches) && p.batches[c.batches[i]].base < to; i++ {
		if !p.batches[c.batches[i]].gone {
			return false
		}
	}
	return to <= p.cleaned.to
}

// tookBetween reports whether compaction took a batch of the same producer that lay between two.
func (p *partition) tookBetween(a, b *batch) bool {
	return slices.ContainsFunc(p.batches, func(x batch) bool { return x.gone && x.producer == b.producer && a.next <= x.base && x.next <= b.base })
}

// tookOfEpoch reports whether compaction took a batch of a producer, after one, of a later epoch.
func (p *partition) tookOfEpoch(after *batch, epoch int16) bool {
	return slices.ContainsFunc(p.batches, func(x batch) bool {
		return x.gone && x.producer == after.producer && x.producerEpoch == epoch && x.base >= after.next
	})
}

// realign compares the log with the committed one anew, from its beginning: with gaps their places differ.
func (r *replica) realign() {
	r.agreed = 0
	r.agree()
}

// checkEpochsOfCompacted is checkEpochs for a log with gaps: the first batches of an epoch may be gone, or all.
func (s *State) checkEpochsOfCompacted(r *replica, log Replica) {
	cache := log.Epochs()
	if !s.isMonotone(r, cache) {
		return
	}
	n := 0
	for i := r.first; i < len(r.slots); i++ {
		b := r.at(i)
		if r.slots[i].gone || b.epoch < 0 || b.base < r.logStart {
			continue
		}
		for n+1 < len(cache) && cache[n+1].Start <= b.base {
			n++
		}
		if len(cache) == 0 || cache[n].Start > b.base || cache[n].Epoch != b.epoch {
			s.violate(r.safety("P3"), "I4", s.causeOfCache(r), "the epoch cache of %s on broker %d does not know that the batch at %d is of epoch %d", r.part.id, r.node.id, b.base, b.epoch)
			return
		}
	}
}

// dropGone takes out of a log the batches that its files do not have, where compaction may have taken them. They lie before the last one found.
// What a cleaner had put in the log's place when the node went down is judged now.
func (s *State) dropGone(r *replica, found []logBatch) {
	if len(found) == 0 {
		return
	}
	last, n, under, latest := found[len(found)-1].base, 0, r.underWay(), r.latestOffsets()
	kept := r.slots[:0]
	for i := range r.slots {
		x, b := r.slots[i], r.at(i)
		isThere := n < len(found) && found[n].base == b.base
		if isOther := n < len(found) && found[n].base < b.base || isThere && found[n].epoch != b.epoch; isOther {
			kept = append(kept, r.slots[i:]...) // a truncation had not come so far
			break
		}
		interrupted := b.base < under && b.next > r.logStart
		if isReplaced := !isThere || x.form != (form{found[n].crc, found[n].size}); isReplaced && !x.gone && interrupted {
			left := r.cleaning.left(b.base)
			s.checkRemoved(r, i, left, latest)
			s.checkProducerKept(r, i, left)
		}
		if !isThere && b.base < last && (b.base >= found[0].base || interrupted) {
			if !x.gone && b.base >= under {
				s.violate(r.safety("P8"), "I13", r.node.lastEnd(), "broker %d opened %s without record %s, though it has later ones", r.node.id, r.part.id, recordName(r.part.id, b.base))
			}
			b.gone, r.part.cleaned.to = true, max(r.part.cleaned.to, b.next)
			continue
		}
		if isThere {
			x.gone = false
			if id := r.slots[i].batch; id >= 0 {
				x.form = form{found[n].crc, found[n].size}
			}
			n++
		}
		kept = append(kept, x)
	}
	r.slots = kept
	r.relink()
}

// underWay is up to where a compaction that a crash interrupted may have replaced the log.
func (r *replica) underWay() int64 {
	if n := len(r.cleaning.retained); n > 0 {
		return r.cleaning.retained[n-1].next
	}
	return 0
}

// left is what a cleaner has written of a batch that begins at base; nil: nothing.
func (c *cleaningOf) left(base int64) *retained {
	i, ok := slices.BinarySearchFunc(c.retained, base, func(k retained, base int64) int { return cmp.Compare(k.base, base) })
	if !ok {
		return nil
	}
	return &c.retained[i]
}

// relink makes the chains of the producers' batches anew.
func (r *replica) relink() {
	all := append([]slot(nil), r.slots...)
	end, written := r.end, r.written
	r.slots, r.lastOf, r.txns = r.slots[:0], r.lastOf[:0], r.txns[:0]
	for _, x := range all {
		r.push(x.batch)
		last := &r.slots[len(r.slots)-1]
		last.form, last.gone, last.empty, last.horizon, last.newest = x.form, x.gone, x.empty, x.horizon, x.newest
	}
	r.end, r.written = end, written
	r.first = 0
	for r.first < len(r.slots) && r.at(r.first).next <= r.logStart {
		r.first++
	}
	r.realign()
}

// isBeingReplaced reports whether a cleaner is about to put a segment in the place of others.
func (s *State) isBeingReplaced(r *replica) bool {
	for _, name := range s.in.Files(r.node.id, r.part.topicID, r.part.dir) {
		if strings.HasSuffix(name, ".swap") {
			return true
		}
	}
	return false
}

// checkCleanedStable: what may yet be aborted or committed is not compacted.
func (s *State) checkCleanedStable(r *replica, to int64) {
	if !r.part.hasTxns || r.hw < 0 {
		return
	}
	if end := r.stableEnd(r.hw); to > end && to > r.logStart {
		s.violate("P6", "I11", s.did(r.node.id, "compacted its log"), "broker %d compacted %s up to %d, though a transaction is open from %d on", r.node.id, r.part.id, to, end)
	}
}

// checkMarkerKept: the end of a transaction stays as long as records of it do, or they would be read as if it were open, and was compacted once before.
func (s *State) checkMarkerKept(r *replica, i int, left *retained) {
	m := r.at(i)
	if m.marker == Open || left != nil && len(left.offsets) > 0 || r.slots[i].gone || r.slots[i].empty {
		return
	}
	if h := r.slots[i].horizon; h > r.cleaning.began || h == 0 && r.node.incarnation <= 1 { // of what a crash interrupted it is not known
		s.violate("P6", "I11", s.did(r.node.id, "compacted its log"), "the marker %s was compacted away by broker %d at %d ms, and was to stay until %d (0: longer)", recordName(r.part.id, m.base), r.node.id, r.cleaning.began, h)
	}
	for at := r.slots[i].previous; at >= int32(r.first) && !r.at(int(at)).control; at = r.slots[at].previous {
		if b := r.at(int(at)); b.transactional && !r.slots[at].gone && m.marker == Committed && s.hasRecords(r, int(at)) {
			s.violate("P6", "I11", s.did(r.node.id, "compacted its log"), "the marker %s was compacted away by broker %d, though %s, which it committed, is there", recordName(r.part.id, m.base), r.node.id, recordName(r.part.id, b.base))
			return
		}
	}
}

// hasRecords reports whether a batch that compaction may have emptied has records.
func (s *State) hasRecords(r *replica, i int) bool {
	for _, k := range r.part.cleaned.records[r.slots[i].batch] {
		if !r.part.isSuperseded(k.offset) {
			return true
		}
	}
	return false
}

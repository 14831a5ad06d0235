package check

import (
	"fmt"

	"github.com/lockstep/lockstep/core/event"
)

// I14, retention: what leaves a log at its start is what retention.ms or retention.bytes no longer keep, by the clock of the
// broker that drops it, or what another broker has dropped so. An acknowledged record that goes earlier is lost.

// retention is how long and how much a log keeps; negative: for ever, any number. The zero value is not known.
type retention struct{ ms, bytes int64 }

// defaultRetentionMs is log.retention.hours=168.
const defaultRetentionMs = 168 * 3_600_000

func (t Topic) retention() retention {
	r := retention{t.RetentionMs, t.RetentionBytes}
	if r.ms == 0 {
		r.ms = defaultRetentionMs
	}
	if r.bytes == 0 {
		r.bytes = -1
	}
	return r
}

// or keeps what either keeps: the shorter one.
func (a retention) or(b retention) retention {
	return retention{shorter(a.ms, b.ms), shorter(a.bytes, b.bytes)}
}

func shorter(a, b int64) int64 {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}

// drops reports whether a batch need not be kept that was written at a time and that has size bytes after it.
func (a retention) drops(maxTimestamp, nowMs, size int64) bool {
	return a.ms > 0 && nowMs-maxTimestamp > a.ms || a.bytes > 0 && size >= a.bytes
}

// Deleted says that a client asked for everything below an offset to be deleted (DeleteRecords).
func (s *State) Deleted(id event.Partition, offset int64) {
	p := s.intern(id)
	p.start = max(p.start, offset)
}

// checkRetention judges a log that is to start at an offset. Whole segments go, so that of each batch in them at least
// must be true what is true of its segment's newest.
func (s *State) checkRetention(r *replica, start int64) {
	p := r.part
	if p == s.metadata || start <= p.start || r.first >= len(r.slots) {
		return
	}
	keep := p.retention.or(p.topic.retention())
	if img := s.in.Image(r.node.id); img != nil {
		keep = keep.or(s.configured(img, p.id.Topic).retention())
	}
	size, now := int64(0), s.in.UnixMilli(r.node.id)
	for i := len(r.slots) - 1; i >= r.first; i-- {
		b := r.at(i)
		if r.slots[i].gone {
			continue
		}
		if b.next > p.start && b.next <= start && !keep.drops(r.slots[i].newest, now, size) {
			s.violate(r.safety(p.topic.promise()), "I14", s.did(r.node.id, fmt.Sprintf("started its log at %d", start)),
				"record %s (%s) was dropped by broker %d, though retention.ms=%d and retention.bytes=%d keep it", recordName(p.id, b.base), s.knownAs(p, b), r.node.id, keep.ms, keep.bytes)
			break
		}
		size += int64(r.slots[i].form.size)
	}
	p.start = start
}

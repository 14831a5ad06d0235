package check

import (
	"fmt"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler"
)

// acknowledged takes what a producer was told with acks=all, and returns the batch that is committed there, or none. P1 begins
// here: what is acknowledged is below a leader's high watermark by then.
func (s *State) acknowledged(id event.Partition, offset, records int64, producer int, t scheduler.Instant) int32 {
	p := s.intern(id)
	c := &p.committed
	if offset+records > c.end {
		if c.isWhole(p) {
			s.violate(p.topic.promise(), "I1", s.did(p.truth.leader, fmt.Sprintf("answered, with %d committed,", c.end)), "record %s was acknowledged to producer %d at %s with acks=all before it was committed",
				recordName(id, offset), producer, seconds(t))
		}
		return none
	}
	return c.at(p, offset)
}

// isWhole reports whether nothing that was committed was lost, as the configuration may allow: then end is the highest that there was.
func (c *committed) isWhole(p *partition) bool { return len(p.losses) == 0 && c.valid <= 0 }

// committedEnd is where what is committed ends, if nothing was lost that was.
func (s *State) committedEnd(id event.Partition) (end int64, known bool) {
	p := s.intern(id)
	return p.committed.end, p.committed.isWhole(p)
}

// at is the committed batch that holds offset, or none. Most often it is one of the last.
func (c *committed) at(p *partition, offset int64) int32 {
	for i := len(c.batches) - 1; i >= max(0, len(c.batches)-8); i-- {
		if b := &p.batches[c.batches[i]]; b.base <= offset && offset < b.next {
			return c.batches[i]
		}
	}
	i := c.after(p, offset)
	if i < len(c.batches) && p.batches[c.batches[i]].base <= offset {
		return c.batches[i]
	}
	return none
}

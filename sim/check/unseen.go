package check

import (
	"fmt"

	"github.com/lockstep/lockstep/scheduler"
)

// unseen is how many acknowledged records nobody has read yet, and how that grew. Consumers are behind now and then; for how
// long, and whether they ever come near, is what the growth shows.
type unseen struct {
	records int64
	samples []Unseen
	step    scheduler.Instant // between two samples
}

// Unseen is how many acknowledged records nobody had read at an instant.
type Unseen struct {
	T       scheduler.Instant
	Records int64
}

// mostSamples of the growth are kept: when there are more, every other one is dropped and the step doubles.
const mostSamples = 128

// await notes that records were acknowledged; what was read before counts as seen.
func (h *History) await(seen []int64, t scheduler.Instant) {
	for i := range seen {
		if seen[i] == none {
			seen[i] = awaited
			h.unseen.records++
		}
	}
	h.unseen.sample(t)
}

func (u *unseen) sample(t scheduler.Instant) {
	if n := len(u.samples); n > 0 && t < u.samples[n-1].T+u.step {
		return
	}
	if len(u.samples) == mostSamples {
		for i := range mostSamples / 2 {
			u.samples[i] = u.samples[2*i]
		}
		u.samples = u.samples[:mostSamples/2]
		u.step = max(2*u.step, 1e6)
	}
	u.samples = append(u.samples, Unseen{t, u.records})
}

// Unseen is the growth of the acknowledged records that nobody had read, oldest first, ending with now.
func (h *History) Unseen(now scheduler.Instant) []Unseen {
	return append(h.unseen.samples[:len(h.unseen.samples):len(h.unseen.samples)], Unseen{now, h.unseen.records})
}

// checkSeen: some time after the heal everything that was acknowledged has been read. What is lost is not unseen, and was told.
func (h *History) checkSeen(now scheduler.Instant) {
	if h.unseen.records == 0 || len(h.reading) == 0 {
		return
	}
	for i := range h.lanes {
		p, l := h.partitions[i%len(h.partitions)], &h.lanes[i]
		for counter, at := range l.seen {
			if at != awaited {
				continue
			}
			b := l.find(int64(counter))
			offset := b.offset + int64(counter) - b.first
			if b.offset < 0 || offset < max(p.end(), p.start) {
				continue
			}
			if h.state != nil && len(h.txns) > 0 && h.state.MayHang() {
				return
			}
			if reason, _ := h.whyGone(i%len(h.partitions), offset, b.batch); reason != "" || b.txn >= 0 && h.mayDiffer(b.txn, i%len(h.partitions), 1) {
				continue
			}
			producer := i / len(h.partitions)
			h.violateAs("unseen", "P9", now, fmt.Sprintf("producer %d was answered at %s", producer, seconds(b.t)),
				"record %s (%s) was never read", recordName(p.id, offset), h.ackText(producer, b))
			return
		}
	}
}

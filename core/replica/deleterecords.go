package replica

import (
	"fmt"
	"slices"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/twmb/franz-go/pkg/kerr"
)

// deleteUpToHighWatermark is the offset with which a client asks for all that is committed to be deleted.
const deleteUpToHighWatermark = -1

// DeleteRecordsResult answers a DeleteRecords.
type DeleteRecordsResult struct {
	Err          error
	LowWatermark int64 // the least log start of all living replicas; -1 with an error
}

// deletion is a DeleteRecords that waits for the replicas' log starts.
type deletion struct {
	p      *Partition
	offset int64
	expiry expiry
	done   func(DeleteRecordsResult)
}

// DeleteRecords moves the log start of a partition that this broker leads to offset (KIP-107). done runs once, perhaps before it returns:
// when all replicas on living brokers have followed, or with REQUEST_TIMED_OUT; the log start has moved then too.
func (m *Manager) DeleteRecords(id event.Partition, offset int64, timeout time.Duration, done func(DeleteRecordsResult)) {
	p, err := m.leading(id, [16]byte{}, -1)
	if err == nil {
		offset, err = p.deleteRecords(offset)
	}
	if err != nil {
		done(DeleteRecordsResult{Err: err, LowWatermark: unknownOffset})
		return
	}
	if low := p.lowWatermark(); low >= offset {
		done(DeleteRecordsResult{LowWatermark: low})
		return
	}
	d := &deletion{p: p, offset: offset, done: done, expiry: expiry{pos: notWaiting}}
	d.expiry.onExpire = func() { d.end(DeleteRecordsResult{kerr.RequestTimedOut, p.lowWatermark()}) }
	p.deletions = append(p.deletions, d)
	m.purgatory.add(&d.expiry, timeout)
}

// deleteRecords moves the log start and returns where it was to go.
func (p *Partition) deleteRecords(offset int64) (int64, error) {
	if !p.log.Config().Delete {
		return 0, fmt.Errorf("records of %s cannot be deleted: its cleanup.policy is not delete: %w", p.id, kerr.PolicyViolation)
	}
	if offset == deleteUpToHighWatermark {
		offset = p.log.HighWatermark()
	}
	if offset < 0 || offset > p.log.HighWatermark() {
		return 0, kerr.OffsetOutOfRange
	}
	p.log.AdvanceLogStart(offset)
	return offset, nil
}

// lowWatermark is the least log start of the replicas on living brokers; -1 if one has not told its own.
func (p *Partition) lowWatermark() int64 {
	if p.lead == nil || !p.isOnline() {
		return unknownOffset
	}
	low := p.log.LogStartOffset()
	for i := range p.lead.followers {
		if f := &p.lead.followers[i]; p.m.isAlive(f.id) {
			low = min(low, f.logStartOffset)
		}
	}
	return low
}

func (m *Manager) isAlive(id int32) bool {
	b := m.image.Broker(id)
	return b != nil && !b.Fenced
}

// checkDeletions answers those that all living replicas have followed, after one told its log start or died.
func (p *Partition) checkDeletions() {
	if len(p.deletions) == 0 {
		return
	}
	low := p.lowWatermark()
	for _, d := range slices.Clone(p.deletions) {
		if low >= d.offset {
			d.end(DeleteRecordsResult{LowWatermark: low})
		}
	}
}

// failDeletions answers all that wait.
func (p *Partition) failDeletions(err error) {
	for _, d := range slices.Clone(p.deletions) {
		d.end(DeleteRecordsResult{err, unknownOffset})
	}
}

func (d *deletion) end(r DeleteRecordsResult) {
	d.p.m.purgatory.remove(&d.expiry)
	d.p.deletions = slices.DeleteFunc(d.p.deletions, func(x *deletion) bool { return x == d })
	d.done(r)
}

package controller

import (
	"math"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/lockstep/lockstep/core/metadata"
)

// What a batch of the metadata log has besides the values of its records.
const (
	batchOverhead  = 61
	recordOverhead = 21 // at most: lengths, attributes, deltas
)

// errTooLarge refuses what does not fit into a batch and must not be half done. Kafka says so of more than 10,000 records; where their
// bytes are too many its controller gives up, and so does the next one that is asked.
var errTooLarge = &kerr.Error{
	Message: kerr.PolicyViolation.Message, Code: kerr.PolicyViolation.Code,
	Description: "the change is larger than what the metadata log commits at once: ask for less at a time",
}

// write appends records as one batch, replays them, and calls done when they have committed, or with
// NOT_CONTROLLER when that is not known, or with errTooLarge when nothing was done. Without records it waits for what was written
// before: the response may rest on it.
func (c *Controller) write(records []metadata.Record, done func(error)) {
	c.writeBatches(records, 1, done)
}

// writeInParts is write for records that make sense in this order and one by one, so that a part of them may commit alone, if
// this controller dies: they take as many batches as they need.
func (c *Controller) writeInParts(records []metadata.Record, done func(error)) {
	c.writeBatches(records, math.MaxInt, done)
}

func (c *Controller) writeBatches(records []metadata.Record, most int, done func(error)) {
	if !c.Active() {
		done(kerr.NotController)
		return
	}
	if len(records) > 0 {
		if err := c.append(records, most); err != nil {
			done(err)
			return
		}
	}
	if c.nextOffset <= c.committed {
		done(nil)
		return
	}
	c.waiting = append(c.waiting, waiter{c.nextOffset, done})
}

// append puts the records into the log and the image: all, or with an error none that anybody is told of.
func (c *Controller) append(records []metadata.Record, most int) error {
	batches := c.batches(metadata.MarshalAll(records))
	if len(batches) == 0 || len(batches) > most {
		return errTooLarge
	}
	for _, b := range batches {
		if !c.appendBatch(records[:len(b)], b) {
			return kerr.NotController
		}
		records = records[len(b):]
	}
	return nil
}

// batches cuts records into as few batches as the quorum takes; none if one record is too large.
func (c *Controller) batches(records [][]byte) (batches [][][]byte) {
	start, size := 0, batchOverhead
	for n, r := range records {
		need := len(r) + recordOverhead
		if batchOverhead+need > c.cfg.MaxBatchBytes {
			return nil
		}
		if size+need > c.cfg.MaxBatchBytes {
			batches = append(batches, records[start:n])
			start, size = n, batchOverhead
		}
		size += need
	}
	return append(batches, records[start:])
}

// appendBatch reports whether the records are in the log and the image.
func (c *Controller) appendBatch(records []metadata.Record, marshalled [][]byte) bool {
	epoch := c.epoch
	next, err := c.quorum.Append(epoch, marshalled)
	if c.epoch != epoch {
		return false
	}
	if err != nil {
		c.quorum.Resign(epoch)
		if c.epoch == epoch {
			c.resign()
		}
		return false
	}
	for _, r := range records {
		c.replay(r)
	}
	c.nextOffset = next
	c.img.SetOffset(next, epoch)
	return true
}

// answer is what every handler ends with: the response when its records have committed, all at once, the failure
// otherwise.
func answer[R any](c *Controller, records []metadata.Record, resp R, failed func(*kerr.Error) R, done func(R)) {
	c.write(records, released(resp, failed, done))
}

// answerInParts is answer for records of which a part may commit alone.
func answerInParts[R any](c *Controller, records []metadata.Record, resp R, failed func(*kerr.Error) R, done func(R)) {
	c.writeInParts(records, released(resp, failed, done))
}

func released[R any](resp R, failed func(*kerr.Error) R, done func(R)) func(error) {
	return func(err error) {
		if err != nil {
			done(failed(err.(*kerr.Error)))
			return
		}
		done(resp)
	}
}

package sim

import (
	"fmt"
	"slices"

	"github.com/lockstep/lockstep/core/record"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sieve leaves out of an answer what belongs to aborted transactions, as a read_committed consumer does: the answer names their producers and
// where they begin, and their markers say where they end.
type sieve struct {
	begins  []kmsg.FetchResponseTopicPartitionAbortedTransaction // by first offset
	aborted map[int64]bool                                       // producers that are in one
}

// sieveOf is nil for a consumer that reads all.
func sieveOf(c *consumer, answer *kmsg.FetchResponseTopicPartition) *sieve {
	if !c.o.Committed {
		return nil
	}
	s := &sieve{begins: slices.Clone(answer.AbortedTransactions), aborted: map[int64]bool{}}
	slices.SortStableFunc(s.begins, func(a, b kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
		return int(a.FirstOffset - b.FirstOffset)
	})
	return s
}

// takes reports whether a batch, which comes after those before it, is to be read.
func (s *sieve) takes(b record.Batch) bool {
	if s == nil {
		return true
	}
	for len(s.begins) > 0 && s.begins[0].FirstOffset <= b.LastOffset() {
		s.aborted[s.begins[0].ProducerID] = true
		s.begins = s.begins[1:]
	}
	if b.IsControl() {
		if m, ok := record.ParseMarker(b); ok && !m.Commit {
			delete(s.aborted, b.ProducerID())
		}
		return true
	}
	return !b.IsTransactional() || !s.aborted[b.ProducerID()]
}

// checkStable judges an answer to a read_committed consumer: nothing in it lies beyond the last stable offset that it names (I7).
func (c *consumer) checkStable(p *position, answer *kmsg.FetchResponseTopicPartition) {
	if !c.o.Committed {
		return
	}
	if answer.LastStableOffset > answer.HighWatermark {
		c.run.violate("P6", "I7", fmt.Sprintf("P6 broken: %s was answered the last stable offset %d of %s, above the high watermark %d", c.name, answer.LastStableOffset, p.part.id, answer.HighWatermark),
			fmt.Sprintf("broker %d answered so at %s", p.part.leader, seconds(c.loop.Now())))
	}
	for rest := answer.RecordBatches; len(rest) > 0; {
		b, next, err := record.Parse(rest)
		if err != nil {
			return
		}
		if b.BaseOffset() >= answer.LastStableOffset {
			c.run.violate("P6", "I7", fmt.Sprintf("P6 broken: %s, which reads what is committed, was answered %s@%d, though the last stable offset is %d", c.name, p.part.id, b.BaseOffset(), answer.LastStableOffset),
				fmt.Sprintf("broker %d answered so at %s", p.part.leader, seconds(c.loop.Now())))
		}
		rest = next
	}
}

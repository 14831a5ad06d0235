package storage

import (
	"math"
	"slices"
	"testing"

	"github.com/lockstep/lockstep/core/record"
	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"
)

// slowEndOffset is endOffsetFor over a list with the epoch of every offset.
func slowEndOffset(epochs []int32, start int64, asked int32) (int32, int64) {
	if asked < 0 || len(epochs) == 0 || asked > epochs[len(epochs)-1] {
		return -1, -1
	}
	found, end := int32(-1), start
	for i, e := range epochs {
		if e <= asked {
			found, end = e, start+int64(i)+1
		}
	}
	if found < 0 {
		return asked, start
	}
	return found, end
}

func TestEpochCacheAnswersAsAWalkOverTheLogWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c epochCache
		var epochs []int32 // of all offsets, also below start
		start, epoch := 0, int32(0)
		// first is where the epoch of the record before start began: below that nothing need be known.
		first := func() int {
			at := start
			for at > 0 && epochs[at-1] == epochs[start-1] {
				at--
			}
			return at
		}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				epoch += int32(rapid.IntRange(0, 2).Draw(t, "bump"))
				for range rapid.IntRange(1, 5).Draw(t, "n") {
					c.assign(epoch, int64(len(epochs)))
					epochs = append(epochs, epoch)
				}
			},
			"truncateEnd": func(t *rapid.T) {
				n := rapid.IntRange(start, len(epochs)).Draw(t, "left")
				epochs = epochs[:n]
				c.truncateFromEnd(int64(n))
			},
			"truncateStart": func(t *rapid.T) {
				start = rapid.IntRange(start, len(epochs)).Draw(t, "start")
				c.truncateFromStart(int64(start))
			},
			"": func(t *rapid.T) {
				end, from := int64(len(epochs)), first()
				for asked := int32(-1); asked <= epoch+1; asked++ {
					e, o := c.endOffsetFor(asked, end)
					if we, wo := slowEndOffset(epochs[from:], int64(from), asked); e != we || o != wo {
						t.Fatalf("epoch %d: (%d,%d), want (%d,%d); %v", asked, e, o, we, wo, c.entries)
					}
				}
				for i := from; i < len(epochs); i++ {
					if got := c.epochAt(int64(i)); got != epochs[i] {
						t.Fatalf("epoch at %d: %d, want %d", i, got, epochs[i])
					}
				}
				if from > 0 && c.epochAt(int64(from)-1) >= 0 {
					t.Fatalf("the epoch before %d is still known: %v", from, c.entries)
				}
			},
		})
	})
}

func TestIndexesAnswerAsALinearScanWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x offsetIndex
		var y timeIndex
		rel, pos, ts := int32(-1), int32(0), int64(0)
		for range rapid.IntRange(0, 30).Draw(t, "entries") {
			rel += int32(rapid.IntRange(1, 9).Draw(t, "r"))
			pos += int32(rapid.IntRange(1, 9).Draw(t, "p"))
			ts += int64(rapid.IntRange(0, 3).Draw(t, "t"))
			x.append(rel, pos)
			y.maybeAppend(ts, rel)
		}
		at := rapid.Int64Range(0, 300).Draw(t, "at")
		position, before, earlier := int64(0), int64(0), int64(0)
		for _, e := range x.entries {
			if int64(e.relative) <= at {
				position = int64(e.position)
			}
			if int64(e.position) <= at {
				before = int64(e.position)
			}
		}
		for _, e := range y.entries {
			if e.timestamp <= at {
				earlier = int64(e.relative)
			}
		}
		if x.lookup(at) != position || x.before(at) != before || y.lookup(at) != earlier {
			t.Fatalf("at %d: %d %d %d, want %d %d %d", at, x.lookup(at), x.before(at), y.lookup(at), position, before, earlier)
		}
	})
}

// slowProducer is a producer's whole history.
type slowProducer struct {
	epoch   int16
	batches []ProducerBatch
}

func (s *slowProducer) judge(epoch int16, first, last int32) (dup bool, err error) {
	if epoch == s.epoch {
		for _, b := range s.batches[max(0, len(s.batches)-5):] {
			if b.LastSequence == last && b.FirstSequence() == first {
				return true, nil
			}
		}
	}
	switch {
	case epoch < s.epoch:
		return false, kerr.InvalidProducerEpoch
	case epoch > s.epoch && first != 0:
		return false, kerr.OutOfOrderSequenceNumber
	case epoch == s.epoch && first != record.IncrementSequence(s.batches[len(s.batches)-1].LastSequence, 1):
		return false, kerr.OutOfOrderSequenceNumber
	}
	return false, nil
}

func TestProducerWindowIsTheLastFiveBatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := producers{states: map[int64]*ProducerState{}}
		var slow *slowProducer
		offset := int64(0)
		next := rapid.SampledFrom([]int32{0, 5, math.MaxInt32 - 3}).Draw(t, "first")
		for range rapid.IntRange(1, 30).Draw(t, "appends") {
			epoch, first, count := int16(0), next, rapid.IntRange(1, 4).Draw(t, "records")
			if slow != nil {
				epoch = slow.epoch + int16(rapid.SampledFrom([]int{0, 0, 0, 0, 1, -1}).Draw(t, "epoch"))
				if back := rapid.IntRange(0, 7).Draw(t, "back"); back > 0 && back <= len(slow.batches) {
					b := slow.batches[len(slow.batches)-back]
					first, count = b.FirstSequence(), int(b.OffsetDelta)+1
				} else if epoch != slow.epoch {
					first = rapid.Int32Range(0, 1).Draw(t, "newFirst")
				}
			}
			b := producerBatch(offset, 0, count, 1, 1, 7, max(epoch, 0), first)
			if slow == nil {
				slow = &slowProducer{epoch: 0}
			} else {
				dup, err := slow.judge(max(epoch, 0), first, b.LastSequence())
				gotDup, gotErr := s.check(b)
				if (gotDup != nil) != dup || gotErr != err {
					t.Fatalf("epoch %d first %d count %d: %v %v, want %v %v", epoch, first, count, gotDup, gotErr, dup, err)
				}
				if dup || err != nil {
					continue
				}
			}
			s.update(b)
			if b.ProducerEpoch() != slow.epoch {
				slow.epoch, slow.batches = b.ProducerEpoch(), nil
			}
			slow.batches = append(slow.batches, ProducerBatch{b.LastSequence(), b.LastOffsetDelta(), b.LastOffset(), b.MaxTimestamp()})
			next, offset = record.IncrementSequence(b.LastSequence(), 1), b.NextOffset()
		}
		if got := s.sorted()[0]; !slices.Equal(got.Batches(), slow.batches[max(0, len(slow.batches)-5):]) {
			t.Fatalf("window %v, want the end of %v", got.Batches(), slow.batches)
		}
	})
}

package check

import (
	"slices"
	"testing"

	"github.com/lockstep/lockstep/core/event"
	"pgregory.net/rapid"
)

// modelRead is one record in one consumer's answers.
type modelRead struct {
	consumer, producer int
	offset, counter    int64
	begins             bool // an answer
}

// modelHistory is what two idempotent producers wrote to one log and two consumers read of it, each all of it.
type modelHistory struct {
	offsets [2][]int64 // by producer, then counter
	reads   [2][]modelRead
}

func drawHistory(t *rapid.T) *modelHistory {
	m := &modelHistory{}
	var log []modelRead
	offset := int64(0)
	for range rapid.IntRange(4, 40).Draw(t, "records") {
		p := rapid.IntRange(0, 1).Draw(t, "producer")
		offset += rapid.Int64Range(0, 1).Draw(t, "marker")
		log = append(log, modelRead{producer: p, offset: offset, counter: int64(len(m.offsets[p]))})
		m.offsets[p] = append(m.offsets[p], offset)
		offset++
	}
	for consumer := range m.reads {
		for i, r := range log {
			r.consumer, r.begins = consumer, i == 0 || rapid.Bool().Draw(t, "answer")
			m.reads[consumer] = append(m.reads[consumer], r)
		}
	}
	return m
}

// judge plays the history; the consumers take turns.
func (m *modelHistory) judge() []Violation {
	h := NewHistory(nil, []event.Partition{orders}, []Producer{{-1, true}, {-1, true}}, 2)
	for producer, offsets := range m.offsets {
		for counter, offset := range offsets {
			h.Sent(producer, 0, int64(counter), 1, 1)
			h.Acked(producer, 0, int64(counter), 1, offset, 2)
		}
	}
	for i := range max(len(m.reads[0]), len(m.reads[1])) {
		for consumer := range m.reads {
			if i < len(m.reads[consumer]) {
				r := m.reads[consumer][i]
				if r.begins {
					h.Polled(consumer, 0)
				}
				h.Read(consumer, 0, r.offset, r.producer, r.counter, 0, 3)
			}
		}
	}
	return append(h.Judge(4), h.Liveness(4)...)
}

// plant makes one error in a clean history, and says which. at is neither the first nor the last record.
func (m *modelHistory) plant(t *rapid.T, name string) string {
	at := rapid.IntRange(1, len(m.reads[0])-2).Draw(t, "at")
	one := m.reads[0]
	switch name {
	case "lost-write":
		m.reads[0], m.reads[1] = slices.Delete(one, at, at+1), slices.Delete(m.reads[1], at, at+1)
	case "unseen":
		m.reads[0], m.reads[1] = one[:at], m.reads[1][:at]
	case "poll-skip":
		name = anomaly(name, !one[at].begins && !one[at+1].begins)
		m.reads[0] = slices.Delete(one, at, at+1)
	case "nonmonotonic-poll":
		name = anomaly(name, !one[at].begins)
		again := one[at-1]
		again.begins = one[at].begins
		m.reads[0] = slices.Insert(slices.Clone(one), at, again)
	case "inconsistent-offsets":
		one[at].producer, one[at].counter = one[at-1].producer, one[at-1].counter
	case "duplicate":
		copied := one[at]
		copied.offset = one[len(one)-1].offset + 1
		m.reads[0] = append(one, copied)
	case "nonmonotonic-send":
		p := one[at].producer
		other := slices.IndexFunc(one, func(r modelRead) bool { return r.producer == p && r.offset != one[at].offset })
		if other < 0 {
			t.Skip("it sent only one")
		}
		a, b := one[at].counter, one[other].counter
		m.offsets[p][a], m.offsets[p][b] = m.offsets[p][b], m.offsets[p][a]
		for consumer := range m.reads {
			m.reads[consumer][at].counter, m.reads[consumer][other].counter = b, a
		}
	}
	return name
}

func TestGeneratedHistoriesAreCleanOrTheirErrorIsFound(t *testing.T) {
	names := []string{"", "lost-write", "unseen", "poll-skip", "nonmonotonic-poll", "inconsistent-offsets", "duplicate", "nonmonotonic-send"}
	rapid.Check(t, func(t *rapid.T) {
		m := drawHistory(t)
		name := m.plant(t, rapid.SampledFrom(names).Draw(t, "error"))
		found := m.judge()
		if name == "" && len(found) > 0 || name != "" && !slices.ContainsFunc(found, func(v Violation) bool { return v.Anomaly == name }) {
			t.Fatalf("planted %q, found %v", name, found)
		}
	})
}

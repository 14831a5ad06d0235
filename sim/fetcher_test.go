package sim

import (
	"testing"

	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/sim/check"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A consumer looks at the checksums of what it is served, and at what is no batch at all.
func TestDamagedBytesInAnAnswerAreTold(t *testing.T) {
	for name, spoil := range map[string]func(b []byte) []byte{
		"a bit of a value": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"a released frame": func(b []byte) []byte {
			for i := range b {
				b[i] = 0xDB
			}
			return b
		},
		"nothing":      func(b []byte) []byte { return b },
		"the end gone": func(b []byte) []byte { return b[:len(b)-1] },
	} {
		o := Canonical()
		s, err := NewStage(&Schedule{Build: Build(), Scenario: "damaged", Seed: 1, Options: o}, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := s.r.consumers[0]
		p := c.positions[0]
		b := record.NewBuilder(nil, record.BatchOptions{BaseOffset: p.offset, ProducerID: -1, BaseTimestamp: 1})
		b.Append(1, nil, append(check.AppendValue(nil, 0, p.ordinal, 0), "the rest"...))
		answer := kmsg.NewFetchResponseTopicPartition()
		answer.RecordBatches = spoil(b.Build())
		p.read(&answer)
		if whole := name == "nothing" || name == "the end gone"; whole {
			if err := s.failure(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else {
			expectBroken(t, s.failure(), "was served damaged bytes at")
		}
	}
}

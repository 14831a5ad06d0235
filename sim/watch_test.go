package sim

import (
	"testing"
	"time"

	"github.com/lockstep/lockstep/scheduler"
)

// counter counts what it is told.
type counter struct {
	began       int
	acked, read int64
	errors      map[string]int
}

func (c *counter) Began(scheduler.Instant)                             { c.began++ }
func (c *counter) Acked(_, records int, _ scheduler.Instant)           { c.acked += int64(records) }
func (c *counter) Fetched(_, records int, _ scheduler.Instant)         { c.read += int64(records) }
func (c *counter) ProducerFailed(_ int, e string, _ scheduler.Instant) { c.errors[e]++ }
func (c *counter) ConsumerFailed(_ int, e string, _ scheduler.Instant) { c.errors[e]++ }

func TestWatcherHearsAllThatClientsSeeAndChangesNothing(t *testing.T) {
	s := calm(Fault{Label: "kill/0", Kind: Kill, At: time.Second, For: 2 * time.Second, Target: "leader:t0/0"})
	c := &counter{errors: map[string]int{}}
	plain, watched := Run(s, RunOptions{}), Run(s, RunOptions{Watch: c})
	if plain.Digest != watched.Digest || watched.Verdict() != Passed {
		t.Errorf("%s %s, digests %016x and %016x", watched.Verdict(), watched.Reason(), plain.Digest, watched.Digest)
	}
	if c.began != 1 || c.acked != watched.Stats.Acked || c.read != watched.Stats.Read {
		t.Errorf("began %d times, %d of %d acknowledged, %d of %d read", c.began, c.acked, watched.Stats.Acked, c.read, watched.Stats.Read)
	}
	if c.errors["disconnected"] == 0 {
		t.Errorf("errors %v", c.errors)
	}
}

func TestResultSaysWhoseAcknowledgedRecordsAreLost(t *testing.T) {
	s := calm(Fault{Label: "power-loss/0", Kind: PowerLoss, At: 2 * time.Second, For: time.Second, Target: "leader:t0/0"})
	s.Options.Topics[0] = TopicOptions{Name: "t0", Partitions: 1, RF: 1, MinISR: 1, SegmentBytes: 1 << 20}
	s.Options.Producers[0].Acks, s.Options.Producers[0].Idempotent = 1, false
	r := Run(s, RunOptions{})
	if len(r.Lost) != 1 || r.Lost[0] == 0 {
		t.Fatalf("%s %s, lost %v", r.Verdict(), r.Reason(), r.Lost)
	}
	for _, l := range r.Stats.Losses {
		if l.Reason == "acks=1" && l.Records != r.Lost[0] {
			t.Errorf("lost %v, and %v", r.Lost, r.Stats.Losses)
		}
	}
}

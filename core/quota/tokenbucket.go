package quota

import (
	"time"

	"github.com/lockstep/lockstep/scheduler"
)

// tokenBucket is a store that fills at the limit's rate, up to what all windows take. It can be overdrawn (KIP-599).
type tokenBucket struct {
	tokens  int64
	updated scheduler.Instant
	filled  bool // it begins full
}

// overdrawnMs is for how many milliseconds the bucket will be overdrawn; 0 if it is not.
func (b *tokenBucket) overdrawnMs(w Window, now scheduler.Instant, limit int64) int64 {
	b.refill(w, now, limit)
	if b.tokens >= 0 {
		return 0
	}
	return max(1, scaled(-b.tokens, 1000, limit))
}

func (b *tokenBucket) refill(w Window, now scheduler.Instant, limit int64) {
	burst := scaled(limit, (w.Length * timeOf(w.Samples)).Milliseconds(), 1000)
	if !b.filled {
		b.tokens, b.updated, b.filled = burst, now, true
	}
	elapsed := now.Sub(b.updated).Truncate(time.Millisecond)
	b.tokens = min(burst, b.tokens+scaled(limit, elapsed.Milliseconds(), 1000))
	b.updated = b.updated.Add(elapsed)
}

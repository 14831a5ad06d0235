package quota

import "github.com/lockstep/lockstep/scheduler"

// Rate is how much was used lately, as Kafka's Rate over sampled sums: the samples that are not too old, divided by the time since the
// oldest began, but at least by all windows but one.
type Rate struct {
	samples []sample
	current int
}

type sample struct {
	start, last scheduler.Instant
	sum         int64
}

// Record adds an amount; a negative one takes back what was added before.
func (r *Rate) Record(w Window, now scheduler.Instant, amount int64) {
	if len(r.samples) == 0 {
		r.samples = append(r.samples, sample{start: now, last: now})
	}
	if now.Sub(r.samples[r.current].start) >= w.Length {
		r.advance(w, now)
	}
	s := &r.samples[r.current]
	s.sum += amount
	s.last = now
}

func (r *Rate) advance(w Window, now scheduler.Instant) {
	r.current = (r.current + 1) % (w.Samples + 1)
	if r.current == len(r.samples) {
		r.samples = append(r.samples, sample{})
	}
	r.samples[r.current] = sample{start: now, last: now}
}

// Throttle is for how many milliseconds nothing may be added until the rate is the limit again: 0 if it is not above.
func (r *Rate) Throttle(w Window, now scheduler.Instant, limit int64) int64 {
	total, windowMs := r.measure(w, now)
	if total <= 0 || limit >= unlimited {
		return 0
	}
	// With a rate of total/window it is (total/window - limit) / limit * window.
	allowedMs := total / limit * 1000
	allowedMs += (total%limit*1000 + limit/2) / limit
	return max(0, allowedMs-windowMs)
}

// measure is what was used in the window that ends now, and how long it is.
func (r *Rate) measure(w Window, now scheduler.Instant) (total, windowMs int64) {
	oldest := now
	for i := range r.samples {
		s := &r.samples[i]
		if now.Sub(s.last) >= w.Length*timeOf(w.Samples) {
			*s = sample{start: now, last: now}
		}
		total += s.sum
		oldest = min(oldest, s.start)
	}
	elapsed := now.Sub(oldest)
	if full := int(elapsed / w.Length); full < w.Samples-1 {
		elapsed += w.Length * timeOf(w.Samples-1-full)
	}
	return total, max(1, elapsed.Milliseconds())
}

// isIdle reports whether nothing of the past counts any more.
func (r *Rate) isIdle(w Window, now scheduler.Instant) bool {
	for i := range r.samples {
		if now.Sub(r.samples[i].last) < w.Length*timeOf(w.Samples) {
			return false
		}
	}
	return true
}

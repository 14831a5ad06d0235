// Package quota keeps clients within their limits: who has which limit, how much each has used lately, and how long who
// has used too much must wait. All arithmetic is on integers.
package quota

import (
	"math/bits"
	"time"
)

// Kind is what is limited.
type Kind uint8

// The kinds.
const (
	Produce  Kind = iota // bytes per second
	Consume              // bytes per second
	Request              // nanoseconds of work per second
	Mutation             // millionths of a partition created or deleted per second
	kinds
)

// names of the kinds as clients set them, and what one of theirs is in ours.
var names = [kinds]struct {
	name string
	unit int64
}{{"producer_byte_rate", 1}, {"consumer_byte_rate", 1}, {"request_percentage", percent}, {"controller_mutation_rate", partition}}

const (
	percent   = 10_000_000 // nanoseconds of a second
	partition = 1_000_000  // in the unit of Mutation
)

// unlimited is above anything that can be used.
const unlimited = 1 << 50

// Window is how the past is looked at: so many samples, each of such a length.
type Window struct {
	Samples int
	Length  time.Duration
}

// bounded keeps the sum of all samples a time that can be computed with.
func (w Window) bounded() Window {
	return Window{Samples: min(w.Samples, 10_000), Length: min(w.Length, 24*time.Hour)}
}

// scaled is a*b/c of what is not negative, no more than unlimited.
func scaled(a, b, c int64) int64 {
	high, low := bits.Mul64(uint64(a), uint64(b))
	if high >= uint64(c) {
		return unlimited
	}
	quotient, _ := bits.Div64(high, low, uint64(c))
	return int64(min(quotient, unlimited))
}

func timeOf(n int) time.Duration { return time.Duration(n) }

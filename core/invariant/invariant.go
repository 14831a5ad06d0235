// Package invariant checks what must be true and stops the broker when it is not: a dead replica
// is a liveness problem, a wrong one a lost record. Never assert on bytes from a client, a peer or
// a disk; validate those.
package invariant

import "fmt"

// Violation is what a broken assertion panics with. The simulator recovers it as a verdict; the
// daemon dies of it.
type Violation struct{ Text string }

func (v Violation) Error() string { return "invariant broken: " + v.Text }

// Check panics with a Violation unless ok.
func Check(ok bool, format string, args ...any) {
	if !ok {
		panic(Violation{fmt.Sprintf(format, args...)})
	}
}

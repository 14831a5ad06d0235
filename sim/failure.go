package sim

import (
	"regexp"
	"strings"
)

// signature tells failures apart: two runs fail in the same way if they break the same promise, noticed by the same
// checker, from the same kind of first cause. Which node, record or second it was does not count. The zero
// signature is no failure.
type signature struct{ promise, checker, cause string }

// signature is how the run failed; zero if it did not.
func (r *Result) signature() signature {
	switch r.Verdict() {
	case Broken:
		return signature{promise: "bug", cause: kindOf(r.Bug)}
	case Violated:
		v := &r.Violations[0]
		return signature{v.Promise, v.Checker, causeOf(v)}
	}
	return signature{}
}

// causeOf is the kind of a violation's first cause. That its record was acknowledged, not just committed, is part of it.
func causeOf(v *Violation) string {
	switch {
	case v.FirstCause == "" || v.Promise == "invariant": // an invariant's first cause is a line of the source
		return kindOf(v.Text)
	case strings.Contains(v.Text, "(acknowledged"):
		return "acknowledged; " + kindOf(v.FirstCause)
	}
	return kindOf(v.FirstCause)
}

var (
	asides    = regexp.MustCompile(`\([^()]*\)`)
	durations = regexp.MustCompile(`(\d+(\.\d+)?(h|ms|m|s|µs))+\b`)
	numbers   = regexp.MustCompile(`-?\d+([ ,.:-]*\d+)*`)
)

// kindOf is a sentence without what it says in numbers, lists and brackets: "broker 2 truncated to 17" and "broker 1
// truncated to 4" are of one kind.
func kindOf(sentence string) string {
	s := asides.ReplaceAllString(sentence, "")
	s = durations.ReplaceAllString(s, "#")
	s = numbers.ReplaceAllString(s, "#")
	return strings.Join(strings.Fields(s), " ")
}

package config

import (
	"errors"
	"regexp"
	"regexp/syntax"
)

// MaxLoopRegex is the largest regular expression, as CompileRegex counts, that is matched on the loop.
const MaxLoopRegex = 2_000

var errRegexSize = errors.New("it is too large")

// CompileRegex compiles a regular expression (RE2, as Kafka's) that must match the whole of a text. It may be of so many instructions, or
// about as many, when its repetitions are written out: a few bytes of it can stand for a million.
func CompileRegex(expr string, limit int) (*regexp.Regexp, error) { return compileRegex(expr, &limit) }

// compileRegex takes what the expression needs from what is left for several.
func compileRegex(expr string, left *int) (*regexp.Regexp, error) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	size := regexSize(tree, *left)
	if size > *left {
		return nil, errRegexSize
	}
	*left -= size
	return regexp.Compile("^(?:" + expr + ")$")
}

// regexSize is about how many instructions a regular expression is, at most a little over the limit or that times its repetitions.
func regexSize(re *syntax.Regexp, limit int) int {
	size := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		if size += regexSize(sub, limit); size > limit {
			return size
		}
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min, re.Max, 1)
	}
	return size
}

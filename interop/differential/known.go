package differential

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Known are the differences that stay, each with its reason: a file of lines "API versions | story | path | Kafka's value / lockstepd's | reason", where *
// stands for any text and versions are * or a range. A difference in another version or of another value is none of these.
type Known struct {
	rules []rule
}

type rule struct {
	api, story, path, values, reason string
	low, high                        int16 // versions
	used                             bool
}

// ReadKnown reads the file; blank lines and lines with # are for people.
func ReadKnown(name string) (*Known, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	k := &Known{}
	for number, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		r, err := readRule(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number+1, err)
		}
		k.rules = append(k.rules, r)
	}
	return k, nil
}

func readRule(line string) (r rule, err error) {
	f := strings.SplitN(line, " | ", 5)
	if len(f) != 5 {
		return r, errors.New("not of the form API versions | story | path | values | reason")
	}
	api, versions, ok := strings.Cut(f[0], " ")
	low, high, isRange := strings.Cut(versions, "-")
	if !isRange {
		high = low
	}
	if versions == "*" {
		low, high = "0", "99"
	}
	from, err1 := strconv.ParseInt(low, 10, 16)
	to, err2 := strconv.ParseInt(high, 10, 16)
	if !ok || err1 != nil || err2 != nil {
		return r, errors.New("no versions after the API")
	}
	return rule{api: api, low: int16(from), high: int16(to), story: f[1], path: f[2], values: f[3], reason: f[4]}, nil
}

// covers reports whether a difference is the rule's, in all its versions.
func (r *rule) covers(d *Difference) bool {
	for _, v := range d.Versions {
		if v < r.low || v > r.high {
			return false
		}
	}
	return match(r.api, d.API) && match(r.story, d.Story) && match(r.path, d.Path) && match(r.values, shown(d.Kafka)+" / "+shown(d.Lockstep))
}

func (k *Known) reason(d Difference) string {
	if k == nil {
		return ""
	}
	for i := range k.rules {
		r := &k.rules[i]
		if r.covers(&d) {
			r.used = true
			return r.reason
		}
	}
	return ""
}

// Unused are the rules that no difference needed: they have been fixed, or never were.
func (k *Known) Unused() (unused []string) {
	for _, r := range k.rules {
		if !r.used {
			unused = append(unused, strings.Join([]string{r.api, r.story, r.path, r.values}, " | "))
		}
	}
	return unused
}

// match matches with * for any text; nothing else is special.
func match(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, parts[0])
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(s, part)
		if at < 0 {
			return false
		}
		s = s[at+len(part):]
	}
	return ok && strings.HasSuffix(s, last)
}

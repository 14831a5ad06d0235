package group

import (
	"fmt"
	"math"
	"regexp"
	"slices"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/twmb/franz-go/pkg/kerr"
)

// resolvedRegex is what a regular expression has matched.
type resolvedRegex struct {
	topics  []string // in order
	version int64    // the offset of the metadata
	at      int64    // ms
}

// minRegexRefresh is the shortest time between two resolutions for a group, in ms.
const minRegexRefresh = 10_000

// maxRegexSize is how large a regular expression may be, as config.CompileRegex counts. It is matched off the loop.
const maxRegexSize = 20_000

// compileTopics compiles a regular expression that must match a topic's whole name.
func compileTopics(regex string) (*regexp.Regexp, error) {
	return config.CompileRegex(regex, maxRegexSize)
}

// regexChange is what a heartbeat does to regular expressions.
type regexChange struct {
	changed  bool
	resolved bool     // changed, and it is known what it matches
	gone     string   // that nobody subscribes to any more
	resolve  []string // those to resolve now
}

// changeRegex is what becomes of the group's regular expressions when a member goes over from one to another; empty: none.
func (c *consumerGroup) changeRegex(from, to string) (regexChange, error) {
	x := regexChange{changed: from != to}
	fresh := false
	if x.changed {
		if from != "" && c.matched[from] == 1 {
			x.gone = from
		}
		switch {
		case to == "":
			x.resolved = true
		case c.matched[to] > 0:
			x.resolved = c.regexes[to] != nil
		default:
			if err := checkRegex(to); err != nil {
				return x, err
			}
			fresh = true
		}
	}
	if !fresh && len(c.matched) == 0 {
		return x, nil
	}
	all := c.regexesAfter(from, to)
	if len(all) > 0 && c.mayResolve() && (fresh || c.mustResolve(len(all))) {
		x.resolve = all
	}
	return x, nil
}

func checkRegex(regex string) error {
	if _, err := compileTopics(regex); err != nil {
		return refusal{kerr.InvalidRegularExpression, fmt.Sprintf("SubscribedTopicRegex: %v", err)}
	}
	return nil
}

// regexesAfter are the regular expressions that members subscribe to when one has gone over to another.
func (c *consumerGroup) regexesAfter(from, to string) (all []string) {
	for _, regex := range sortedKeys(c.matched) {
		if regex != from || c.matched[regex] > 1 {
			all = append(all, regex)
		}
	}
	if to != "" && !slices.Contains(all, to) {
		all = append(all, to)
	}
	return all
}

// mayResolve: it is not being done, nor was it a moment ago. A time that lies ahead tells nothing: a clock was set back.
func (c *consumerGroup) mayResolve() bool {
	last, now := c.lastResolved(), c.machine.now()
	return !c.resolving && (last > now || now > last+minRegexRefresh)
}

func (c *consumerGroup) lastResolved() int64 {
	last := int64(math.MinInt64 / 2)
	for _, r := range c.regexes { // order: a maximum
		last = max(last, r.at)
	}
	return last
}

// mustResolve: one was never resolved, or there are new topics, or it was long ago.
func (c *consumerGroup) mustResolve(n int) bool {
	if n != len(c.regexes) {
		return true
	}
	for _, r := range c.regexes { // order: any will do
		if r.version < c.machine.coordinator.newTopicsAt {
			return true
		}
	}
	return c.machine.now() > c.lastResolved()+c.machine.coordinator.cfg.RegexRefreshInterval.Milliseconds()
}

// resolve finds what regular expressions match, off the loop: a client chose them, and there may be many topics.
func (c *consumerGroup) resolve(regexes []string) {
	var names []string
	image := c.image()
	image.Topics(func(t *metadata.Topic) bool {
		names = append(names, t.Name)
		return true
	})
	version, at := image.Offset(), c.machine.now()
	found := make([][]string, len(regexes))
	c.resolving = true
	c.machine.log.Loop().Offload(func() {
		for i, regex := range regexes {
			found[i] = matching(regex, names)
		}
	}, func() {
		if c.resolving = false; c.gone {
			return
		}
		resolved := make(map[string]*resolvedRegex, len(regexes))
		for i, regex := range regexes {
			resolved[regex] = &resolvedRegex{topics: found[i], version: version, at: at}
		}
		c.onResolved(resolved)
	})
}

func matching(regex string, names []string) (found []string) {
	re, err := compileTopics(regex)
	if err != nil {
		return nil // of another version's log
	}
	for _, name := range names {
		if re.MatchString(name) {
			found = append(found, name)
		}
	}
	return found
}

// onResolved stores what regular expressions match; if that is news, an assignment is due. If it cannot be stored, a later heartbeat tries
// again.
func (c *consumerGroup) onResolved(resolved map[string]*resolvedRegex) {
	var records []coordinator.Record
	s := c.subscriptions(nil)
	after := make(map[string]*resolvedRegex, len(c.regexes))
	for regex, r := range c.regexes { // order: a map
		after[regex] = r
	}
	news := false
	for _, regex := range sortedKeys(resolved) {
		if c.matched[regex] == 0 {
			continue
		}
		r := resolved[regex]
		if old := after[regex]; old == nil && len(r.topics) > 0 || old != nil && !slices.Equal(old.topics, r.topics) {
			news = true
		}
		after[regex] = r
		records = append(records, c.regexRecord(regex, r))
	}
	s.regexes = after
	if hash := s.hash(); news || hash != c.metadataHash {
		records = append(records, c.epochRecord(c.epoch+1, hash))
	}
	_ = c.machine.log.Append(records, nil)
}

package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// drawBuggify arms no site in one seed of three, and in the others about a third of them, each with a ratio of its own.
// Each site has a stream named after it: a new one does not change what is drawn for the others.
func drawBuggify(seed uint64) (armed []buggify.Armed) {
	if virtual.Rand(seed, "options/buggify").IntN(3) == 0 {
		return nil
	}
	for s := range buggify.NumSites {
		r := virtual.Rand(seed, "options/buggify/"+s.String())
		if r.IntN(3) == 0 {
			armed = append(armed, buggify.Armed{Site: s, OneIn: pick[int64](r, 2, 4, 8, 20, 50, 200, 1000)})
		}
	}
	return armed
}

// formatBuggify writes "storage/short-read=1/8 raft/resign-early=1/50".
func formatBuggify(armed []buggify.Armed) string {
	parts := make([]string, len(armed))
	for i, a := range armed {
		parts[i] = a.Site.String() + "=1/" + strconv.FormatInt(a.OneIn, 10)
	}
	return strings.Join(parts, " ")
}

// parseBuggify reads what formatBuggify wrote.
func parseBuggify(words []string) (armed []buggify.Armed, err error) {
	for _, word := range words {
		name, ratio, _ := strings.Cut(word, "=1/")
		site, err := buggify.ParseSite(name)
		if err != nil {
			return nil, err
		}
		oneIn, err := strconv.ParseInt(ratio, 10, 64)
		if err != nil || oneIn < 1 {
			return nil, fmt.Errorf("%q is not site=1/n", word)
		}
		armed = append(armed, buggify.Armed{Site: site, OneIn: oneIn})
	}
	return armed, nil
}

// sites is what a new incarnation asks whether rare paths are taken; nil if none is armed.
func (r *run) sites(stream func(purpose string) *rand.Rand) *buggify.Sites {
	if len(r.schedule.Options.Buggify) == 0 {
		return nil
	}
	if r.buggify == nil {
		r.buggify = buggify.NewPlan(r.schedule.Options.Buggify)
	}
	return r.buggify.Sites(stream)
}

// switchBuggify lets armed sites fire, or not. They do while faults strike: that a cluster forms and becomes well again (P9) is
// promised for when nothing troubles it.
func (r *run) switchBuggify(on bool) {
	if r.buggify != nil {
		r.buggify.Switch(on)
	}
}

func (r *run) buggifyHits() (hits SiteCounts) {
	if r.buggify != nil {
		hits = r.buggify.Hits
	}
	return hits
}

// SiteCounts is how often each buggify site fired.
type SiteCounts [buggify.NumSites]uint64

func (c *SiteCounts) add(o *SiteCounts) {
	for s := range c {
		c[s] += o[s]
	}
}

// Never lists the sites that did not fire.
func (c *SiteCounts) Never() (names []string) {
	for s, n := range c {
		if n == 0 {
			names = append(names, buggify.Site(s).String())
		}
	}
	return names
}

// MarshalJSON names the sites and leaves out those that did not fire.
func (c SiteCounts) MarshalJSON() ([]byte, error) {
	return marshalNamed(c[:], func(i int) string { return buggify.Site(i).String() })
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *SiteCounts) UnmarshalJSON(text []byte) error {
	return unmarshalNamed(text, c[:], buggify.ParseSite)
}

func (c *SiteCounts) sum() (total uint64) {
	for _, n := range c {
		total += n
	}
	return total
}

// PrintBuggify writes how often each site fired, as a table for people.
func (s *Summary) PrintBuggify(w io.Writer) {
	t := newLeftTable(w)
	for site, n := range s.RarePaths {
		times := thousands(n)
		if n == 0 {
			times = "never"
		}
		_ = t.Append(buggify.Site(site).String(), times)
	}
	_ = t.Render()
}

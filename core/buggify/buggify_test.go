package buggify_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockstep/lockstep/core/buggify"
)

func stream(purpose string) *rand.Rand { return rand.New(rand.NewPCG(7, uint64(len(purpose)))) }

func TestSitesHaveDistinctNames(t *testing.T) {
	for s := range buggify.NumSites {
		if found, err := buggify.ParseSite(s.String()); err != nil || found != s {
			t.Errorf("site %d is named %q, which is site %d (%v)", s, s, found, err)
		}
	}
}

func TestNothingFiresInADaemon(t *testing.T) {
	var none *buggify.Sites
	for s := range buggify.NumSites {
		if none.Fires(s) || none.Hits(s) > 0 {
			t.Errorf("%v fired", s)
		}
	}
}

func TestOnlyArmedSitesFireAndOnlyWhileSwitchedOn(t *testing.T) {
	p := buggify.NewPlan([]buggify.Armed{{Site: buggify.ShortRead, OneIn: 1}})
	x := p.Sites(stream)
	if x.Fires(buggify.ShortRead) {
		t.Error("fired before the switch")
	}
	p.Switch(true)
	if !x.Fires(buggify.ShortRead) || x.Fires(buggify.RecentMiss) || p.Hits[buggify.ShortRead] != 1 || x.Hits(buggify.ShortRead) != 1 {
		t.Errorf("hits %d, %d", p.Hits[buggify.ShortRead], x.Hits(buggify.ShortRead))
	}
}

func TestSiteFiresOneTimeInSoMany(t *testing.T) {
	p := buggify.NewPlan([]buggify.Armed{{Site: buggify.Mute, OneIn: 20}})
	p.Switch(true)
	x := p.Sites(stream)
	for range 20_000 {
		x.Fires(buggify.Mute)
	}
	if n := p.Hits[buggify.Mute]; n < 800 || n > 1200 {
		t.Errorf("%d of 20,000", n)
	}
}

func TestASiteDoesNotMoveTheDrawsOfAnother(t *testing.T) {
	draw := func(armed ...buggify.Armed) (fired []bool) {
		p := buggify.NewPlan(armed)
		p.Switch(true)
		x := p.Sites(stream)
		for range 100 {
			x.Fires(buggify.TinySegment)
			fired = append(fired, x.Fires(buggify.Mute))
		}
		return fired
	}
	mute := buggify.Armed{Site: buggify.Mute, OneIn: 3}
	alone, both := draw(mute), draw(mute, buggify.Armed{Site: buggify.TinySegment, OneIn: 2})
	for i := range alone {
		if alone[i] != both[i] {
			t.Fatalf("draw %d differs", i)
		}
	}
}

func TestDaemonCannotArmAnything(t *testing.T) {
	files, err := filepath.Glob("../../cmd/lockstepd/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no sources of the daemon", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(strings.ToLower(string(text)), "buggify") {
			t.Errorf("%s names buggify", f)
		}
	}
}

// TestEverySiteIsAskedSomewhere reads the core: a site that nobody asks for is a hole that looks like coverage.
func TestEverySiteIsAskedSomewhere(t *testing.T) {
	var core strings.Builder
	files, _ := filepath.Glob("../*/*.go")
	more, _ := filepath.Glob("../*.go")
	for _, f := range append(files, more...) {
		if strings.HasSuffix(f, "_test.go") || strings.HasPrefix(f, "../buggify/") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		core.Write(text)
	}
	text, err := os.ReadFile("site.go")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "const (\n")
	list, _, _ = strings.Cut(list, "NumSites")
	for line := range strings.Lines(list) {
		if name, _, _ := strings.Cut(strings.TrimSpace(line), " "); name != "" && strings.Count(core.String(), ".Fires(buggify."+name+")") != 1 {
			t.Errorf("%s is asked %d times", name, strings.Count(core.String(), ".Fires(buggify."+name+")"))
		}
	}
}

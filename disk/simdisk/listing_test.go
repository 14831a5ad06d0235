package simdisk

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestListingIsKeptAsItWouldBeMade compares what a directory keeps with what it would make anew, after some changes.
func TestListingIsKeptAsItWouldBeMade(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t, rapid.Uint64().Draw(t, "seed"), Options{})
		name := rapid.SampledFrom([]string{"a", "a-1", "b", "d", "d/a", "d/b", "e", "e/a"})
		t.Repeat(map[string]func(*rapid.T){
			"open":   func(t *rapid.T) { _, _ = m.Disk.open(name.Draw(t, "name")) },
			"mkdir":  func(t *rapid.T) { _ = m.mkdir(name.Draw(t, "name")) },
			"remove": func(t *rapid.T) { _ = m.remove(name.Draw(t, "name")) },
			"rename": func(t *rapid.T) { _ = m.rename(name.Draw(t, "from"), name.Draw(t, "to")) },
			"look": func(t *rapid.T) {
				for _, dir := range []string{"", "d/", "e/"} {
					checkListing(t, m, dir)
				}
			},
		})
	})
}

func checkListing(t *rapid.T, m *machine, dir string) {
	node, err := m.findDir(dir)
	if err != nil {
		return
	}
	names, paths := node.names(), slices.Clone(m.NamesIn(dir))
	kept := node.listed
	node.listed = nil
	if made := m.NamesIn(dir); !slices.Equal(paths, made) {
		t.Fatalf("%q has %q, as kept %q", dir, made, paths)
	}
	if made := node.names(); !slices.Equal(names, made) {
		t.Fatalf("%q lists %q, as kept %q", dir, made, names)
	}
	node.listed = kept
}

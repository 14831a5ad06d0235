package mutant

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
)

// Apply returns the files of the source tree under root as the mutant has them, by their path in the tree.
func (m *Mutant) Apply(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, f := range m.files {
		source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(f.OldName)))
		if err != nil {
			return nil, fmt.Errorf("mutant %s: %w", m.ID, err)
		}
		if files[f.NewName], err = applyFile(f, source); err != nil {
			return nil, fmt.Errorf("mutant %s: %s: %w", m.ID, f.OldName, err)
		}
	}
	return files, nil
}

func applyFile(f *gitdiff.File, source []byte) ([]byte, error) {
	if err := relocate(f, strings.SplitAfter(string(source), "\n")); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err := gitdiff.Apply(&out, bytes.NewReader(source), f)
	return out.Bytes(), err
}

// relocate moves the fragments of a patch to where their lines are now: those around them may have
// grown or shrunk since it was made. The lines themselves must be there, every one.
func relocate(f *gitdiff.File, lines []string) error {
	from, moved := 0, 0
	for _, fragment := range f.TextFragments {
		old := oldLines(fragment)
		at := nearest(lines, old, from, int(fragment.OldPosition)-1+moved)
		if at < 0 {
			return fmt.Errorf("the lines of %s are not there any more", strings.TrimSpace(fragment.Header()))
		}
		moved = at - (int(fragment.OldPosition) - 1)
		fragment.OldPosition += int64(moved)
		from = at + len(old)
	}
	return nil
}

// oldLines are the lines that a fragment finds.
func oldLines(fragment *gitdiff.TextFragment) (old []string) {
	for _, line := range fragment.Lines {
		if line.Old() {
			old = append(old, line.Line)
		}
	}
	return old
}

// nearest is the place at or behind from where lines has these, nearest to where; -1 if there is none.
func nearest(lines, these []string, from, where int) (best int) {
	best = -1
	for at := from; at+len(these) <= len(lines); at++ {
		if slices.Equal(lines[at:at+len(these)], these) && (best < 0 || distance(at, where) < distance(best, where)) {
			best = at
		}
	}
	return best
}

func distance(a, b int) int { return max(a-b, b-a) }

// Package mutant is the bug bank: bugs that Kafka and its protocols really had, each as a patch of
// the core that brings it back, and what it takes to show that the simulator finds them.
//
// A patch is a unified diff of files of the core. The text before it says what it is: Id, Title,
// Source (where the bug is documented), Tier, Checkers (which properties are to notice), Faults (what a
// schedule needs) and, in plain words, what goes wrong. No switch of the code under test knows of
// mutants: a mutant is built with go build -overlay.
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

// Tiers of mutants: how much work may be needed to find one, in core-seconds of A, B and C: 60, 900 and 28,800.
const (
	TierA      = "A"
	TierB      = "B"
	TierC      = "C"
	Equivalent = "equivalent" // proved to break no promise; kept to say why
)

// Mutant is one bug of the bank.
type Mutant struct {
	ID       string   // M24: of BUGBANK.md; K01: of this bank alone
	Title    string   // a few words
	Source   string   // an issue, a commit, a KIP, a section of a paper
	Tier     string   // A, B, C or equivalent
	Checkers []string // properties of sim/check of which one is expected to notice
	Faults   string   // what its schedule needs
	Wrong    string   // what goes wrong
	Path     string   // the patch's file

	files []*gitdiff.File
}

// Load reads all patches of a directory, by id.
func Load(dir string) ([]*Mutant, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil {
		return nil, err
	}
	var bank []*Mutant
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		m, err := parse(path, text)
		if err != nil {
			return nil, fmt.Errorf("mutant %s: %w", filepath.Base(path), err)
		}
		bank = append(bank, m)
	}
	slices.SortFunc(bank, func(a, b *Mutant) int { return strings.Compare(a.ID, b.ID) })
	return bank, checkUnique(bank)
}

func checkUnique(bank []*Mutant) error {
	for i := 1; i < len(bank); i++ {
		if bank[i].ID == bank[i-1].ID {
			return fmt.Errorf("mutant %s: there are two, %s and %s", bank[i].ID, filepath.Base(bank[i-1].Path), filepath.Base(bank[i].Path))
		}
	}
	return nil
}

// parse reads one patch with its header.
func parse(path string, text []byte) (*Mutant, error) {
	m := &Mutant{Path: path}
	head, diff := split(text)
	m.parseHead(head)
	if err := m.check(); err != nil {
		return nil, err
	}
	files, _, err := gitdiff.Parse(bytes.NewReader(diff))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no diff")
	}
	for _, f := range files {
		f.NewName = stripPrefix(f.NewName)
		f.OldName = f.NewName
	}
	m.files = files
	return m, err
}

// stripPrefix takes off the a/ or b/ that a diff without a git header still has.
func stripPrefix(name string) string {
	if rest, ok := strings.CutPrefix(name, "a/"); ok {
		return rest
	}
	return strings.TrimPrefix(name, "b/")
}

// split cuts a patch where its diff begins.
func split(text []byte) (head string, diff []byte) {
	at := 0
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("diff ")) || bytes.HasPrefix(line, []byte("--- a/")) {
			break
		}
		at += len(line)
	}
	return string(text[:at]), text[at:]
}

// parseHead reads "Key: value" lines; all others are the description.
func (m *Mutant) parseHead(head string) {
	var wrong []string
	for line := range strings.Lines(head) {
		line = strings.TrimSpace(line)
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Id":
			m.ID = value
		case "Title":
			m.Title = value
		case "Source":
			m.Source = value
		case "Tier":
			m.Tier = value
		case "Checkers":
			m.Checkers = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
		case "Faults":
			m.Faults = value
		default:
			wrong = append(wrong, line)
		}
	}
	m.Wrong = strings.TrimSpace(strings.Join(wrong, "\n"))
}

// check finds what a header lacks.
func (m *Mutant) check() error {
	for _, f := range []struct{ key, value string }{
		{"Id", m.ID}, {"Title", m.Title}, {"Source", m.Source}, {"Tier", m.Tier}, {"Faults", m.Faults}, {"a description", m.Wrong},
	} {
		if f.value == "" {
			return fmt.Errorf("the header lacks %s", f.key)
		}
	}
	if !slices.Contains([]string{TierA, TierB, TierC, Equivalent}, m.Tier) {
		return fmt.Errorf("no tier %q", m.Tier)
	}
	if len(m.Checkers) == 0 && m.Tier != Equivalent {
		return fmt.Errorf("the header lacks Checkers")
	}
	if !strings.HasPrefix(filepath.Base(m.Path), m.ID+"-") {
		return fmt.Errorf("the file of %s has another name", m.ID)
	}
	return nil
}

// Expects reports whether a property is one of those that are to notice the mutant.
func (m *Mutant) Expects(checker string) bool { return slices.Contains(m.Checkers, checker) }

// Select returns the mutants of the bank with these ids, or of this tier; none of either means all but equivalent ones.
func Select(bank []*Mutant, ids []string, tier string) (chosen []*Mutant, err error) {
	for _, id := range ids {
		if !slices.ContainsFunc(bank, func(m *Mutant) bool { return m.ID == id }) {
			return nil, fmt.Errorf("no mutant %q", id)
		}
	}
	for _, m := range bank {
		named := len(ids) == 0 && m.Tier != Equivalent || slices.Contains(ids, m.ID)
		if named && (tier == "" || m.Tier == tier) {
			chosen = append(chosen, m)
		}
	}
	return chosen, nil
}

package mutant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const modulePath = "github.com/lockstep/lockstep"

// Workshop is where mutants are built: a source tree, a Go toolchain, and a directory for what comes out.
type Workshop struct {
	Root string // of the source tree
	Dir  string // of binaries and patched files; a temporary one
	tool string
}

// ErrNoSource says that mutants cannot be built here.
var ErrNoSource = errors.New("mutants are built from source")

// NewWorkshop finds the source tree in dir or above it, and the go command. Close removes what it made.
func NewWorkshop(dir string) (*Workshop, error) {
	root, err := findRoot(dir)
	if err != nil {
		return nil, err
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		return nil, fmt.Errorf("%w: no go command in the PATH", ErrNoSource)
	}
	w := &Workshop{Root: root, tool: tool}
	w.Dir, err = os.MkdirTemp("", "lockstep-mutants-")
	return w, err
}

// Close removes the workshop's files.
func (w *Workshop) Close() { _ = os.RemoveAll(w.Dir) }

// Bank is the tree's bug bank.
func (w *Workshop) Bank() ([]*Mutant, error) { return Load(filepath.Join(w.Root, "sim", "mutant")) }

// Schedule is the file of the schedule that shows a mutant, written by hand for one that seeds do not find soon; empty if
// there is none.
func (w *Workshop) Schedule(m *Mutant) string {
	name := filepath.Join(w.Root, "sim", "mutant", "schedules", m.ID+".txt")
	if _, err := os.Stat(name); err != nil {
		return ""
	}
	return name
}

// findRoot is the directory of this module's go.mod: dir, or one above it.
func findRoot(dir string) (string, error) {
	at, err := filepath.Abs(dir)
	for err == nil {
		text, _ := os.ReadFile(filepath.Join(at, "go.mod"))
		if line, _, _ := strings.Cut(string(text), "\n"); strings.TrimSpace(line) == "module "+modulePath {
			return at, nil
		}
		if filepath.Dir(at) == at {
			return "", fmt.Errorf("%w: %s is not in a source tree of %s", ErrNoSource, dir, modulePath)
		}
		at = filepath.Dir(at)
	}
	return "", err
}

// Build builds the simulator with some mutants in its core, or none, and returns the program's path.
func (w *Workshop) Build(ctx context.Context, name string, mutants ...*Mutant) (program string, err error) {
	program = filepath.Join(w.Dir, name)
	return program, w.compile(ctx, name, mutants, "-o", program, "./cmd/lockstep")
}

// BuildInto builds the simulator with a mutant in its core into a file, for people to play with.
func (w *Workshop) BuildInto(ctx context.Context, file string, m *Mutant) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	return w.compile(ctx, m.ID, []*Mutant{m}, "-o", file, "./cmd/lockstep")
}

// Compile proves that the core and the clients compile with some mutants in it.
func (w *Workshop) Compile(ctx context.Context, name string, mutants ...*Mutant) error {
	return w.compile(ctx, name, mutants, "./core/...", "./sim")
}

func (w *Workshop) compile(ctx context.Context, name string, mutants []*Mutant, args ...string) error {
	overlay, err := w.overlay(name, mutants)
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, w.tool, append([]string{"build", "-overlay", overlay}, args...)...)
	c.Dir = w.Root
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s does not build: %w\n%s", name, err, out)
	}
	return nil
}

// overlay writes the patched files and the list of what they replace.
func (w *Workshop) overlay(name string, mutants []*Mutant) (file string, err error) {
	dir := filepath.Join(w.Dir, name+".src")
	replace := map[string]string{}
	for _, m := range mutants {
		files, err := m.Apply(w.Root)
		if err != nil {
			return "", err
		}
		for path, content := range files { // order: each is a file of its own
			path = filepath.FromSlash(path)
			to := filepath.Join(dir, path)
			if err := write(to, content); err != nil {
				return "", err
			}
			replace[filepath.Join(w.Root, path)] = to
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "overlay.json")
	return file, write(file, text)
}

func write(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, content, 0o644)
}

// Check proves that mutants apply and compile, and says of which that is not so.
func (w *Workshop) Check(ctx context.Context, mutants []*Mutant) (broken []error) {
	checker, err := newTypeChecker(ctx, w)
	if err != nil {
		return []error{err} // then nothing can be said of a mutant
	}
	for _, m := range mutants {
		if checker.check(m) == nil {
			continue
		}
		// A patch of two packages, one of which uses what is new in the other, is for the compiler to judge.
		if err := w.Compile(ctx, m.ID, m); err != nil && ctx.Err() == nil {
			broken = append(broken, err)
		}
	}
	return broken
}

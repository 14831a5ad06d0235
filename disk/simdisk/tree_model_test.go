package simdisk

import (
	"fmt"
	"path"
	"testing"

	"pgregory.net/rapid"
)

// treeModel is where files must be after a power loss. A file is known by its bytes, which are synced.
type treeModel struct {
	at     map[string]string   // name -> file
	latest map[string][]string // file -> directories of which a SyncDir settles its latest move
	sure   map[string]bool     // file -> its latest move is settled
}

func (m *treeModel) move(file, from, to string) {
	dirs := []string{}
	if from != "" {
		delete(m.at, from)
		dirs = append(dirs, path.Dir(from))
	}
	if to != "" {
		dirs = append(dirs, path.Dir(to))
		if replaced := m.at[to]; replaced != "" {
			m.latest[replaced], m.sure[replaced] = dirs, false
		}
		m.at[to] = file
	}
	m.latest[file], m.sure[file] = dirs, false
}

func (m *treeModel) syncDir(dir string) {
	for file, dirs := range m.latest { // order: each alone
		for _, d := range dirs {
			m.sure[file] = m.sure[file] || d == dir
		}
	}
}

// check compares with what a power loss left, which is then all there is.
func (m *treeModel) check(t *rapid.T, d *machine) {
	left := map[string]string{} // file -> name
	for _, name := range d.Names() {
		file := string(d.Peek(name))
		if left[file] != "" {
			t.Fatalf("file %s is at %s and at %s", file, left[file], name)
		}
		left[file] = name
	}
	want := map[string]string{}
	for name, file := range m.at { // order: an inversion
		want[file] = name
	}
	for file, sure := range m.sure { // order: each alone
		if sure && left[file] != want[file] {
			t.Fatalf("file %s is at %q, not at %q", file, left[file], want[file])
		}
	}
	*m = newTreeModel()
	for file, name := range left { // order: an inversion
		m.at[name], m.sure[file] = file, true
	}
}

func newTreeModel() treeModel {
	return treeModel{map[string]string{}, map[string][]string{}, map[string]bool{}}
}

// TestPowerLossTakesNoNameThatWasSynced runs random directory operations against the model.
func TestPowerLossTakesNoNameThatWasSynced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t, rapid.Uint64().Draw(t, "seed"), Options{})
		for _, dir := range []string{"x", "y"} {
			m.must(func(done func(error)) { m.Mkdir(dir, done) })
		}
		m.syncDir(".")
		want, files := newTreeModel(), 0
		draw := func() string { return rapid.SampledFrom([]string{"x/a", "x/b", "y/a", "y/b"}).Draw(t, "name") }
		t.Repeat(map[string]func(*rapid.T){
			"create": func(*rapid.T) {
				if name := draw(); want.at[name] == "" {
					files++
					f := m.open(name)
					m.write(f, 0, fmt.Append(nil, files))
					m.must(f.Sync)
					want.move(fmt.Sprint(files), "", name)
				}
			},
			"rename": func(*rapid.T) {
				if from, to := draw(), draw(); want.at[from] != "" && from != to {
					m.must(func(done func(error)) { m.Rename(from, to, done) })
					want.move(want.at[from], from, to)
				}
			},
			"remove": func(*rapid.T) {
				if name := draw(); want.at[name] != "" {
					m.must(func(done func(error)) { m.Remove(name, done) })
					want.move(want.at[name], name, "")
				}
			},
			"sync": func(*rapid.T) {
				dir := path.Dir(draw())
				m.syncDir(dir)
				want.syncDir(dir)
			},
			"power loss": func(*rapid.T) {
				m.powerLoss()
				want.check(t, m)
			},
		})
	})
}

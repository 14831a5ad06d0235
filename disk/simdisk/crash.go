package simdisk

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"iter"
	"slices"
	"strings"

	"github.com/lockstep/lockstep/scheduler/virtual"
)

// Image is what a disk holds after a loss of power: all of it is durable.
type Image struct {
	Dirs  []string // with all their parents, before what is in them
	Files []ImageFile
}

// ImageFile is a file of an Image, by its whole name.
type ImageFile struct {
	Name string
	Data []byte
}

// Hash tells images apart.
func (m *Image) Hash() uint64 {
	h := fnv.New64a()
	for _, dir := range m.Dirs {
		fmt.Fprintf(h, "%s/\n", dir)
	}
	for _, f := range m.Files {
		fmt.Fprintf(h, "%s %d\n", f.Name, len(f.Data))
		_, _ = h.Write(f.Data)
	}
	return h.Sum64()
}

// NewFrom returns a disk that holds an image.
func NewFrom(node *virtual.Node, seed uint64, o Options, m *Image) *Disk {
	d := New(node, seed, o)
	for _, dir := range m.Dirs {
		d.add(dir, newDir())
	}
	for _, f := range m.Files {
		d.add(f.Name, &inode{content: content{data: bytes.Clone(f.Data)}, linked: true})
		d.used += int64(len(f.Data))
	}
	return d
}

// add puts a node in its directory, durably.
func (d *Disk) add(name string, n *inode) {
	p, err := d.locate(name)
	if err != nil {
		panic(err) // an image lists directories first
	}
	p.dir.enter(p.name, n)
	p.dir.durable[p.name] = n
}

// CrashStates are all the images that a PowerLoss at this moment may leave, each once, where PowerLoss draws one of them:
// the directory operations up to any one of those that are not durable, with any truncation lost, of any write any sectors,
// and a file's size moved without its bytes.
//
// What is under way counts as not begun. As a write that is broken off leaves no more than one that has just ended, the
// states after every turn are all there are as long as one operation is under way at a time; see Changing.
func (d *Disk) CrashStates() iter.Seq[*Image] {
	return func(yield func(*Image) bool) {
		seen := map[uint64]bool{}
		once := func(m *Image) bool {
			h := m.Hash()
			if seen[h] {
				return true
			}
			seen[h] = true
			return yield(m)
		}
		for kept := range len(d.journal.moves) + 1 {
			if !d.durableAfter(kept).states(once) {
				return
			}
		}
	}
}

// Changing is how many operations are under way that change what is on the disk.
func (d *Disk) Changing() (n int) {
	for _, o := range d.inFlight {
		if o.kind != OpRead && o.kind != OpList && o.kind != OpSync && o.kind != OpSyncDir {
			n++
		}
	}
	return n
}

// Version changes when what a power loss may leave does.
func (d *Disk) Version() uint64 {
	sum := d.journal.clock<<32 + uint64(len(d.journal.moves))
	d.root.files("", func(_ string, f *inode) { sum = sum*31 + f.clock<<8 + uint64(len(f.changes)) })
	return sum
}

// durableTree is the directories as a power loss leaves them, with what each file may hold then.
type durableTree struct {
	dirs     []string
	names    []string
	contents [][][]byte // by file, what it may hold
}

// durableAfter is the tree if the first moves that are not durable survive, and no more.
func (d *Disk) durableAfter(moves int) *durableTree {
	view := map[place]*inode{} // nil: removed
	for i := range d.journal.moves[:moves] {
		m := &d.journal.moves[i]
		if m.from.dir != nil {
			view[m.from] = nil
		}
		if m.to.dir != nil {
			view[m.to] = m.node
		}
	}
	t := &durableTree{}
	t.walk(d.root, "", view)
	return t
}

func (t *durableTree) walk(dir *inode, prefix string, view map[place]*inode) {
	entries := map[string]*inode{}
	for name, n := range dir.durable { // order: a map again
		entries[name] = n
	}
	for p, n := range view { // order: each its own name
		if p.dir == dir {
			entries[p.name] = n
		}
	}
	names := make([]string, 0, len(entries))
	for name, n := range entries { // order: sorted below
		if n != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if n := entries[name]; n.isDir() {
			t.dirs = append(t.dirs, prefix+name)
			t.walk(n, prefix+name+"/", view)
		} else {
			t.names, t.contents = append(t.names, prefix+name), append(t.contents, n.outcomes())
		}
	}
}

// states calls yield for each combination of contents; false if it said so.
func (t *durableTree) states(yield func(*Image) bool) bool {
	m := &Image{Dirs: t.dirs, Files: make([]ImageFile, len(t.names))}
	var choose func(i int) bool
	choose = func(i int) bool {
		if i == len(t.names) {
			return yield(&Image{m.Dirs, slices.Clone(m.Files)})
		}
		for _, data := range t.contents[i] {
			m.Files[i] = ImageFile{t.names[i], data}
			if !choose(i + 1) {
				return false
			}
		}
		return true
	}
	return choose(0)
}

// outcomes are the contents that losePower may leave, each once.
func (c *content) outcomes() [][]byte {
	base := content{data: bytes.Clone(c.data)}
	wrote := make([][]byte, len(c.changes))
	for i := len(c.changes) - 1; i >= 0; i-- {
		wrote[i] = base.undo(&c.changes[i])
	}
	states := [][]byte{base.data}
	for i := range c.changes {
		next := &distinct{seen: map[string]bool{}}
		for _, s := range states {
			c.changes[i].outcomes(s, wrote[i], next)
		}
		states = next.all
	}
	dropped := &distinct{seen: map[string]bool{}}
	for _, s := range states {
		d := content{data: s, forgotten: c.forgotten}
		d.dropForgotten()
		dropped.add(d.data)
	}
	return dropped.all
}

// distinct is byte strings without repetitions, in the order in which they came.
type distinct struct {
	seen map[string]bool
	all  [][]byte
}

func (d *distinct) add(b []byte) {
	if !d.seen[string(b)] {
		d.seen[strings.Clone(string(b))] = true
		d.all = append(d.all, b)
	}
}

// outcomes adds what may become of a file that held state when the change was made.
func (w *change) outcomes(state, wrote []byte, to *distinct) {
	if w.truncation {
		to.add(state)
		cut := content{data: bytes.Clone(state)}
		cut.setSize(w.pos)
		to.add(cut.data)
		return
	}
	pieces := sectors(wrote, w.pos)
	for chosen := range 1 << len(pieces) {
		c := content{data: bytes.Clone(state)}
		for i, p := range pieces {
			if chosen>>i&1 == 1 {
				c.put(p.data, p.pos)
			}
		}
		to.add(bytes.Clone(c.data))
		if end := w.pos + w.n; end > c.size() {
			c.setSize(end)
			to.add(c.data)
		}
	}
}

type piece struct {
	pos  int64
	data []byte
}

// sectors cuts bytes at pos of a file where the device's sectors begin.
func sectors(b []byte, pos int64) (pieces []piece) {
	for len(b) > 0 {
		n := min(int64(len(b)), sector-pos%sector)
		pieces = append(pieces, piece{pos, b[:n]})
		b, pos = b[n:], pos+n
	}
	return pieces
}

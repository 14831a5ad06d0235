package simdisk

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"strings"

	"github.com/lockstep/lockstep/disk"
)

// inode is a file or a directory.
type inode struct {
	content
	opens    int  // handles of the living incarnation
	linked   bool // a name leads to it
	ended    bool // nor will one after a power loss
	poisoned bool

	entries map[string]*inode // nil for a file
	durable map[string]*inode // what entries a power loss cannot take away
	listed  *listing          // of entries; nil: nobody has asked
}

func newDir() *inode {
	return &inode{entries: map[string]*inode{}, durable: map[string]*inode{}, linked: true}
}

func (n *inode) isDir() bool { return n.entries != nil }

// clean returns a name in its one form; "." is the root.
func clean(name string) (string, error) {
	c := path.Clean(name)
	if path.IsAbs(c) || c == ".." || strings.HasPrefix(c, "../") {
		return "", fmt.Errorf("simdisk: name %q leads out of the log directory", name)
	}
	return c, nil
}

// missing is the error that there is nothing of a name: compaction asks for many files that may not be there.
type missing string

func (m missing) Error() string { return disk.ErrNotExist.Error() + ": " + string(m) }

func (m missing) Unwrap() error { return disk.ErrNotExist }

// find returns what a clean name leads to, or nil.
func (d *Disk) find(name string) *inode { return d.walk(name, false) }

func (d *Disk) walk(name string, durable bool) *inode {
	n := d.root
	for rest, more := name, name != "."; more && n != nil; {
		var base string
		base, rest, more = strings.Cut(rest, "/")
		if durable {
			n = n.durable[base]
		} else {
			n = n.entries[base]
		}
	}
	return n
}

// place is a name in a directory.
type place struct {
	dir  *inode
	name string
}

func (p place) node() *inode { return p.dir.entries[p.name] }

// locate returns where a name has, or would have, its entry.
func (d *Disk) locate(name string) (place, error) {
	c, err := clean(name)
	if err != nil {
		return place{}, err
	}
	if c == "." {
		return place{}, errors.New("simdisk: the root has no name")
	}
	dir, base := d.root, c
	if i := strings.LastIndexByte(c, '/'); i >= 0 {
		dir, base = d.find(c[:i]), c[i+1:]
	}
	if dir == nil || !dir.isDir() {
		return place{}, missing(path.Dir(c))
	}
	return place{dir, base}, nil
}

// locateExisting is locate for a name that must be there.
func (d *Disk) locateExisting(name string) (place, error) {
	p, err := d.locate(name)
	if err == nil && p.node() == nil {
		err = missing(name)
	}
	return p, err
}

func (d *Disk) open(name string) (*inode, error) {
	p, err := d.locate(name)
	if err != nil {
		return nil, err
	}
	n := p.node()
	if n == nil {
		n = &inode{linked: true, content: content{lends: true}}
		d.record(move{node: n, to: p})
	}
	if n.isDir() {
		return nil, fmt.Errorf("simdisk: %s is a directory", name)
	}
	return n, nil
}

func (d *Disk) mkdir(name string) error {
	c, err := clean(name)
	if err != nil || c == "." {
		return err
	}
	if err := d.mkdir(path.Dir(c)); err != nil {
		return err
	}
	p, err := d.locate(c)
	switch {
	case err != nil:
		return err
	case p.node() == nil:
		d.record(move{node: newDir(), to: p})
	case !p.node().isDir():
		return fmt.Errorf("simdisk: %s is not a directory", name)
	}
	return nil
}

func (d *Disk) remove(name string) error {
	p, err := d.locateExisting(name)
	if err == nil {
		d.record(move{node: p.node(), from: p})
	}
	return err
}

func (d *Disk) rename(from, to string) error {
	source, err := d.locateExisting(from)
	if err != nil {
		return err
	}
	target, err := d.locate(to)
	if err != nil || source == target {
		return err
	}
	if err := checkRename(source, target); err != nil {
		return fmt.Errorf("simdisk: rename %s to %s: %w", from, to, err)
	}
	d.record(move{node: source.node(), from: source, to: target})
	return nil
}

func checkRename(from, to place) error {
	node, replaced := from.node(), to.node()
	switch {
	case node.isDir() && node.contains(to.dir):
		return errors.New("target lies within")
	case replaced == nil:
		return nil
	case replaced.isDir() != node.isDir():
		return errors.New("one is a directory, the other is not")
	case len(replaced.entries) > 0:
		return errors.New("directory not empty")
	}
	return nil
}

// contains reports whether dir is n or lies below it.
func (n *inode) contains(dir *inode) bool {
	if n == dir {
		return true
	}
	for _, child := range n.entries { // order: any
		if child.isDir() && child.contains(dir) {
			return true
		}
	}
	return false
}

func (d *Disk) list(name string) ([]string, error) {
	dir, err := d.findDir(name)
	if err != nil {
		return nil, err
	}
	return dir.names(), nil
}

func (d *Disk) findDir(name string) (*inode, error) {
	c, err := clean(name)
	if err != nil {
		return nil, err
	}
	dir := d.find(c)
	switch {
	case dir == nil:
		return nil, missing(name)
	case !dir.isDir():
		return nil, fmt.Errorf("simdisk: %s is not a directory", name)
	}
	return dir, nil
}

// record lets a directory operation happen and remembers that it is not durable.
func (d *Disk) record(m move) {
	if m.from.dir != nil {
		m.from.dir.leave(m.from.name)
	}
	if m.to.dir == nil {
		d.unlink(m.node)
	} else {
		if replaced := m.to.node(); replaced != nil {
			d.unlink(replaced)
		}
		m.to.dir.enter(m.to.name, m.node)
	}
	d.journal.add(m, d.node.Now(), d.options.Writeback)
}

// unlink takes the names from a file, or from all files below a directory.
func (d *Disk) unlink(n *inode) {
	n.linked = false
	for _, child := range n.entries { // order: each alone
		d.unlink(child)
	}
	d.reclaim(n)
}

// reclaim counts a file's bytes as free once nothing leads to it.
func (d *Disk) reclaim(n *inode) {
	if !n.linked && n.opens == 0 {
		d.used -= n.size()
		n.maybeFree()
	}
}

// end notes that the device has no name for a file any more.
func (n *inode) end() {
	n.ended = !n.linked
	n.maybeFree()
}

// restore makes what is durable all there is.
func (n *inode) restore() {
	n.entries, n.listed = maps.Clone(n.durable), nil
	for _, child := range n.entries { // order: each alone
		if child.isDir() {
			child.restore()
		}
	}
}

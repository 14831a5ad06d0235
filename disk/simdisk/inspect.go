package simdisk

import (
	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/disk"
)

// Peek returns the bytes of a file as reads see them, nil if there is none. They are the disk's own:
// to be read only, and before the next event. For checkers.
func (d *Disk) Peek(name string) []byte {
	n := d.file(name)
	if n == nil {
		return nil
	}
	if n.data == nil {
		return []byte{}
	}
	return n.data[:n.size():n.size()]
}

// PeekDurable returns the bytes of a file that are there whatever a power loss takes, valid until the file changes, nil
// if the file itself may be gone. For checkers.
func (d *Disk) PeekDurable(name string) []byte {
	c, err := clean(name)
	if err != nil {
		return nil
	}
	if n := d.walk(c, true); n != nil && !n.isDir() {
		return n.content.durable()
	}
	return nil
}

// Names returns the names of all files, sorted by directory and name.
func (d *Disk) Names() (names []string) {
	names = make([]string, 0, d.names)
	d.root.files("", func(name string, _ *inode) { names = append(names, name) })
	d.names = len(names)
	return names
}

// NamesIn returns the names of the files in a directory, whose own ends in a slash, sorted: with it, as Names does. They
// are to be read only.
func (d *Disk) NamesIn(dir string) []string {
	c, err := clean(dir)
	if err != nil {
		return nil
	}
	if n := d.find(c); n != nil && n.isDir() {
		return n.listing(dir).paths
	}
	return nil
}

// file returns the file of a name, or nil.
func (d *Disk) file(name string) *inode {
	c, err := clean(name)
	if err != nil {
		return nil
	}
	if n := d.find(c); n != nil && !n.isDir() {
		return n
	}
	return nil
}

// ReadRegion copies the bytes of a region of any simulated disk into p and returns how many there
// were: at once and without faults. simnet calls it when it transmits, as sendfile would.
func ReadRegion(r disk.Region, p []byte) int {
	f := r.File.(*File)
	f.checkOpen("ReadRegion")
	invariant.Check(len(p) <= r.Len, "simdisk: read of more than a region")
	return f.node.read(p, r.Pos)
}

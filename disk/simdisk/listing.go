package simdisk

import "slices"

// listing is a directory's names in their order: made when somebody first asks, then kept as they change. A directory may
// hold thousands of segments, and each that is rolled asks.
type listing struct {
	prefix string
	bases  []string
	paths  []string // with the prefix; nil: nobody has asked
	dirs   int      // how many of them are directories
}

// enter gives a child a name in the directory, which may have been another's.
func (n *inode) enter(name string, child *inode) {
	replaced := n.entries[name]
	n.entries[name] = child
	if n.listed == nil {
		return
	}
	if replaced == nil {
		n.listed.insert(name)
	} else if replaced.isDir() {
		n.listed.dirs--
	}
	if child.isDir() {
		n.listed.dirs++
	}
}

// leave takes a name from the directory.
func (n *inode) leave(name string) {
	child := n.entries[name]
	delete(n.entries, name)
	if n.listed == nil {
		return
	}
	n.listed.remove(name)
	if child.isDir() {
		n.listed.dirs--
	}
}

func (l *listing) insert(base string) {
	i, _ := slices.BinarySearch(l.bases, base)
	l.bases = slices.Insert(l.bases, i, base)
	if l.paths != nil {
		l.paths = slices.Insert(l.paths, i, l.prefix+base)
	}
}

func (l *listing) remove(base string) {
	i, _ := slices.BinarySearch(l.bases, base)
	l.bases = slices.Delete(l.bases, i, i+1)
	if l.paths != nil {
		l.paths = slices.Delete(l.paths, i, i+1)
	}
}

// listing is the directory's, for the path that leads to it. It holds until the directory changes.
func (n *inode) listing(prefix string) *listing {
	l := n.list()
	if l.prefix == prefix && l.paths != nil {
		return l
	}
	l.prefix, l.paths = prefix, make([]string, 0, len(l.bases))
	for _, base := range l.bases {
		l.paths = append(l.paths, prefix+base)
	}
	return l
}

// list is the listing without the paths.
func (n *inode) list() *listing {
	if n.listed != nil {
		return n.listed
	}
	l := &listing{bases: make([]string, 0, len(n.entries))}
	for base, child := range n.entries { // order: sorted below
		l.bases = append(l.bases, base)
		if child.isDir() {
			l.dirs++
		}
	}
	slices.Sort(l.bases)
	n.listed = l
	return l
}

// names is what List gives, directories with a slash.
func (n *inode) names() []string {
	if l := n.list(); l.dirs == 0 {
		return slices.Clone(l.bases)
	}
	return n.withSlashes(n.listed.bases)
}

// withSlashes is the names as List gives them.
func (n *inode) withSlashes(bases []string) []string {
	names := make([]string, 0, len(bases))
	for _, base := range bases {
		if n.entries[base].isDir() {
			base += "/"
		}
		names = append(names, base)
	}
	slices.Sort(names)
	return names
}

// files calls f for each file below a directory, in the order of their names.
func (n *inode) files(prefix string, f func(name string, file *inode)) {
	l := n.listing(prefix)
	for i, base := range l.bases {
		if child := n.entries[base]; child.isDir() {
			child.files(l.paths[i]+"/", f)
		} else {
			f(l.paths[i], child)
		}
	}
}

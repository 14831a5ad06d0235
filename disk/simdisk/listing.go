package simdisk

import "slices"

// listing is a directory's names in their order, as they were when somebody last asked, and those that came or went since. A directory
// may hold thousands of segments, and compaction renames files far more often than anybody looks.
type listing struct {
	prefix  string
	bases   []string // never changed where they lie: List hands them out
	paths   []string // with the prefix; nil: nobody has asked
	changed []string // names that came or went since
	dirs    int      // how many of the entries are directories
}

// enter gives a child a name in the directory, which may have been another's.
func (n *inode) enter(name string, child *inode) {
	replaced := n.entries[name]
	n.entries[name] = child
	if n.listed == nil {
		return
	}
	if replaced != nil && replaced.isDir() {
		n.listed.dirs--
	}
	if child.isDir() {
		n.listed.dirs++
	}
	if replaced == nil {
		n.note(name)
	}
}

// leave takes a name from the directory.
func (n *inode) leave(name string) {
	child := n.entries[name]
	delete(n.entries, name)
	if n.listed == nil {
		return
	}
	if child.isDir() {
		n.listed.dirs--
	}
	n.note(name)
}

// note remembers for the listing that a name came or went. With more of them than names it were less work to make it anew.
func (n *inode) note(name string) {
	l := n.listed
	l.changed = append(l.changed, name)
	if len(l.changed) > len(l.bases)+100 {
		n.listed = nil
	}
}

// catchUp takes in what has changed since the last look.
func (l *listing) catchUp(entries map[string]*inode) {
	slices.Sort(l.changed)
	room := len(l.bases) + len(l.changed)
	next := listing{prefix: l.prefix, bases: make([]string, 0, room), dirs: l.dirs}
	if l.paths != nil {
		next.paths = make([]string, 0, room)
	}
	taken := 0 // of the old names
	for _, name := range slices.Compact(l.changed) {
		n, wasThere := slices.BinarySearch(l.bases[taken:], name)
		next.keep(l, taken, taken+n)
		taken += n
		if wasThere {
			taken++
		}
		if entries[name] != nil {
			next.add(name)
		}
	}
	next.keep(l, taken, len(l.bases))
	next.changed = l.changed[:0]
	*l = next
}

// keep adds names that another listing has.
func (l *listing) keep(other *listing, from, to int) {
	l.bases = append(l.bases, other.bases[from:to]...)
	if l.paths != nil {
		l.paths = append(l.paths, other.paths[from:to]...)
	}
}

func (l *listing) add(base string) {
	l.bases = append(l.bases, base)
	if l.paths != nil {
		l.paths = append(l.paths, l.prefix+base)
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
	if l := n.listed; l != nil {
		if len(l.changed) > 0 {
			l.catchUp(n.entries)
		}
		return l
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

// names is what List gives, directories with a slash. They are to be read only.
func (n *inode) names() []string {
	if l := n.list(); l.dirs == 0 {
		return slices.Clip(l.bases)
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

package simdisk

import "slices"

// listing is a directory's names in their order, made once for all who ask until one of them changes.
type listing struct {
	prefix string
	bases  []string
	paths  []string // with the prefix
	names  []string // as List gives them, directories with a slash
}

// listing is the directory's, for the path that leads to it.
func (n *inode) listing(prefix string) *listing {
	if n.listed != nil && n.listed.prefix == prefix {
		return n.listed
	}
	l := &listing{prefix: prefix, bases: make([]string, 0, len(n.entries))}
	dirs := false
	for base, child := range n.entries { // order: sorted below
		l.bases = append(l.bases, base)
		dirs = dirs || child.isDir()
	}
	slices.Sort(l.bases)
	l.paths = make([]string, 0, len(l.bases))
	for _, base := range l.bases {
		l.paths = append(l.paths, prefix+base)
	}
	l.names = l.bases
	if dirs {
		l.names = n.withSlashes(l.bases)
	}
	n.listed = l
	return l
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

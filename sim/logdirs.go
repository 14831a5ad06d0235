package sim

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/disk/simdisk"
)

// dirName is the i-th of a node's log.dirs, where there are several.
func dirName(i int) string { return fmt.Sprintf("d%d", i) }

// disks are the node's, one for each log directory; the first has the metadata log, too.
func (n *Node) disks() []*simdisk.Disk { return append([]*simdisk.Disk{n.disk}, n.more...) }

// envDisks is env.Env's list: nil if there is one.
func (n *Node) envDisks() (all []disk.Disk) {
	if len(n.more) == 0 {
		return nil
	}
	for _, d := range n.disks() {
		all = append(all, d)
	}
	return all
}

// diskWith is the disk that has a file, or the directory of one. If a topic was created again while the log of the one before could not be removed, two have
// a log of that name: the topic's own is meant.
func (n *Node) diskWith(topicID [16]byte, name string) *simdisk.Disk {
	dir, _, inDir := strings.Cut(name, "/")
	if len(n.more) == 0 || !inDir {
		return n.disk
	}
	var having []*simdisk.Disk
	for _, d := range n.disks() {
		if len(d.NamesIn(dir+"/")) > 0 {
			having = append(having, d)
		}
	}
	id := []byte(base64.RawURLEncoding.EncodeToString(topicID[:]))
	for _, d := range having {
		if len(having) == 1 || bytes.Contains(d.Peek(dir+"/partition.metadata"), id) {
			return d
		}
	}
	return n.disk
}

// hasForgotten reports whether a disk has lost what a sync that failed was to make durable.
func (n *Node) hasForgotten() bool {
	for _, d := range n.more {
		if d.HasForgotten() {
			return true
		}
	}
	return n.disk.HasForgotten()
}

// otherDir is a log directory that the node's replica of a partition is not in.
func (n *Node) otherDir(p event.Partition) string {
	if n.Up() && n.broker.Replicas() != nil {
		if part := n.broker.Replicas().Partition(p); part != nil && part.Log() != nil && part.Log().LogDir().Path == dirName(0) {
			return dirName(1)
		}
	}
	return dirName(0)
}

// diskOf is the disk that a fault strikes: of several any, by the fault's luck.
func (c *chaos) diskOf(s *strike, n *Node) *simdisk.Disk {
	if len(n.more) == 0 {
		return n.disk
	}
	return n.disks()[c.rand(s.fault).IntN(1+len(n.more))]
}

package sim

import (
	"bytes"
	"strings"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
)

// damage spoils records on the disk of a node that is down: a bit of them, or a sector. It keeps to the last segment of a
// partition, which recovery reads through unless the node was shut down cleanly before; what a broker does not read again it
// could only notice by reading everything it serves, which Kafka does not either. It reports whether there was anything to spoil.
func (c *chaos) damage(s *strike, n *Node) bool {
	random := c.rand(s.fault)
	files := n.lastSegments()
	if len(files) == 0 || n.disk.Peek(cleanShutdownMark) != nil {
		return false
	}
	f := files[random.IntN(len(files))]
	at := random.Int64N(int64(len(n.disk.Peek(f.name))))
	was := bytes.Clone(n.disk.Peek(f.name))
	offset := batchAt(was, at)
	if s.fault.Kind == BitRot {
		n.disk.CorruptBit(f.name, at, uint(random.IntN(8)))
	} else {
		offset = batchAt(was, at-at%512)
		from := files[random.IntN(len(files))]
		if !n.disk.Misdirect(from.name, random.Int64N(int64(len(n.disk.Peek(from.name)))), f.name, at) {
			return false
		}
	}
	n.showDamage(f.name, was)
	n.lost = lostDisk
	c.run.judge.damaged(n.id, f.partition, offset)
	return true
}

// crcPosition is where a batch has its checksum.
const crcPosition = 17

// showDamage sees to it that a checksum tells of the damage. Two sorts hide from it: the first bytes of a batch, its offset and its
// leader epoch among them, are not covered, so that a broker may set them; and a whole batch may come to lie where another was. Kafka's
// recovery takes both for true, and nothing in the format could tell it better.
func (n *Node) showDamage(name string, was []byte) {
	now := n.disk.Peek(name)
	for pos := 0; pos < len(now); {
		b, _, err := record.Parse(now[pos:])
		if err != nil || !b.CheckCRC() {
			return
		}
		if !bytes.Equal(b, was[pos:pos+len(b)]) {
			n.disk.CorruptBit(name, int64(pos+crcPosition), 0)
			return
		}
		pos += len(b)
	}
}

// cleanShutdownMark tells a broker that its logs need no recovery.
const cleanShutdownMark = ".kafka_cleanshutdown"

// segmentFile is a partition's last segment.
type segmentFile struct {
	name      string
	partition event.Partition
}

// lastSegments are the last segments of the node's partitions that hold anything, by partition; not the metadata's.
func (n *Node) lastSegments() (last []segmentFile) {
	o := &n.cluster.run.schedule.Options
	for _, t := range o.topicPointers() {
		for i := range t.Partitions {
			p := event.Partition{Topic: t.Name, Index: int32(i)}
			f := segmentFile{n.lastSegment(p), p}
			if f.name != "" && len(n.disk.Peek(f.name)) > 0 {
				last = append(last, f)
			}
		}
	}
	return last
}

// isSegment reports whether a file holds a log's records.
func isSegment(name string) bool { return strings.HasSuffix(name, ".log") }

// lastSegment is the name of a partition's last segment; empty if it has none.
func (n *Node) lastSegment(p event.Partition) (last string) {
	for _, name := range n.disk.NamesIn(p.String() + "/") {
		if isSegment(name) {
			last = name // they are sorted by their offsets
		}
	}
	return last
}

// batchAt is the base offset of the batch that holds a position of a segment; where there is none, of the last before it.
func batchAt(segment []byte, at int64) (offset int64) {
	for pos := int64(0); pos <= at; {
		b, _, err := record.Parse(segment[pos:])
		if err != nil {
			return offset
		}
		offset = b.BaseOffset()
		pos += int64(len(b))
	}
	return offset
}

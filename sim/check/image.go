package check

import (
	"fmt"
	"sort"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
)

// I15: the metadata image at an offset is the same on every node.

// imageHash is the hash of the image of everything below offset, as the first node that got there had it.
type imageHash struct {
	offset int64
	hash   int64
	node   int32
}

// imageHashes is sorted by offset.
type imageHashes []imageHash

func (s *State) onMetadataApplied(n *node, e *event.Event) {
	s.checkApplied(n, e)
	if e.Offset > s.truthEnd {
		s.truthEnd, s.truthFrom = e.Offset, n
	}
	i := n.applied
	if i >= len(s.images) || s.images[i].offset != e.Offset {
		i = sort.Search(len(s.images), func(i int) bool { return s.images[i].offset >= e.Offset })
	}
	n.applied = i + 1
	if i == len(s.images) || s.images[i].offset != e.Offset {
		s.images = append(s.images, imageHash{})
		copy(s.images[i+1:], s.images[i:])
		s.images[i] = imageHash{e.Offset, e.Len, n.id}
		return
	}
	if h := s.images[i]; h.hash != e.Len {
		s.violate("P4", "I15", s.did(n.id, fmt.Sprintf("applied the records below %d", e.Offset)), "nodes %d and %d have different metadata at offset %d (hashes %016x and %016x)",
			h.node, n.id, e.Offset, uint64(h.hash), uint64(e.Len))
	}
}

// checkApplied: only what is committed is applied. What was committed and lost as the configuration allows was.
func (s *State) checkApplied(n *node, e *event.Event) {
	c := &s.metadata.committed
	if e.Offset > c.end && c.end > 0 && c.isWhole(s.metadata) {
		s.violate("P4", "I15", s.did(n.id, fmt.Sprintf("applied the records below %d", e.Offset)), "node %d applied the metadata below %d, of which only what is below %d is committed",
			n.id, e.Offset, c.end)
	}
}

// refreshTruth takes the newest committed registrations.
func (s *State) refreshTruth() {
	img := s.in.Image(s.truthFrom.id)
	s.truthFrom = nil
	if img == nil {
		return
	}
	s.refreshEligibility(img)
	for _, p := range s.partitions {
		if p != s.metadata {
			s.refreshPartition(p, img)
		}
	}
}

func (s *State) refreshPartition(p *partition, img *metadata.Image) {
	reg := p.in(img)
	if reg == nil {
		p.deleted = p.deleted || p.truth.known
		p.truth.known = false
		return
	}
	s.name(p, reg.TopicID)
	t := &p.truth
	p.refreshTopic(s, img, reg)
	if t.known && t.partitionEpoch == reg.PartitionEpoch {
		return
	}
	if t.known && (reg.LeaderEpoch < t.leaderEpoch || reg.PartitionEpoch < t.partitionEpoch) {
		s.violate("P3", "I3", fmt.Sprintf("the metadata of offset %d said so at %s", img.Offset(), seconds(s.now)), "%s went back from leader epoch %d and partition epoch %d to %d and %d",
			p.id, t.leaderEpoch, t.partitionEpoch, reg.LeaderEpoch, reg.PartitionEpoch)
	}
	*t = truth{true, reg.Leader, reg.LeaderEpoch, reg.PartitionEpoch, append(t.isr[:0], reg.ISR...), s.now}
}

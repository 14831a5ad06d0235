package check

import (
	"fmt"
	"sort"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler"
)

// removalKind is how batches left a log.
type removalKind int8

const (
	truncated removalKind = iota // by the core
	killed                       // they were not written when the process died
	powerLost                    // they were not synced when the power failed
	wiped                        // with the whole disk
	damaged                      // their bytes were no longer theirs
)

// removal is one event that took batches from a replica's log.
type removal struct {
	seq         uint64
	t           scheduler.Instant
	node        int32
	incarnation int32
	kind        removalKind
	story       string
	batches     []int32
}

// remove notes that the batches from a slot on leave the log. The caller cuts the model.
func (s *State) remove(r *replica, slot int, kind removalKind, story string) {
	if slot >= len(r.slots) {
		return
	}
	m := removal{seq: s.seq, t: s.now, node: r.node.id, incarnation: r.node.incarnation, kind: kind, story: story}
	m.batches = make([]int32, 0, len(r.slots)-slot)
	for _, x := range r.slots[slot:] {
		m.batches = append(m.batches, x.batch)
	}
	r.part.removals = append(r.part.removals, m)
}

// truncationStory says why a replica truncates.
func (s *State) truncationStory(r *replica, e *event.Event) string {
	switch {
	case r.diverged.leader >= 0 && r.diverged.seq > 0 && r.diverged.offset >= 0:
		return fmt.Sprintf("truncated to %d as leader %d told it to", e.Offset, r.diverged.leader)
	case e.Offset == r.hw:
		return "truncated to its high watermark"
	}
	return fmt.Sprintf("truncated to %d", e.Offset)
}

func (m *removal) String() string {
	switch m.kind {
	case killed:
		return fmt.Sprintf("broker %d was killed and did not recover it at %s", m.node, seconds(m.t))
	case powerLost:
		return fmt.Sprintf("broker %d lost it with its power, found at %s", m.node, seconds(m.t))
	case wiped:
		return fmt.Sprintf("broker %d lost its disk at %s", m.node, seconds(m.t))
	case damaged:
		return fmt.Sprintf("broker %d lost it to damage on its disk, found at %s", m.node, seconds(m.t))
	}
	return fmt.Sprintf("broker %d %s at %s", m.node, m.story, seconds(m.t))
}

// lastRemoval is the last event that took a batch from a node, nil if none did or the node has it again.
func (s *State) lastRemoval(p *partition, node int32, id int32) *removal {
	if r := s.find(node, p); r != nil && r.holds(id) {
		return nil
	}
	for i := len(p.removals) - 1; i >= 0; i-- {
		if m := &p.removals[i]; m.node == node && m.took(p, id) {
			return m
		}
	}
	return nil
}

func (m *removal) took(p *partition, id int32) bool {
	base := p.batches[id].base
	i := sort.Search(len(m.batches), func(i int) bool { return p.batches[m.batches[i]].base >= base })
	return i < len(m.batches) && m.batches[i] == id
}

// did is an act of a node in the event that is judged.
func (s *State) did(node int32, what string) string {
	return fmt.Sprintf("broker %d %s at %s", node, what, seconds(s.now))
}

// lastEnd is how and when the node's process ended last, or that it never did.
func (n *node) lastEnd() string {
	switch {
	case n.ended == 0:
		return fmt.Sprintf("broker %d started at %s", n.id, seconds(n.began))
	case n.powerLoss:
		return fmt.Sprintf("broker %d lost its power at %s", n.id, seconds(n.ended))
	}
	return fmt.Sprintf("broker %d was killed or stopped at %s", n.id, seconds(n.ended))
}

// causeOfRemovalOr is the first event that took a batch from a replica, or another cause if none did.
func (s *State) causeOfRemovalOr(p *partition, id int32, other string) string {
	if cause := s.causeOfRemoval(p, id); cause != "" {
		return cause
	}
	return other
}

// causeOfLoss is the event that took a batch from where a leader should have it: from the leader itself, else the
// first that took it from anybody.
func (s *State) causeOfLoss(r *replica, id int32) string {
	if m := s.lastRemoval(r.part, r.node.id, id); m != nil {
		return m.String()
	}
	if cause := s.causeOfRemoval(r.part, id); cause != "" {
		return cause
	}
	return fmt.Sprintf("broker %d, which never had it, became leader in epoch %d at %s", r.node.id, r.epoch, seconds(s.now))
}

// causeOfRemoval is the first event that took a batch from a replica that has not got it back: a truncation rather
// than a crash. Empty if none did.
func (s *State) causeOfRemoval(p *partition, id int32) string {
	var first *removal
	for _, r := range p.replicas {
		m := s.lastRemoval(p, r.node.id, id)
		if m != nil && (first == nil || m.kind == truncated && first.kind != truncated || m.kind == first.kind && m.seq < first.seq) {
			first = m
		}
	}
	if first == nil {
		return ""
	}
	return first.String()
}

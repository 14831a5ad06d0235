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

// causeOfLoss is the event that took a batch from where a leader should have it: from the leader itself, else the
// first that took it from anybody.
func (s *State) causeOfLoss(r *replica, id int32) string {
	if m := s.lastRemoval(r.part, r.node.id, id); m != nil {
		return m.String()
	}
	if cause := s.causeOfRemoval(r.part, id); cause != "" {
		return cause
	}
	return fmt.Sprintf("broker %d became leader in epoch %d at %s without ever having had it", r.node.id, r.epoch, seconds(s.now))
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

// Reasons for losses that the configuration allows.
const (
	reasonUnclean = "unclean leader election"
	reasonLast    = "power loss, and every eligible replica shut down uncleanly (KIP-966)"
	reasonPower   = "power loss of as many replicas as min.insync.replicas, without fsync"
	reasonWiped   = "disks lost on as many replicas as min.insync.replicas"
)

// allowedLoss is why the leader of epoch may miss a committed batch, "" if it may not: the topic elects uncleanly and did, or as
// many replicas lost it with their disks' unsynced tails as its min.insync.replicas, so that none need be left.
func (s *State) allowedLoss(p *partition, id, committedIn, epoch int32) string {
	if p == s.metadata {
		return s.allowedMetadataLoss(id)
	}
	power, disks := s.copiesLost(p, id)
	for _, u := range p.unclean {
		switch since := u.epoch > committedIn && u.epoch <= epoch; {
		case since && p.topic.Unclean:
			return reasonUnclean
		case since && u.lastKnown && power > 0 && !p.topic.FlushEveryAppend:
			return reasonLast // KIP-966 cannot tell a kill from a power loss
		}
	}
	switch {
	case disks >= p.topic.minISR():
		return reasonWiped
	case power+disks >= p.topic.minISR() && !p.topic.FlushEveryAppend:
		return reasonPower
	}
	return ""
}

// copiesLost counts the replicas that had a batch, lost it with their power or their disk and have not got it back.
func (s *State) copiesLost(p *partition, id int32) (power, disks int) {
	for _, r := range p.replicas {
		m := s.lastRemoval(p, r.node.id, id)
		switch {
		case m != nil && m.kind == powerLost, r.crashed && r.powerLoss && s.isGoneFromDisk(r, id):
			power++
		case m != nil && m.kind == wiped:
			disks++
		}
	}
	return power, disks
}

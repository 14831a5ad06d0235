package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/scheduler"
)

// I6, eligible leader replicas (KIP-966): while the ISR is below min.insync.replicas nothing can be committed without those who
// left it, so they stay eligible, and only they. Who comes back from an unclean shutdown is neither in the ISR nor eligible until
// it has caught up: it may have lost what it had not synced.

// registration is a partition as a controller wrote it last.
type registration struct {
	known    bool
	writer   int32 // the controller, its incarnation, and its term: another one may know of less
	life     int32
	term     int32
	minISR   int
	setting  [2]string // min.insync.replicas of the topic and of the cluster: when one is changed, the ELR is forgotten (KIP-966)
	isr, elr []int32
}

// proposal is the ISR change that a leader asked for last.
type proposal struct {
	by int32
	t  scheduler.Instant
}

// refreshEligibility notes which incarnations are registered now, and whether eligible leaders were kept all the time.
func (s *State) refreshEligibility(img *metadata.Image) {
	s.lapsedELR = s.lapsedELR || !keepsELR(img) && hasPartitions(img)
	for _, n := range s.nodes {
		if n == nil || n.returned < 0 {
			continue
		}
		if b := img.Broker(n.id); b != nil && b.Epoch == n.returned {
			n.unclean, n.returned = false, none
		}
	}
}

// noteUnclean remembers of a process that dies that its next incarnation has to leave every ISR. One that never became a broker
// of the cluster, or that had begun to shut down, may look clean.
func (s *State) noteUnclean(n *node) {
	if n.registered < 0 || n.stopping {
		return
	}
	if img := s.newestImage(); img != nil {
		if b := img.Broker(n.id); b != nil && b.Epoch == n.registered {
			n.unclean, n.returned = true, n.registered
		}
	}
}

// onBrokerRegistered takes a registration that a controller wrote. That of an incarnation which is registered may come again, even when it is dead.
func (s *State) onBrokerRegistered(controller *node, e *event.Event) {
	b := s.node(e.Peer)
	if e.Offset == b.returned {
		return
	}
	b.registered, b.registeredAt = e.Offset, s.seq
	if b.unclean {
		b.returned = e.Offset
		s.returning = append(s.returning, b)
		s.controller = controller.id
	}
}

// checkReturning judges at the end of a turn who came back and who went in it.
func (s *State) checkReturning() {
	for _, n := range s.returning {
		s.checkReturned(n)
	}
	s.returning = s.returning[:0]
	s.checkDropped()
}

// checkReturned: an incarnation that follows an unclean shutdown is in no ISR and not eligible, at the end of the turn in which it was
// registered. Without an ELR the last member of an ISR stays, as the record of who has the data.
func (s *State) checkReturned(b *node) {
	img := s.in.ControllerImage(s.controller)
	if img == nil || !keepsELR(img) {
		return
	}
	img.Partitions(func(p *metadata.Partition) bool {
		if contains(p.ISR, b.id) || contains(p.ELR, b.id) {
			s.violate("P3", "I6", b.lastEnd(), "controller %d registered broker %d after an unclean shutdown and left it eligible to lead %s: ISR %v, ELR %v",
				s.controller, b.id, p.Key(), p.ISR, p.ELR)
		}
		return len(s.violations) == 0
	})
}

// checkELR judges what a controller wrote of a partition, and against what it had written before. note is the event's: "isr=1,2 elr=3".
func (s *State) checkELR(n *node, p *partition, partitionEpoch int32, note string) {
	img := s.in.ControllerImage(n.id)
	if img == nil || !keepsELR(img) {
		p.written = registration{}
		return
	}
	reg := p.in(img)
	if reg == nil {
		return
	}
	t := s.configured(img, p.id.Topic)
	t.RF = len(reg.Replicas)
	before := p.written
	isr, elr, _ := strings.Cut(note, " elr=")
	p.written = registration{true, n.id, n.incarnation, n.term, t.minISR(), minISRSetting(img, p.id.Topic), parseIDs(nil, isr), parseIDs(nil, elr)}
	cause := s.did(n.id, fmt.Sprintf("wrote partition epoch %d of %s", partitionEpoch, p.id))
	s.checkApart(n, p, reg, cause)
	if before.known && before.writer == n.id && before.life == n.incarnation && before.term == n.term && before.setting == p.written.setting {
		s.checkStillEligible(n, p, reg, &before, cause)
	}
}

func minISRSetting(img *metadata.Image, topic string) (s [2]string) {
	s[0], _ = img.ConfigValue(metadata.ResourceTopic, topic, keyMinISR)
	s[1], _ = img.ConfigValue(metadata.ResourceBroker, "", keyMinISR)
	return s
}

// checkApart: who is eligible is a replica, and not in the ISR.
func (s *State) checkApart(n *node, p *partition, reg *metadata.Partition, cause string) {
	for _, id := range p.written.elr {
		switch {
		case contains(p.written.isr, id):
			s.violate("P3", "I6", cause, "controller %d put broker %d in both the ISR %v and the ELR %v of %s", n.id, id, p.written.isr, p.written.elr, p.id)
		case !reg.HasReplica(id):
			s.violate("P3", "I6", cause, "controller %d put broker %d, which has no replica, in the ELR of %s", n.id, id, p.id)
		}
	}
}

// checkStillEligible: with min.insync.replicas in sync nobody else is eligible; with fewer, nobody who was safe is dropped. Why
// somebody may be, shows at the end of the turn.
func (s *State) checkStillEligible(n *node, p *partition, reg *metadata.Partition, before *registration, cause string) {
	now := &p.written
	if len(now.isr) >= now.minISR {
		if len(now.elr) > 0 {
			s.violate("P3", "I6", cause, "controller %d kept the ELR %v of %s, though its ISR %v has min.insync.replicas %d", n.id, now.elr, p.id, now.isr, now.minISR)
		}
		return
	}
	if p.electedUncleanly(reg.LeaderEpoch) {
		return
	}
	for _, id := range slices.Concat(before.isr, before.elr) {
		if !contains(now.isr, id) && !contains(now.elr, id) && reg.HasReplica(id) {
			text := fmt.Sprintf("controller %d no longer knows broker %d, which was in ISR %v and ELR %v of %s, as eligible, though the ISR %v is below min.insync.replicas %d",
				n.id, id, before.isr, before.elr, p.id, now.isr, now.minISR)
			s.dropped = append(s.dropped, dropped{n.id, id, s.seq, text, cause})
		}
	}
}

// dropped is a broker that a controller took from those eligible to lead.
type dropped struct {
	controller, broker int32
	seq                uint64
	text, cause        string
}

// checkDropped: only an unclean shutdown takes a safe broker's eligibility, which the registration of the next incarnation in the same turn
// tells of, or an operator who has it forgotten.
func (s *State) checkDropped() {
	for _, d := range s.dropped {
		img := s.in.ControllerImage(d.controller)
		if img == nil || img.Broker(d.broker) == nil || s.node(d.broker).registeredAt >= d.seq {
			continue
		}
		s.violate("P1", "I6", d.cause, "%s", d.text)
	}
	s.dropped = s.dropped[:0]
}

// wrote is the act of the controller that is judged.
func (s *State) wrote(reg *metadata.Partition) string {
	return s.did(s.controller, fmt.Sprintf("wrote partition epoch %d of %s", reg.PartitionEpoch, reg.Key()))
}

// electedUncleanly reports whether the leader of an epoch was elected with leave to lose records.
func (p *partition) electedUncleanly(epoch int32) bool {
	return slices.ContainsFunc(p.unclean, func(u uncleanElection) bool { return u.allowed && u.epoch == epoch })
}

package controller

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
)

// checkPromises checks I6 and what goes with it on what has committed.
func (w *world) checkPromises(elr bool, before *metadata.Image) {
	w.committed.Partitions(func(p *metadata.Partition) bool {
		for _, id := range p.ISR {
			if b := w.committed.Broker(id); (b == nil || !b.Active()) && (elr || len(p.ISR) > 1) {
				w.t.Fatalf("%v: %d is in the ISR %v and not active", p.Key(), id, p.ISR)
			}
		}
		old := before.TopicByID(p.TopicID)
		switch {
		case p.Leader >= 0 && !slices.Contains(p.ISR, p.Leader):
			w.t.Fatalf("%v: leader %d is not in the ISR %v", p.Key(), p.Leader, p.ISR)
		case p.Leader >= 0 && !w.committed.Broker(p.Leader).Active():
			w.t.Fatalf("%v: leader %d is not active", p.Key(), p.Leader)
		case len(p.ISR) == 0 && !elr:
			w.t.Fatalf("%v: the ISR is empty without ELR", p.Key())
		case slices.ContainsFunc(p.ELR, func(id int32) bool { return slices.Contains(p.ISR, id) }):
			w.t.Fatalf("%v: ISR %v and ELR %v overlap", p.Key(), p.ISR, p.ELR)
		case len(p.ISR) >= min(2, len(p.Replicas)) && len(p.ELR) > 0:
			w.t.Fatalf("%v: ELR %v beside the full ISR %v", p.Key(), p.ELR, p.ISR)
		case slices.ContainsFunc(slices.Concat(p.ISR, p.ELR, p.Adding, p.Removing), func(id int32) bool { return !p.HasReplica(id) }):
			w.t.Fatalf("%v: %+v names one that has no replica", p.Key(), p)
		case len(assignmentOf(p).aim()) == 0 || len(p.Replicas) != len(slices.Compact(slices.Sorted(slices.Values(p.Replicas)))):
			w.t.Fatalf("%v: replicas %v removing %v", p.Key(), p.Replicas, p.Removing)
		case p.Leader < 0 && slices.ContainsFunc(p.ELR, func(id int32) bool { b := w.committed.Broker(id); return b != nil && b.Active() && len(p.ISR) == 0 }):
			w.t.Fatalf("%v: no leader, and one of the ELR %v is active", p.Key(), p.ELR)
		case old != nil && old.Partition(p.Index) != nil:
			w.checkEpochs(old.Partition(p.Index), p)
		}
		return true
	})
}

func (w *world) checkEpochs(old, p *metadata.Partition) {
	switch {
	case p.LeaderEpoch < old.LeaderEpoch || p.PartitionEpoch < old.PartitionEpoch:
		w.t.Fatalf("%v: epochs went back", p.Key())
	case p.Leader != old.Leader && p.LeaderEpoch == old.LeaderEpoch:
		w.t.Fatalf("%v: two leaders in epoch %d", p.Key(), p.LeaderEpoch)
	case p.Recovering && !old.Recovering && w.count(event.UncleanElection) == 0:
		w.t.Fatalf("%v: recovering without an unclean election", p.Key())
	}
}

func TestWhateverHappensTheControllerKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		elr := rapid.Bool().Draw(t, "elr")
		w := newWorld(t, func(c *Config) {
			if !elr {
				c.Features = DefaultFeatures[:1]
			}
		})
		w.up(1, 2, 3)
		w.topicOf("a", []int32{1, 2, 3}, []int32{2, 3, 1})
		w.topic("b", 3)
		incarnation, epoch := byte(0), int32(1)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			before := w.committed.Clone()
			id := rapid.Int32Range(1, 3).Draw(t, "id")
			switch rapid.IntRange(0, 8).Draw(t, "what") {
			case 0, 1:
				w.heartbeat(id)
			case 2:
				w.heartbeat(id, wantShutdown)
			case 3:
				w.loop.advance(time.Duration(rapid.IntRange(1, 10).Draw(t, "seconds")) * time.Second)
				w.commit()
			case 4:
				incarnation++
				req := registration(id, incarnation)
				if rapid.Bool().Draw(t, "clean") {
					req.PreviousBrokerEpoch = w.epochs[id]
				}
				if resp := got(w, w.RegisterBroker, req); resp.ErrorCode == 0 {
					w.epochs[id] = resp.BrokerEpoch
				}
			case 5:
				if w.partition("a").Leader >= 0 {
					w.alter("a", rapid.Permutation([]int32{1, 2, 3}).Draw(t, "isr")[:rapid.IntRange(1, 3).Draw(t, "size")])
				}
			case 6:
				w.RegisterBroker(registration(4, incarnation), func(*kmsg.BrokerRegistrationResponse) {}) // lost with the epoch
				epoch += 2
				w.failOver(epoch)
			case 7:
				topic := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "topic")
				w.setConfig(kmsg.ConfigResourceTypeTopic, topic, keyUncleanElection, kmsg.IncrementalAlterConfigOpSet, rapid.SampledFrom([]string{"true", "false"}).Draw(t, "unclean"))
			case 8:
				target := rapid.Permutation([]int32{1, 2, 3}).Draw(t, "target")[:rapid.IntRange(0, 3).Draw(t, "factor")]
				if len(target) == 0 {
					target = nil
				}
				w.reassign("a", target)
			}
			w.checkPromises(elr, before)
		}
	})
}

package check

import (
	"testing"

	"github.com/lockstep/lockstep/core/controller"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/storage"
)

// withELR is an image in which eligible leader replicas are kept, with those of the partition. Who is in neither list is fenced.
func (f *fake) withELR(leader, partitionEpoch int32, isr, elr []int32) *metadata.Image {
	img := f.image(leader, 0, partitionEpoch, isr...)
	f.must(img.Apply(&metadata.FeatureLevelRecord{Name: controller.FeatureELR, FeatureLevel: 1}))
	for _, id := range f.Nodes() {
		if !contains(isr, id) {
			f.must(img.Apply(&metadata.RegisterBrokerRecord{BrokerID: id, BrokerEpoch: int64(id), Fenced: true}))
		}
	}
	for index := range orders.Index + 1 {
		change := metadata.NewPartitionChange(ordersID, index)
		change.EligibleLeaderReplicas = elr
		f.must(img.Apply(change))
	}
	return img
}

func TestEligibleLeadersBelowMinISRAreSilent(t *testing.T) {
	f := cluster(t, safe)
	f.changed(f.withELR(1, 1, []int32{1, 2, 3}, nil))
	f.changed(f.withELR(1, 2, []int32{1, 2}, nil))
	f.changed(f.withELR(1, 3, []int32{1}, []int32{2}))
	f.changed(f.withELR(-1, 4, nil, []int32{1, 2}))
	f.changed(f.withELR(1, 5, []int32{1}, []int32{2}))
	f.changed(f.withELR(1, 6, []int32{1, 2}, nil))
	f.silent()
}

func TestELRViolationsFire(t *testing.T) {
	for _, c := range []struct {
		name, promise, words string
		isr, elr             []int32
	}{
		{"in both", "P3", "put broker 1 in both the ISR [1] and the ELR [1 2]", []int32{1}, []int32{1, 2}},
		{"with enough in sync", "P3", "kept the ELR [3] of orders-2, though its ISR [1 2] has min.insync.replicas 2", []int32{1, 2}, []int32{3}},
		{"dropped", "P1", "no longer knows broker 2, which was in ISR [1 2] and ELR [] of orders-2", []int32{1}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := cluster(t, safe)
			f.changed(f.withELR(1, 1, []int32{1, 2}, nil))
			f.changed(f.withELR(1, 2, c.isr, c.elr))
			f.fires("I6", c.promise, c.words, "controller") // and what it wrote
		})
	}
}

// What a controller wrote last before it was deposed need not have been committed. Within its next term it is held to its word again.
func TestANextTermMayKnowLessThanTheLastOneWrote(t *testing.T) {
	f := cluster(t, safe)
	active := func(epoch int32) {
		f.emit(1, event.Event{Kind: event.ControllerActive, Peer: -1, Epoch: epoch, Offset: -1})
	}
	active(1)
	f.changed(f.withELR(1, 1, []int32{1, 2}, nil))
	active(3)
	f.changed(f.withELR(1, 2, []int32{1}, nil))
	f.changed(f.withELR(1, 3, []int32{1, 2}, nil))
	f.silent()
	f.changed(f.withELR(1, 4, []int32{1}, nil))
	f.fires("I6", "P1", "no longer knows broker 2, which was in ISR [1 2] and ELR [] of orders-2", "controller")
}

// KIP-966 has a change of min.insync.replicas forget the ELR, also where the old value is back before anything else is written.
func TestAChangeOfMinISRForgetsTheELR(t *testing.T) {
	for _, resource := range []metadata.ConfigRecord{{ResourceType: metadata.ResourceTopic, ResourceName: orders.Topic}, {ResourceType: metadata.ResourceBroker}} {
		f := cluster(t, safe)
		f.changed(f.withELR(1, 1, []int32{1}, []int32{2}))
		for epoch, value := range []string{"3", "2"} {
			img := f.withELR(1, int32(epoch)+2, []int32{1}, nil)
			record := resource
			record.Name, record.Value = keyMinISR, &value
			f.must(img.Apply(&record))
			f.changed(img)
		}
		f.silent()
	}
}

// Another change of the topic, or one of another topic, is no reason.
func TestAnotherChangeOfConfigForgetsNoELR(t *testing.T) {
	for topic, key := range map[string]string{orders.Topic: keyFlushMessages, "other": keyMinISR} {
		f := cluster(t, safe)
		f.changed(f.withELR(1, 1, []int32{1}, []int32{2}))
		img, value := f.withELR(1, 2, []int32{1}, nil), "1"
		f.must(img.Apply(&metadata.ConfigRecord{ResourceType: metadata.ResourceTopic, ResourceName: topic, Name: key, Value: &value}))
		f.changed(img)
		f.fires("I6", "P1", "no longer knows broker 2, which was in ISR [1] and ELR [2] of orders-2")
	}
}

// registered has controller 1 write a registration.
func (f *fake) registered(id int32, epoch int64, img *metadata.Image) {
	f.writer[1] = img
	f.emit(1, event.Event{Kind: event.BrokerRegistered, Peer: id, Epoch: -1, Offset: epoch})
	f.turn()
}

func TestWhoComesBackFromAnUncleanShutdownIsNotEligible(t *testing.T) { // KIP-966, M17
	for name, isr := range map[string][]int32{"ISR": {1, 2}, "ELR": {1}} {
		t.Run(name, func(t *testing.T) {
			f := cluster(t, safe)
			f.registered(2, 2, f.withELR(1, 1, []int32{1, 2}, nil))
			f.crash(2, false, 3)
			elr := []int32{2}
			if name == "ISR" {
				elr = nil
			}
			f.registered(2, 90, f.withELR(1, 2, isr, elr))
			f.fires("I6", "P3", "registered broker 2 after an unclean shutdown and left it eligible to lead orders-0", "broker 2 was killed or stopped at")
		})
	}
}

func TestWhoComesBackFromACleanShutdownStaysEligible(t *testing.T) {
	f := cluster(t, safe)
	f.registered(2, 2, f.withELR(1, 1, []int32{1, 2}, nil))
	f.emit(2, event.Event{Kind: event.NodeStopping})
	f.crash(2, false, 3)
	f.registered(2, 90, f.withELR(1, 2, []int32{1}, []int32{2}))
	f.silent()
}

func TestLossWithEligibleLeadersNeedsALastResort(t *testing.T) {
	for name, topic := range map[string]Topic{reasonLast: safe, reasonAlone: {RF: 3, MinISR: 1}, "": safe} {
		f := newFake(t, topic)
		f.elr = true
		clusterWith(f)
		for _, id := range []int32{2, 3} {
			f.crash(id, true, 1)
			f.restart(id, 1, storage.EpochEntry{Epoch: 0, Start: 0})
		}
		if name != "" {
			f.emit(1, event.Event{Kind: event.UncleanElection, Partition: orders, Peer: 2, Epoch: 1, Note: "last known leader"})
		}
		f.elect(2, 1, 2, 3)
		if name == "" {
			f.fires("I1", "P1", "record orders-2@1", "broker 2 lost it with its power")
			continue
		}
		f.silent()
		if l := f.s.Losses(); len(l) != 1 || l[0] != (Loss{name, 2}) {
			t.Errorf("losses %v", l)
		}
	}
}

func TestHighWatermarkWaitsForWhomTheLeaderAskedFor(t *testing.T) { // KIP-497's maximal ISR
	f := cluster(t, safe)
	f.register(1, 0, 2, 1, 2)
	f.emit(1, event.Event{Kind: event.IsrCommitted, Partition: orders, Note: "1,2", Offset: 2})
	f.emit(1, event.Event{Kind: event.IsrProposed, Partition: orders, Note: "1,2,3"})
	f.append(write(0, 3, "m3"), 1, 2)
	f.commit(0, 4, 1)
	f.fires("I5", "P1", "but broker 3 of the ISR has the leader's log only up to 3", "broker 1 moved its high watermark to 4")
}

func TestHighWatermarkDoesNotWaitForWhomTheControllerRefused(t *testing.T) {
	f := cluster(t, safe)
	f.register(1, 0, 2, 1, 2)
	f.emit(1, event.Event{Kind: event.IsrProposed, Partition: orders, Note: "1,2,3"})
	f.emit(1, event.Event{Kind: event.IsrRejected, Partition: orders})
	f.append(write(0, 3, "m3"), 1, 2)
	f.commit(0, 4, 1)
	f.silent()
}

// configure has everybody know of a setting of the topic.
func (f *fake) configure(key, value string, nodes ...int32) {
	img := f.image(1, 0, 1, 1, 2, 3)
	f.must(img.Apply(&metadata.ConfigRecord{ResourceType: metadata.ResourceTopic, ResourceName: orders.Topic, Name: key, Value: &value}))
	for _, id := range nodes {
		f.images[id] = img
		f.emit(id, event.Event{Kind: event.MetadataApplied, Epoch: -1, Peer: -1, Offset: img.Offset(), Len: int64(img.Hash())})
	}
	f.turn()
}

func TestMinISRFollowsTheMetadata(t *testing.T) {
	alone := func(f *fake) {
		f.emit(1, event.Event{Kind: event.IsrCommitted, Partition: orders, Note: "1", Offset: 2})
		f.append(write(0, 3, "m3"), 1, 2, 3)
		f.commit(0, 4, 1)
	}
	f := cluster(t, safe)
	f.configure(keyMinISR, "1", 1, 2, 3)
	alone(f)
	f.silent()

	f = cluster(t, Topic{RF: 3, MinISR: 1})
	f.configure(keyMinISR, "2", 2, 3)
	alone(f) // leader 1 does not know yet
	f.silent()

	f = cluster(t, Topic{RF: 3, MinISR: 1})
	f.configure(keyMinISR, "2", 1, 2, 3)
	alone(f)
	f.fires("I5", "P1", "ISR of 1, below min.insync.replicas 2")
}

func TestUncleanElectionIsAllowedByWhatTheControllerKnows(t *testing.T) {
	f := cluster(t, safe)
	on := "true"
	img := f.image(1, 0, 1, 1, 2, 3)
	f.must(img.Apply(&metadata.ConfigRecord{ResourceType: metadata.ResourceTopic, ResourceName: orders.Topic, Name: keyUnclean, Value: &on}))
	f.writer[1] = img
	f.emit(1, event.Event{Kind: event.UncleanElection, Partition: orders, Peer: 2, Epoch: 1})
	f.silent()
}

package metadata

import (
	"cmp"
	"slices"

	"github.com/lockstep/lockstep/core/event"
)

// Delta is what a run of records, or a snapshot, touched. All lists are sorted and without
// duplicates. What became of a thing is in the image: it may be gone.
type Delta struct {
	Topics      []string          // created, deleted, or with a partition in Partitions
	Deleted     []TopicRef        // topics that went, by name; one of the same name may exist anew
	Partitions  []event.Partition // created, changed or deleted
	Created     []event.Partition // those that exist since, perhaps of a topic whose name another had before
	Brokers     []int32           // registered, changed or unregistered
	Configs     []ResourceKey     // resources of which a config was set or deleted
	Features    bool              // a finalized feature changed
	Quotas      bool              // a client quota changed
	ProducerIDs bool              // a block of producer ids was handed out
	Snapshot    bool              // the image was replaced; the lists are its difference to the old one
}

// TopicRef is one incarnation of a topic.
type TopicRef struct {
	Name string
	ID   [16]byte
}

// IsEmpty reports whether nothing was touched.
func (d *Delta) IsEmpty() bool {
	return len(d.Topics)+len(d.Partitions)+len(d.Brokers)+len(d.Configs) == 0 && !d.Features && !d.Quotas && !d.ProducerIDs && !d.Snapshot
}

// note adds what a record is about to touch in img.
func (d *Delta) note(img *Image, r Record) {
	switch r := r.(type) {
	case *TopicRecord:
		d.Topics = append(d.Topics, r.Name)
	case *PartitionRecord:
		d.noteCreated(img, r.TopicID, r.PartitionID)
	case *PartitionChangeRecord:
		d.notePartition(img, r.TopicID, r.PartitionID)
	case *RemoveTopicRecord:
		if t := img.TopicByID(r.TopicID); t != nil {
			d.noteDeleted(img, t)
		}
	case *ClearElrRecord:
		d.noteElr(img, r.TopicName)
	case *ConfigRecord:
		d.Configs = append(d.Configs, ResourceKey{r.ResourceType, r.ResourceName})
	case *FeatureLevelRecord:
		d.Features = true
	case *ClientQuotaRecord:
		d.Quotas = true
	case *ProducerIdsRecord:
		d.ProducerIDs = true
	default:
		d.noteBroker(r)
	}
}

func (d *Delta) noteBroker(r Record) {
	switch r := r.(type) {
	case *RegisterBrokerRecord:
		d.Brokers = append(d.Brokers, r.BrokerID)
	case *UnregisterBrokerRecord:
		d.Brokers = append(d.Brokers, r.BrokerID)
	case *FenceBrokerRecord:
		d.Brokers = append(d.Brokers, r.ID)
	case *UnfenceBrokerRecord:
		d.Brokers = append(d.Brokers, r.ID)
	case *BrokerRegistrationChangeRecord:
		d.Brokers = append(d.Brokers, r.BrokerID)
	}
}

func (d *Delta) notePartition(img *Image, topicID [16]byte, index int32) {
	if t := img.TopicByID(topicID); t != nil {
		d.Topics = append(d.Topics, t.Name)
		d.Partitions = append(d.Partitions, event.Partition{Topic: t.Name, Index: index})
	}
}

func (d *Delta) noteCreated(img *Image, topicID [16]byte, index int32) {
	if t := img.TopicByID(topicID); t != nil {
		d.notePartition(img, topicID, index)
		d.Created = append(d.Created, event.Partition{Topic: t.Name, Index: index})
	}
}

func (d *Delta) noteDeleted(img *Image, t *Topic) {
	d.Topics = append(d.Topics, t.Name)
	d.Deleted = append(d.Deleted, TopicRef{t.Name, t.ID})
	for _, p := range t.Partitions {
		d.Partitions = append(d.Partitions, p.Key())
	}
	if img.Config(ResourceTopic, t.Name) != nil {
		d.Configs = append(d.Configs, ResourceKey{ResourceTopic, t.Name})
	}
}

func (d *Delta) noteElr(img *Image, topic string) {
	img.Partitions(func(p *Partition) bool {
		if (topic == "" || topic == p.Topic) && len(p.ELR)+len(p.LastKnownELR) > 0 {
			d.notePartition(img, p.TopicID, p.Index)
		}
		return true
	})
}

// finish sorts the lists and drops duplicates.
func (d *Delta) finish() {
	d.Topics = sorted(d.Topics, cmp.Compare[string])
	d.Deleted = sorted(d.Deleted, func(a, b TopicRef) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.ID[:], b.ID[:]))
	})
	d.Partitions = sorted(d.Partitions, event.Partition.Compare)
	d.Created = sorted(d.Created, event.Partition.Compare)
	d.Brokers = sorted(d.Brokers, cmp.Compare[int32])
	d.Configs = sorted(d.Configs, ResourceKey.Compare)
}

func sorted[T comparable](a []T, compare func(a, b T) int) []T {
	slices.SortFunc(a, compare)
	return slices.Compact(a)
}

// difference is the delta that leads from one image to another.
func difference(from, to *Image) *Delta {
	d := &Delta{Snapshot: true, ProducerIDs: from.producerIDs != to.producerIDs, Quotas: true}
	d.diffTopics(from, to)
	d.diffBrokers(from, to)
	d.diffBrokers(to, from)
	d.diffConfigs(from, to)
	d.diffConfigs(to, from)
	d.diffFeatures(from, to)
	d.diffFeatures(to, from)
	d.finish()
	return d
}

func (d *Delta) diffTopics(from, to *Image) {
	from.topics.Ascend(func(t *Topic) bool {
		if to.TopicByID(t.ID) == nil {
			d.noteDeleted(from, t)
		}
		return true
	})
	to.topics.Ascend(func(t *Topic) bool {
		old := from.TopicByID(t.ID)
		if old == nil {
			d.Topics = append(d.Topics, t.Name)
		}
		for _, p := range t.Partitions {
			if old == nil || old.Partition(p.Index) == nil {
				d.noteCreated(to, t.ID, p.Index)
			} else if old.Partition(p.Index).hash != p.hash {
				d.notePartition(to, t.ID, p.Index)
			}
		}
		return true
	})
}

func (d *Delta) diffBrokers(a, b *Image) {
	a.brokers.Ascend(func(x *Broker) bool {
		if y := b.Broker(x.ID); y == nil || y.hash != x.hash {
			d.Brokers = append(d.Brokers, x.ID)
		}
		return true
	})
}

func (d *Delta) diffConfigs(a, b *Image) {
	a.configs.Ascend(func(x *ConfigResource) bool {
		if y := b.configResource(x.Type, x.Name); y == nil || !slices.Equal(x.Entries, y.Entries) {
			d.Configs = append(d.Configs, x.key())
		}
		return true
	})
}

func (d *Delta) diffFeatures(a, b *Image) {
	a.features.Ascend(func(f Feature) bool {
		d.Features = d.Features || b.Feature(f.Name) != f.Level
		return true
	})
}

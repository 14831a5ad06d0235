package metadata

import (
	"errors"
	"fmt"
	"slices"
)

// ErrInconsistent is wrapped by errors of Apply: the record does not fit the image.
var ErrInconsistent = errors.New("metadata: record does not fit the image")

// Apply replays one record. The image keeps what the record holds: do not change it afterwards. An
// error leaves the image as it was.
//
// Values handed out since the last Clone or publish may be changed in place; Clone to keep them.
func (i *Image) Apply(r Record) error {
	switch r := r.(type) {
	case *TopicRecord:
		return i.applyTopic(r)
	case *PartitionRecord:
		return i.applyPartition(r)
	case *PartitionChangeRecord:
		return i.applyPartitionChange(r)
	case *RemoveTopicRecord:
		return i.applyRemoveTopic(r)
	case *ClearElrRecord:
		return i.applyClearElr(r)
	case *ConfigRecord:
		i.applyConfig(r)
	case *ClientQuotaRecord:
		i.applyClientQuota(r)
	case *UserScramCredentialRecord:
		i.applyScram(r)
	case *RemoveUserScramCredentialRecord:
		return i.applyRemoveScram(r)
	case *FeatureLevelRecord:
		i.applyFeature(r)
	case *ProducerIdsRecord:
		i.applyProducerIDs(r)
	case *OpaqueRecord:
		i.opaque = append(slices.Clip(i.opaque), r)
		i.hash += i.hashOpaque(len(i.opaque)-1, r)
	case *NoOpRecord, *BeginTransactionRecord, *EndTransactionRecord, *AbortTransactionRecord:
	default:
		return i.applyNode(r)
	}
	return nil
}

func (i *Image) hashOpaque(n int, r *OpaqueRecord) uint64 {
	return hashBytes(uint64(n)<<16|0xffff, r.Raw)
}

// applyNode replays the records of brokers and controllers.
func (i *Image) applyNode(r Record) error {
	switch r := r.(type) {
	case *RegisterBrokerRecord:
		i.putBroker(newBroker(r))
		return nil
	case *UnregisterBrokerRecord:
		return i.applyUnregister(r)
	case *FenceBrokerRecord:
		return i.changeBroker(r.ID, r.Epoch, func(b *Broker) { b.Fenced = true })
	case *UnfenceBrokerRecord:
		return i.changeBroker(r.ID, r.Epoch, func(b *Broker) { b.Fenced = false })
	case *BrokerRegistrationChangeRecord:
		return i.changeBroker(r.BrokerID, r.BrokerEpoch, func(b *Broker) { b.change(r) })
	case *RegisterControllerRecord:
		i.applyController(r)
		return nil
	}
	return fmt.Errorf("%w: key %d", ErrInconsistent, r.Key())
}

func (i *Image) putBroker(b *Broker) {
	b.hash = i.hashRecord(b.Record())
	if old, ok := i.brokers.ReplaceOrInsert(b); ok {
		i.hash -= old.hash
	}
	i.hash += b.hash
}

func (i *Image) applyUnregister(r *UnregisterBrokerRecord) error {
	old, err := i.brokerOf(r.BrokerID, r.BrokerEpoch)
	if err != nil {
		return err
	}
	i.brokers.Delete(old)
	i.hash -= old.hash
	return nil
}

func (i *Image) changeBroker(id int32, epoch int64, change func(*Broker)) error {
	old, err := i.brokerOf(id, epoch)
	if err != nil {
		return err
	}
	b := *old
	change(&b)
	i.putBroker(&b)
	return nil
}

func (i *Image) brokerOf(id int32, epoch int64) (*Broker, error) {
	b := i.Broker(id)
	if b == nil || b.Epoch != epoch {
		return nil, fmt.Errorf("%w: no broker %d with epoch %d", ErrInconsistent, id, epoch)
	}
	return b, nil
}

func (b *Broker) change(r *BrokerRegistrationChangeRecord) {
	if r.Fenced != NoChange {
		b.Fenced = r.Fenced == Fence
	}
	if r.InControlledShutdown == EnterShutdown {
		b.InControlledShutdown = true
	}
	if len(r.LogDirs) > 0 {
		b.Dirs = r.LogDirs
	}
	if r.CordonedLogDirs != nil {
		b.CordonedDirs = r.CordonedLogDirs
	}
}

func (i *Image) applyController(r *RegisterControllerRecord) {
	c := &Controller{
		ID: r.ControllerID, IncarnationID: r.IncarnationID, zkReady: r.ZkMigrationReady,
		Endpoints: r.EndPoints, Features: r.Features,
	}
	c.hash = i.hashRecord(r)
	if old, ok := i.controllers.ReplaceOrInsert(c); ok {
		i.hash -= old.hash
	}
	i.hash += c.hash
}

func (i *Image) applyTopic(r *TopicRecord) error {
	if i.Topic(r.Name) != nil || i.TopicByID(r.TopicID) != nil {
		return fmt.Errorf("%w: topic %q exists", ErrInconsistent, r.Name)
	}
	t := &Topic{Name: r.Name, ID: r.TopicID, owner: i.owner, hash: i.hashRecord(r)}
	i.putTopic(t)
	i.hash += t.hash
	return nil
}

func (i *Image) putTopic(t *Topic) {
	i.topics.ReplaceOrInsert(t)
	i.topicIDs.ReplaceOrInsert(t)
}

// ownTopic returns the topic as a value that may be changed: a copy unless this image made it since
// the last freeze. Without it the loss of a broker would copy the list of a topic's partitions once
// per partition.
func (i *Image) ownTopic(t *Topic) *Topic {
	if t.owner == i.owner {
		return t
	}
	c := *t
	c.Partitions, c.owner = slices.Clone(t.Partitions), i.owner
	i.putTopic(&c)
	return &c
}

func (i *Image) applyPartition(r *PartitionRecord) error {
	t := i.TopicByID(r.TopicID)
	switch {
	case t == nil:
		return fmt.Errorf("%w: partition of unknown topic id %x", ErrInconsistent, r.TopicID)
	case r.PartitionID < 0 || int(r.PartitionID) > len(t.Partitions):
		return fmt.Errorf("%w: partition %d of %q leaves a gap", ErrInconsistent, r.PartitionID, t.Name)
	case len(r.Directories) > 0 && len(r.Directories) != len(r.Replicas):
		return fmt.Errorf("%w: %d directories for %d replicas", ErrInconsistent, len(r.Directories), len(r.Replicas))
	}
	i.putPartition(t, newPartition(t.Name, r))
	return nil
}

func (i *Image) putPartition(t *Topic, p *Partition) {
	t = i.ownTopic(t)
	p.hash = i.hashRecord(p.Record())
	if int(p.Index) == len(t.Partitions) {
		t.Partitions = append(t.Partitions, p)
	} else {
		i.hash -= t.Partitions[p.Index].hash
		t.Partitions[p.Index] = p
	}
	i.hash += p.hash
}

func (i *Image) applyPartitionChange(r *PartitionChangeRecord) error {
	t := i.TopicByID(r.TopicID)
	if t == nil || t.Partition(r.PartitionID) == nil {
		return fmt.Errorf("%w: change of unknown partition %x-%d", ErrInconsistent, r.TopicID, r.PartitionID)
	}
	p := t.Partition(r.PartitionID).merge(r)
	if len(p.Dirs) != len(p.Replicas) {
		return fmt.Errorf("%w: %d directories for %d replicas", ErrInconsistent, len(p.Dirs), len(p.Replicas))
	}
	i.putPartition(t, p)
	return nil
}

// applyRemoveTopic removes the topic's configs too, as Kafka does.
func (i *Image) applyRemoveTopic(r *RemoveTopicRecord) error {
	t := i.TopicByID(r.TopicID)
	if t == nil {
		return fmt.Errorf("%w: remove of unknown topic id %x", ErrInconsistent, r.TopicID)
	}
	i.topics.Delete(t)
	i.topicIDs.Delete(t)
	i.hash -= t.hash
	for _, p := range t.Partitions {
		i.hash -= p.hash
	}
	if c := i.configResource(ResourceTopic, t.Name); c != nil {
		i.configs.Delete(c)
		i.hash -= c.hash
	}
	return nil
}

func (i *Image) applyClearElr(r *ClearElrRecord) error {
	if r.TopicName != "" {
		t := i.Topic(r.TopicName)
		if t == nil {
			return fmt.Errorf("%w: clear ELR of unknown topic %q", ErrInconsistent, r.TopicName)
		}
		i.clearElr(t)
		return nil
	}
	var all []*Topic
	i.topics.Ascend(func(t *Topic) bool { all = append(all, t); return true })
	for _, t := range all {
		i.clearElr(t)
	}
	return nil
}

func (i *Image) clearElr(t *Topic) {
	for n := range t.Partitions {
		p := t.Partitions[n]
		if len(p.ELR) == 0 && len(p.LastKnownELR) == 0 {
			continue
		}
		c := NewPartitionChange(t.ID, p.Index)
		c.EligibleLeaderReplicas, c.LastKnownElr = []int32{}, []int32{}
		i.putPartition(t, p.merge(c))
		t = i.TopicByID(t.ID)
	}
}

func (i *Image) applyConfig(r *ConfigRecord) {
	old := i.configResource(r.ResourceType, r.ResourceName)
	if old == nil {
		old = &ConfigResource{Type: r.ResourceType, Name: r.ResourceName}
	}
	c := old.with(r.Name, r.Value)
	c.hash = i.hashConfig(c)
	i.hash += c.hash - old.hash
	if len(c.Entries) > 0 {
		i.configs.ReplaceOrInsert(c)
	} else {
		i.configs.Delete(c)
	}
}

func (i *Image) applyFeature(r *FeatureLevelRecord) {
	old := Feature{r.Name, i.Feature(r.Name)}
	if old.Level != 0 {
		i.hash -= i.hashRecord(&FeatureLevelRecord{old.Name, old.Level})
		i.features.Delete(old)
	}
	if r.FeatureLevel != 0 {
		i.hash += i.hashRecord(r)
		i.features.ReplaceOrInsert(Feature{r.Name, r.FeatureLevel})
	}
}

func (i *Image) applyProducerIDs(r *ProducerIdsRecord) {
	if i.producerIDs != (ProducerIdsRecord{}) {
		i.hash -= i.hashRecord(&i.producerIDs)
	}
	i.producerIDs = *r
	if i.producerIDs != (ProducerIdsRecord{}) {
		i.hash += i.hashRecord(&i.producerIDs)
	}
}

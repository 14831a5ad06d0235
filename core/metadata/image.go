package metadata

import (
	"bytes"
	"strings"

	"github.com/google/btree"

	"github.com/lockstep/lockstep/core/event"
)

// degree of the trees: nodes of up to 31 pointers.
const degree = 16

// Image is the cluster at one offset of the metadata log.
//
// Trees are persistent: Clone is O(1) and neither copy sees the other's later changes. What an image
// hands out (brokers, topics, partitions, lists in them) is never changed, only replaced, and must
// not be changed by who gets it. An image belongs to one loop, lookups included.
type Image struct {
	offset int64 // exclusive: the next offset to apply
	epoch  int32

	brokers     *btree.BTreeG[*Broker]
	controllers *btree.BTreeG[*Controller]
	topics      *btree.BTreeG[*Topic]
	topicIDs    *btree.BTreeG[*Topic]
	configs     *btree.BTreeG[*ConfigResource]
	features    *btree.BTreeG[Feature]
	quotas      *btree.BTreeG[*ClientQuota]
	scram       *btree.BTreeG[*UserScramCredentialRecord]
	opaque      []*OpaqueRecord // in log order; only ever appended to, with the capacity clipped
	producerIDs ProducerIdsRecord

	// hash is the sum of the hashes of all objects.
	hash uint64
	// owner is who may change a topic in place: see Topic.owner.
	owner   *owner
	scratch []byte
	probe   probe
}

// probe is what lookups search for: in the image, so that a lookup allocates nothing.
type probe struct {
	topic  Topic
	broker Broker
	config ConfigResource
}

// owner is an identity; it has a size so that two are never at one address.
type owner struct{ _ byte }

// NewImage returns the image before the first record.
func NewImage() *Image {
	return &Image{
		epoch:       -1,
		brokers:     btree.NewG(degree, func(a, b *Broker) bool { return a.ID < b.ID }),
		controllers: btree.NewG(degree, func(a, b *Controller) bool { return a.ID < b.ID }),
		topics:      btree.NewG(degree, func(a, b *Topic) bool { return a.Name < b.Name }),
		topicIDs:    btree.NewG(degree, func(a, b *Topic) bool { return bytes.Compare(a.ID[:], b.ID[:]) < 0 }),
		configs:     btree.NewG(degree, func(a, b *ConfigResource) bool { return a.key().Compare(b.key()) < 0 }),
		features:    btree.NewG(degree, func(a, b Feature) bool { return a.Name < b.Name }),
		quotas:      btree.NewG(degree, func(a, b *ClientQuota) bool { return compareQuotas(a, b) < 0 }),
		scram:       btree.NewG(degree, func(a, b *UserScramCredentialRecord) bool { return compareScram(a, b) < 0 }),
		owner:       new(owner),
	}
}

// Clone returns an independent copy in O(1).
func (i *Image) Clone() *Image {
	c := *i
	c.brokers, c.controllers = i.brokers.Clone(), i.controllers.Clone()
	c.topics, c.topicIDs = i.topics.Clone(), i.topicIDs.Clone()
	c.configs, c.features = i.configs.Clone(), i.features.Clone()
	c.quotas, c.scram = i.quotas.Clone(), i.scram.Clone()
	c.owner, c.scratch = new(owner), nil
	i.freeze()
	return &c
}

// freeze makes everything handed out so far immutable: later changes copy first.
func (i *Image) freeze() { i.owner = new(owner) }

// Offset is the next offset to apply: everything below it is in the image.
func (i *Image) Offset() int64 { return i.offset }

// Epoch is the leader epoch of the last batch applied; -1 before the first.
func (i *Image) Epoch() int32 { return i.epoch }

// SetOffset says that everything below next, the last of it in epoch, is in the image.
func (i *Image) SetOffset(next int64, epoch int32) { i.offset, i.epoch = next, epoch }

// Hash is a hash of all state but offset and epoch. Equal state has equal hashes, whatever records
// built it. O(1).
func (i *Image) Hash() uint64 { return i.hash }

// IsEmpty reports whether no record that leaves a state has been applied.
func (i *Image) IsEmpty() bool {
	return i.brokers.Len()+i.controllers.Len()+i.topics.Len()+i.configs.Len()+i.features.Len()+i.quotas.Len()+i.scram.Len()+len(i.opaque) == 0 &&
		i.producerIDs == ProducerIdsRecord{}
}

// Broker returns a registered broker, fenced or not; nil if there is none.
func (i *Image) Broker(id int32) *Broker {
	i.probe.broker.ID = id
	b, _ := i.brokers.Get(&i.probe.broker)
	return b
}

// Brokers calls f for each registered broker, by id, until it answers false.
func (i *Image) Brokers(f func(*Broker) bool) { i.brokers.Ascend(f) }

// NumBrokers counts registered brokers.
func (i *Image) NumBrokers() int { return i.brokers.Len() }

// Controllers calls f for each registered controller, by id, until it answers false.
func (i *Image) Controllers(f func(*Controller) bool) { i.controllers.Ascend(f) }

// Topic returns the topic of a name; nil if there is none.
func (i *Image) Topic(name string) *Topic {
	i.probe.topic.Name = name
	t, _ := i.topics.Get(&i.probe.topic)
	return t
}

// TopicByID returns the topic of an id; nil if there is none.
func (i *Image) TopicByID(id [16]byte) *Topic {
	i.probe.topic.ID = id
	t, _ := i.topicIDs.Get(&i.probe.topic)
	return t
}

// Topics calls f for each topic, by name, until it answers false.
func (i *Image) Topics(f func(*Topic) bool) { i.topics.Ascend(f) }

// NumTopics counts topics.
func (i *Image) NumTopics() int { return i.topics.Len() }

// TopicWithCollision returns a topic other than name whose metric name is the same ('.' and '_'
// collide), or nil. It walks the topics.
func (i *Image) TopicWithCollision(name string) *Topic {
	var found *Topic
	normal := strings.ReplaceAll(name, ".", "_")
	i.topics.Ascend(func(t *Topic) bool {
		if t.Name != name && len(t.Name) == len(name) && strings.ReplaceAll(t.Name, ".", "_") == normal {
			found = t
		}
		return found == nil
	})
	return found
}

// Partition returns a partition; nil if there is none.
func (i *Image) Partition(p event.Partition) *Partition {
	if t := i.Topic(p.Topic); t != nil {
		return t.Partition(p.Index)
	}
	return nil
}

// Partitions calls f for each partition, by topic name and index, until it answers false.
func (i *Image) Partitions(f func(*Partition) bool) {
	i.topics.Ascend(func(t *Topic) bool {
		for _, p := range t.Partitions {
			if !f(p) {
				return false
			}
		}
		return true
	})
}

// Config returns what is set for a resource, sorted by name.
func (i *Image) Config(resourceType int8, name string) []ConfigEntry {
	if c := i.configResource(resourceType, name); c != nil {
		return c.Entries
	}
	return nil
}

// ConfigValue returns one value set for a resource, and whether it is set.
func (i *Image) ConfigValue(resourceType int8, name, key string) (string, bool) {
	c := i.configResource(resourceType, name)
	if c == nil {
		return "", false
	}
	return c.Value(key)
}

// ConfigsHash is a hash of all that is set for resources of a type.
func (i *Image) ConfigsHash(resourceType int8) (sum uint64) {
	i.configs.AscendGreaterOrEqual(&ConfigResource{Type: resourceType}, func(c *ConfigResource) bool {
		if c.Type == resourceType {
			sum += c.hash
		}
		return c.Type == resourceType
	})
	return sum
}

// ConfigResources calls f with the name of each resource of a type that has configs, by name.
func (i *Image) ConfigResources(resourceType int8, f func(name string)) {
	from := &ConfigResource{Type: resourceType}
	i.configs.AscendGreaterOrEqual(from, func(c *ConfigResource) bool {
		if c.Type == resourceType {
			f(c.Name)
		}
		return c.Type == resourceType
	})
}

func (i *Image) configResource(resourceType int8, name string) *ConfigResource {
	i.probe.config.Type, i.probe.config.Name = resourceType, name
	c, _ := i.configs.Get(&i.probe.config)
	return c
}

// Feature returns the finalized level of a feature; 0 if it has none.
func (i *Image) Feature(name string) int16 {
	f, _ := i.features.Get(Feature{Name: name})
	return f.Level
}

// Features calls f for each finalized feature, by name, until it answers false.
func (i *Image) Features(f func(Feature) bool) { i.features.Ascend(f) }

// NextProducerID is the first producer id that was never handed out.
func (i *Image) NextProducerID() int64 { return i.producerIDs.NextProducerID }

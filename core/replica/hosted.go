package replica

import "github.com/lockstep/lockstep/core/event"

// hosted finds partitions by name. Every entry of every request asks it, and most requests name one topic: comparing its
// name with the last one's costs less than hashing it.
type hosted struct {
	topics map[string]*hostedTopic
	last   *hostedTopic
}

type hostedTopic struct {
	name       string
	partitions []*Partition // by index; nil: not hosted
	count      int          // that are
}

// get is nil for what is not hosted.
func (h *hosted) get(id event.Partition) *Partition {
	t := h.topic(id.Topic)
	if t == nil || uint32(id.Index) >= uint32(len(t.partitions)) {
		return nil
	}
	return t.partitions[id.Index]
}

func (h *hosted) topic(name string) *hostedTopic {
	if t := h.last; t != nil && t.name == name {
		return t
	}
	t := h.topics[name]
	if t != nil {
		h.last = t
	}
	return t
}

// put adds a partition that is not there.
func (h *hosted) put(p *Partition) {
	t := h.topic(p.id.Topic)
	if t == nil {
		if h.topics == nil {
			h.topics = map[string]*hostedTopic{}
		}
		t = &hostedTopic{name: p.id.Topic}
		h.topics[t.name] = t
	}
	if more := int(p.id.Index) + 1 - len(t.partitions); more > 0 {
		t.partitions = append(t.partitions, make([]*Partition, more)...)
	}
	t.partitions[p.id.Index] = p
	t.count++
}

// remove takes out a partition that is there.
func (h *hosted) remove(id event.Partition) {
	t := h.topic(id.Topic)
	t.partitions[id.Index] = nil
	t.count--
	if t.count == 0 {
		delete(h.topics, id.Topic)
		h.last = nil
	}
}

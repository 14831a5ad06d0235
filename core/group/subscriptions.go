package group

import (
	"slices"

	"github.com/lockstep/lockstep/core/metadata"
)

// subscriptions are the members of a consumer group as they are about to be, and what they want.
type subscriptions struct {
	members []*consumerMember // by id
	regexes map[string]*resolvedRegex
	image   *metadata.Image
}

// subscriptions are those of the members but for gone, and with joined in the place of whoever has its id.
func (c *consumerGroup) subscriptions(joined *consumerMember, gone ...*consumerMember) *subscriptions {
	members := make(map[string]*consumerMember, len(c.members)+1)
	for id, mb := range c.members { // order: a map
		members[id] = mb
	}
	for _, mb := range gone {
		if mb != nil {
			delete(members, mb.id)
		}
	}
	if joined != nil {
		members[joined.id] = joined
	}
	return &subscriptions{members: sortedMembers(members), regexes: c.regexes, image: c.image()}
}

// of are the names of the topics that a member wants. A regular expression that is not resolved yet wants none.
func (s *subscriptions) of(mb *consumerMember) []string {
	r := s.regexes[mb.regex]
	if mb.regex == "" || r == nil {
		return mb.topics
	}
	return distinct(append(slices.Clone(mb.topics), r.topics...))
}

// topics are the names of the topics that somebody wants, in order.
func (s *subscriptions) topics() []string {
	all := map[string]bool{}
	for i, mb := range s.members {
		if i > 0 && s.sameAsBefore(i) {
			continue
		}
		for _, topic := range s.of(mb) {
			all[topic] = true
		}
	}
	return sortedKeys(all)
}

// sameAsBefore reports whether a member wants what the one before it wants.
func (s *subscriptions) sameAsBefore(i int) bool {
	mb, before := s.members[i], s.members[i-1]
	return mb.regex == before.regex && slices.Equal(mb.topics, before.topics)
}

// alike reports whether all members want the same.
func (s *subscriptions) alike() bool {
	for i := 1; i < len(s.members); i++ {
		if !s.sameAsBefore(i) {
			return false
		}
	}
	return true
}

// preferredAssignor is the assignor that most members want, of several the first by name; fallback if none says.
func (s *subscriptions) preferredAssignor(fallback string) string {
	votes := map[string]int{}
	for _, mb := range s.members {
		if mb.assignor != nil {
			votes[*mb.assignor]++
		}
	}
	best := fallback
	for _, name := range sortedKeys(votes) {
		if votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// hash tells whether topics have changed since an assignment was computed: it is over the ids, partitions and racks of those that exist. 0: there are
// none. Only this broker reads it; another, or Kafka, that computes another one assigns once more than it must.
func (s *subscriptions) hash() uint64 {
	sum := fnvBasis
	exist := false
	for _, name := range s.topics() {
		if t := s.image.Topic(name); t != nil {
			sum = hashTopic(sum, t, s.image)
			exist = true
		}
	}
	if !exist {
		return 0
	}
	return uint64(sum)
}

// fnv is a running FNV-1a hash.
type fnv uint64

const (
	fnvBasis fnv = 14695981039346656037
	fnvPrime     = 1099511628211
)

func (h fnv) string(s string) fnv {
	h = h.int(len(s))
	for i := range len(s) {
		h = (h ^ fnv(s[i])) * fnvPrime
	}
	return h
}

func (h fnv) int(n int) fnv {
	for range 8 {
		h = (h ^ fnv(n&0xff)) * fnvPrime
		n >>= 8
	}
	return h
}

func hashTopic(h fnv, t *metadata.Topic, image *metadata.Image) fnv {
	h = h.string(t.Name).string(string(t.ID[:])).int(len(t.Partitions))
	for i, p := range t.Partitions {
		if p == nil {
			continue
		}
		var racks []string
		for _, id := range p.Replicas {
			if b := image.Broker(id); b != nil && b.Rack != "" {
				racks = append(racks, b.Rack)
			}
		}
		slices.Sort(racks)
		h = h.int(i)
		for _, rack := range racks {
			h = h.string(rack)
		}
	}
	return h
}

// assignment is what an assignor is asked. target is what each member has had.
func (s *subscriptions) assignment(target func(id string) partitionSet) *assignment {
	a := &assignment{partitions: map[[16]byte]int{}, alike: s.alike()}
	for i, mb := range s.members {
		x := subscriber{id: mb.id, instanceID: mb.instanceID, target: target(mb.id)}
		if i > 0 && s.sameAsBefore(i) {
			x.topics = a.subscribers[i-1].topics
		} else {
			x.topics = s.ids(mb)
		}
		a.subscribers = append(a.subscribers, x)
		for id := range x.topics { // order: a map
			a.partitions[id] = len(s.image.TopicByID(id).Partitions)
		}
	}
	return a
}

// ids are those of the topics that a member wants and that exist.
func (s *subscriptions) ids(mb *consumerMember) map[[16]byte]bool {
	ids := map[[16]byte]bool{}
	for _, name := range s.of(mb) {
		if t := s.image.Topic(name); t != nil {
			ids[t.ID] = true
		}
	}
	return ids
}

package group

import "slices"

// uniform gives members that subscribe to the same topics as many partitions each, give or take one, and leaves them as much as it can of what
// they have (Kafka's UniformHomogeneousAssignmentBuilder).
type uniform struct {
	*assignment
	quota    int // that each member has at least
	larger   int // members that are still to have one more
	free     []topicPartition
	unfilled []unfilled
	target   map[string]partitionSet
}

// unfilled is a member that is to get more.
type unfilled struct {
	id string
	n  int
}

func newUniform(a *assignment) *uniform {
	u := &uniform{assignment: a, target: make(map[string]partitionSet, len(a.subscribers))}
	total := 0
	for _, n := range a.partitions { // order: a sum
		total += n
	}
	u.quota, u.larger = total/len(a.subscribers), total%len(a.subscribers)
	u.free = a.unassigned()
	return u
}

// unassigned are the partitions that nobody has had.
func (a *assignment) unassigned() (free []topicPartition) {
	taken := map[topicPartition]bool{}
	for i := range a.subscribers {
		for p := range a.subscribers[i].target { // order: a set
			taken[p] = true
		}
	}
	for _, topic := range a.topics() {
		for i := range a.partitions[topic] {
			if p := (topicPartition{topic, int32(i)}); !taken[p] {
				free = append(free, p)
			}
		}
	}
	return free
}

func (u *uniform) assign() map[string]partitionSet {
	for i := range u.subscribers {
		u.keep(&u.subscribers[i], len(u.subscribers)-i)
	}
	for _, m := range u.unfilled {
		n := min(m.n, len(u.free))
		for _, p := range u.free[:n] {
			u.target[m.id][p] = 0
		}
		u.free = u.free[n:]
	}
	return u.target
}

// keep leaves a member what it has up to its quota; left is how many members have not been looked at, this one included. Who
// is not full leaves the right to one more to others, unless all that are left must have one more.
func (u *uniform) keep(s *subscriber, left int) {
	quota, isLarger := u.quota, u.larger > 0
	if isLarger {
		quota++
	}
	kept := partitionSet{}
	for _, p := range s.target.sorted() {
		switch n, subscribed := u.partitions[p.topic]; {
		case !subscribed || int(p.index) >= n:
		case quota > 0:
			quota--
			kept[p] = 0
		default:
			u.free = append(u.free, p)
		}
	}
	if quota > 0 && isLarger && left > u.larger {
		quota--
		isLarger = false
	}
	if quota > 0 {
		u.unfilled = append(u.unfilled, unfilled{s.id, quota})
	}
	if isLarger {
		u.larger--
	}
	u.target[s.id] = kept
}

// maxRounds bounds how often all topics are balanced.
const maxRounds = 16

// balancer gives members that subscribe to different topics about as many partitions each, and leaves them as much as it can of what they have
// (Kafka's UniformHeterogeneousAssignmentBuilder, in a simpler form: the member with most of a topic's subscribers gives to the one with least until
// they differ by one).
type balancer struct {
	*assignment
	readers map[[16]byte][]int // subscribers of a topic, by index
	order   [][16]byte         // topics, those with the most partitions a reader first
	owners  map[topicPartition]int
	sizes   []int // partitions that a subscriber has
}

func newBalancer(a *assignment) *balancer {
	b := &balancer{assignment: a, readers: map[[16]byte][]int{}, owners: map[topicPartition]int{}, sizes: make([]int, len(a.subscribers))}
	for i := range a.subscribers {
		for topic := range a.subscribers[i].topics { // order: each topic has a list of its own
			b.readers[topic] = append(b.readers[topic], i)
		}
	}
	for _, topic := range a.topics() {
		if len(b.readers[topic]) > 0 {
			b.order = append(b.order, topic)
		}
	}
	slices.SortStableFunc(b.order, b.compareTopics)
	return b
}

// compareTopics compares partitions by reader, without fractions, and then the readers.
func (b *balancer) compareTopics(s, t [16]byte) int {
	ofS, ofT := b.partitions[s]*len(b.readers[t]), b.partitions[t]*len(b.readers[s])
	if ofS != ofT {
		return ofT - ofS
	}
	return len(b.readers[s]) - len(b.readers[t])
}

func (b *balancer) assign() map[string]partitionSet {
	b.keep()
	b.fill()
	for range maxRounds {
		moved := false
		for _, topic := range b.order {
			moved = b.balance(topic) || moved
		}
		if !moved {
			break
		}
	}
	return b.result()
}

// keep leaves members what they subscribe to.
func (b *balancer) keep() {
	for i := range b.subscribers {
		s := &b.subscribers[i]
		for p := range s.target { // order: a partition is in one target only
			if s.topics[p.topic] && int(p.index) < b.partitions[p.topic] {
				b.give(p, i)
			}
		}
	}
}

func (b *balancer) give(p topicPartition, to int) {
	if from, owned := b.owners[p]; owned {
		b.sizes[from]--
	}
	b.owners[p] = to
	b.sizes[to]++
}

// fill gives the partitions that nobody has to whoever has least.
func (b *balancer) fill() {
	for _, topic := range b.order {
		for i := range b.partitions[topic] {
			p := topicPartition{topic, int32(i)}
			if _, owned := b.owners[p]; !owned {
				b.give(p, b.least(topic))
			}
		}
	}
}

// least is the reader of a topic that has the fewest partitions, the first of several.
func (b *balancer) least(topic [16]byte) int {
	return slices.MinFunc(b.readers[topic], func(i, j int) int { return b.sizes[i] - b.sizes[j] })
}

// balance moves partitions of a topic from those of its readers that have most to those that have least, while that evens them out.
func (b *balancer) balance(topic [16]byte) (moved bool) {
	owned := make(map[int][]topicPartition, len(b.readers[topic]))
	for i := range b.partitions[topic] {
		p := topicPartition{topic, int32(i)}
		owned[b.owners[p]] = append(owned[b.owners[p]], p)
	}
	for {
		from, to := b.most(topic, owned), b.least(topic)
		if from < 0 || b.sizes[from]-b.sizes[to] <= 1 {
			return moved
		}
		last := len(owned[from]) - 1
		p := owned[from][last]
		owned[from], owned[to] = owned[from][:last], append(owned[to], p)
		b.give(p, to)
		moved = true
	}
}

// most is the reader of a topic that has the most partitions, of those that have one of the topic; -1: none has.
func (b *balancer) most(topic [16]byte, owned map[int][]topicPartition) int {
	best := -1
	for _, i := range b.readers[topic] {
		if len(owned[i]) > 0 && (best < 0 || b.sizes[i] > b.sizes[best]) {
			best = i
		}
	}
	return best
}

func (b *balancer) result() map[string]partitionSet {
	target := make(map[string]partitionSet, len(b.subscribers))
	for i := range b.subscribers {
		target[b.subscribers[i].id] = partitionSet{}
	}
	for p, i := range b.owners { // order: sets
		target[b.subscribers[i].id][p] = 0
	}
	return target
}

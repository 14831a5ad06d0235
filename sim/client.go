package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/network/simnet"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/scheduler/virtual"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	retryBackoff   = 100 * time.Millisecond
	metadataMaxAge = 10 * time.Second // unless the options say otherwise
)

// client is what producers and consumers have in common: connections to brokers and what they know
// of the topics. It speaks Kafka's bytes over the simulated network and survives everything.
type client struct {
	run     *run
	name    string
	loop    *virtual.Node
	host    *simnet.Host
	rand    *rand.Rand
	timeout time.Duration
	maxAge  time.Duration // of metadata

	brokers []int32 // all there may be: the bootstrap servers
	links   []*link // by broker id
	free    []*call

	topics     []*topic
	asking     bool // for metadata
	askedAt    scheduler.Instant
	onMetadata func() // called after each answer
	timer      scheduler.Timer
}

// topic is what a client knows of a topic.
type topic struct {
	name       string
	id         [16]byte
	partitions []*partition
}

// partition is what a client knows of a partition.
type partition struct {
	id          event.Partition
	topic       *topic
	leader      int32 // -1: unknown
	leaderEpoch int32
}

func newClient(r *run, name string, node int32) *client {
	o := &r.schedule.Options
	c := &client{
		run: r, name: name, loop: r.world.Node(node), timeout: o.Cluster.RequestTimeout,
		rand: r.world.Stream(r.schedule.Seed, "client/"+name), onMetadata: func() {},
	}
	c.maxAge = cmp.Or(o.Cluster.MetadataAge, metadataMaxAge)
	c.host = r.cluster.net.Host(name, c.loop)
	for i := range o.Cluster.Brokers {
		c.brokers = append(c.brokers, int32(1+i))
	}
	for _, t := range o.Topics {
		c.topics = append(c.topics, newTopic(t))
	}
	return c
}

func newTopic(o TopicOptions) *topic {
	t := &topic{name: o.Name}
	for i := range o.Partitions {
		id := event.Partition{Topic: o.Name, Index: int32(i)}
		t.partitions = append(t.partitions, &partition{id: id, topic: t, leader: -1, leaderEpoch: -1})
	}
	return t
}

func (c *client) partitions() (all []*partition) {
	for _, t := range c.topics {
		all = append(all, t.partitions...)
	}
	return all
}

func (c *client) link(broker int32) *link {
	for len(c.links) <= int(broker) {
		c.links = append(c.links, nil)
	}
	if c.links[broker] == nil {
		c.links[broker] = &link{client: c, broker: broker}
	}
	return c.links[broker]
}

// anyBroker draws whom to ask what any broker can answer: one it is connected to, most of the time.
func (c *client) anyBroker() int32 {
	id := c.brokers[c.rand.IntN(len(c.brokers))]
	for range c.brokers {
		if int(id) < len(c.links) && c.links[id] != nil && c.links[id].failures > 0 {
			id = c.brokers[c.rand.IntN(len(c.brokers))]
		}
	}
	return id
}

// refresh asks for metadata soon; at most one request at a time, and not more often than the retry
// backoff allows.
func (c *client) refresh() {
	if c.asking {
		return
	}
	c.asking = true
	wait := max(c.askedAt.Add(retryBackoff).Sub(c.loop.Now()), 0)
	if c.askedAt == 0 {
		wait = 0
	}
	c.loop.After(wait, c.askMetadata)
}

func (c *client) askMetadata() {
	c.askedAt = c.loop.Now()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	for _, t := range c.topics {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = &t.name
		req.Topics = append(req.Topics, rt)
	}
	c.send(c.anyBroker(), req, c.timeout, askerFunc(c.onMetadataAnswer), false)
}

func (c *client) onMetadataAnswer(resp kmsg.Response, err error) {
	c.asking = false
	if err != nil {
		c.refresh()
		return
	}
	missing := false
	for i := range resp.(*kmsg.MetadataResponse).Topics {
		missing = !c.learn(&resp.(*kmsg.MetadataResponse).Topics[i]) || missing
	}
	if missing {
		c.refresh()
	} else {
		c.refreshLater()
	}
	c.onMetadata()
}

func (c *client) refreshLater() {
	if c.timer == nil {
		c.timer = c.loop.AfterFunc(c.maxAge, c.refresh)
		return
	}
	c.timer.Reset(c.maxAge)
}

// learn takes over what an answer says of a topic, unless an isolated broker says what was true
// once (KIP-320). It reports whether every partition has a leader.
func (c *client) learn(m *kmsg.MetadataResponseTopic) bool {
	t := c.topic(*m.Topic)
	if m.ErrorCode != 0 {
		return false
	}
	t.id = m.TopicID
	whole := true
	for i := range m.Partitions {
		p := &m.Partitions[i]
		if int(p.Partition) < len(t.partitions) {
			whole = t.partitions[p.Partition].learn(p) && whole
		}
	}
	return whole && len(m.Partitions) >= len(t.partitions) // an operator may have added some
}

func (p *partition) learn(m *kmsg.MetadataResponseTopicPartition) bool {
	if m.LeaderEpoch >= p.leaderEpoch {
		p.leader, p.leaderEpoch = m.Leader, m.LeaderEpoch
	}
	return p.leader >= 0
}

func (c *client) topic(name string) *topic {
	for _, t := range c.topics {
		if t.name == name {
			return t
		}
	}
	panic(harnessError(fmt.Sprintf("%s was told of topic %q, which it did not ask for", c.name, name)))
}

func (c *client) topicOf(name string, id [16]byte) *topic {
	if name != "" {
		return c.topic(name)
	}
	for _, t := range c.topics {
		if t.id == id {
			return t
		}
	}
	panic(harnessError(c.name + " was told of a topic id that it did not ask for"))
}

// onVersions checks that the broker speaks what its clients speak.
func (c *client) onVersions(resp kmsg.Response, err error) {
	if err != nil {
		return
	}
	if r := resp.(*kmsg.ApiVersionsResponse); r.ErrorCode != 0 || len(r.ApiKeys) == 0 {
		panic(harnessError(fmt.Sprintf("ApiVersions: %v, %d keys", kerr.ErrorForCode(r.ErrorCode), len(r.ApiKeys))))
	}
}

// interrupted says that the record batch or position is not touched by err: nothing was heard.
func isSilence(err error) bool { return err == errTimedOut || err == errDisconnected }

// addrOf is "host:port".
func addrOf(host string, port int) network.Addr {
	return network.Addr(fmt.Sprintf("%s:%d", host, port))
}

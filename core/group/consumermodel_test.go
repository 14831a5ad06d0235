package group

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// natives is clients of the consumer protocol in one group, who lose answers, go silent, come back and change their minds, and what must be true of it.
type natives struct {
	*rapid.T
	w       *world
	clients []*modelled
	lives   byte // of topic t
	names   int
	commits map[topicPartition]string // whose the last commit of a partition was that was stored
}

// modelled is a client that may have a heartbeat under way.
type modelled struct {
	*native
	name   string
	flying *call[*kmsg.ConsumerGroupHeartbeatResponse]
	sent   partitionSet // what it said in the last one
	all    bool         // it is to say all: it has missed an answer, or is new
	idle   bool         // it is in no group
}

func newNatives(t *rapid.T, tb testing.TB) *natives {
	m := &natives{T: t, w: newWorld(tb, func(c *Config) { c.ConsumerMaxSize = 4 }), lives: 1}
	m.w.setTopic("t", 3)
	m.w.setTopic("u", 2)
	for i := range 5 {
		c := &modelled{native: m.w.native("", "t"), name: fmt.Sprint("c", i), idle: true, all: true}
		c.version = 1
		if i%2 == 1 {
			c.instance = kmsg.StringPtr(c.name)
		}
		m.clients = append(m.clients, c)
	}
	for _, c := range m.clients[:2] {
		m.exchange(c)
		c.native.take()
	}
	return m
}

func (m *natives) any() *modelled { return rapid.SampledFrom(m.clients).Draw(m.T, "client") }

// beat sends a heartbeat, or looks at the answer to the last one.
func (m *natives) beat(*rapid.T) {
	c := m.any()
	if c.flying != nil {
		m.listen(c)
		return
	}
	m.send(c)
}

func (m *natives) send(c *modelled) {
	if c.idle {
		m.names++
		c.id, c.epoch, c.has, c.told, c.idle, c.all = fmt.Sprint(c.name, ".", m.names), 0, partitionSet{}, partitionSet{}, false, true
	}
	all := c.all || c.epoch == 0
	req := c.request(all)
	if !all && c.sent.equal(c.has) {
		req.Topics = nil // as before
	}
	c.sent = c.has
	c.flying = m.w.heartbeatOf(req)
}

// exchange is a heartbeat and its answer. The client does not act upon it yet.
func (m *natives) exchange(c *modelled) {
	m.w.pass(time.Second)
	if c.flying == nil {
		m.send(c)
		m.w.pass(0)
	}
	m.listen(c)
}

// talk is an exchange of any client, after which it takes what it is to have, or is slow to do so.
func (m *natives) talk(*rapid.T) {
	c := m.any()
	m.exchange(c)
	if c.flying == nil && rapid.Bool().Draw(m.T, "act") {
		c.native.take()
	}
}

func (m *natives) listen(c *modelled) {
	if c.flying.answers == 0 {
		return
	}
	resp := c.flying.answer
	c.flying = nil
	err := c.hear(resp)
	c.all = err != nil
	switch err {
	case nil, kerr.FencedMemberEpoch, kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.UnreleasedInstanceID, kerr.GroupMaxSizeReached, kerr.GroupIDNotFound:
	case kerr.UnknownMemberID, kerr.FencedInstanceID:
		c.idle = true
		c.has, c.told = partitionSet{}, partitionSet{}
	default:
		m.Fatalf("%s: %v", c.name, err)
	}
	if err == kerr.GroupIDNotFound {
		c.epoch, c.has, c.told = 0, partitionSet{}, partitionSet{}
	}
}

// lose has the answer to a heartbeat never come.
func (m *natives) lose(*rapid.T) {
	c := m.any()
	c.flying, c.all = nil, true
}

func (m *natives) revoke(*rapid.T) {
	if c := m.any(); c.flying == nil {
		c.native.revoke()
	}
}

// take is a client that has said that it has revoked what it must, and reads what it is to have.
func (m *natives) take(*rapid.T) {
	if c := m.any(); c.flying == nil {
		c.native.take()
	}
}

func (m *natives) leave(*rapid.T) {
	c := m.any()
	if c.idle || c.epoch == 0 || c.flying != nil {
		return
	}
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch, req.InstanceID = 1, "g", c.id, leaveEpoch, c.instance
	if c.instance != nil && rapid.Bool().Draw(m.T, "for a while") {
		req.MemberEpoch = leaveStaticEpoch
	}
	m.w.heartbeatOf(req)
	c.idle, c.has, c.told = true, partitionSet{}, partitionSet{}
}

// crash is a client that starts anew and says nothing.
func (m *natives) crash(*rapid.T) {
	c := m.any()
	c.idle, c.flying, c.has, c.told = true, nil, partitionSet{}, partitionSet{}
}

func (m *natives) subscribe(*rapid.T) {
	c := m.any()
	c.topics = rapid.SampledFrom([][]string{{"t"}, {"t", "u"}, {"u"}, {}}).Draw(m.T, "topics")
	c.regex = rapid.SampledFrom([]string{"", "", "t|u", "u.*"}).Draw(m.T, "regex")
	c.assignor = rapid.SampledFrom([]*string{nil, kmsg.StringPtr(AssignorRange), kmsg.StringPtr(AssignorUniform)}).Draw(m.T, "assignor")
	c.all = true
}

func (m *natives) alterTopic(*rapid.T) {
	switch rapid.IntRange(0, 3).Draw(m.T, "what") {
	case 0:
		m.w.setTopicOf("t", m.lives, 0)
		m.lives++
	case 1:
		m.w.setTopicOf("t", m.lives, rapid.IntRange(1, 5).Draw(m.T, "partitions"))
	default:
		m.w.setTopic("u", rapid.IntRange(2, 4).Draw(m.T, "partitions"))
	}
}

// commitOffset commits what a client may believe to be its own. One whose partition is somebody else's must not get through.
func (m *natives) commitOffset(*rapid.T) {
	c := m.any()
	if len(c.has) == 0 {
		return
	}
	p := rapid.SampledFrom(c.has.sorted()).Draw(m.T, "partition")
	req := commitRequest(c.id, c.epoch, 5)
	req.Topics[0].TopicID, req.Topics[0].Partitions[0].Partition = p.topic, p.index
	before := len(m.w.log)
	m.w.machine.commitOffsets(req, func(*kmsg.OffsetCommitResponse, error) {})
	if g := m.w.machine.consumer("g"); len(m.w.log) > before {
		if owner, owned := g.owners[p]; owned && owner != c.id && g.members[c.id].epoch != c.epoch {
			m.Fatalf("%s commits %s of %s in epoch %d", c.id, named(partitionSet{p: 0}), owner, c.epoch)
		}
	}
}

func (m *natives) pass(*rapid.T) {
	m.w.pass(rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, 3 * time.Second, 11 * time.Second, 46 * time.Second}).Draw(m.T, "time"))
}

func (m *natives) stick(*rapid.T) { m.w.stuck = true }

func (m *natives) refuse(*rapid.T) { m.w.refuse = kerr.CoordinatorNotAvailable }

func (m *natives) heal(*rapid.T) {
	m.w.stuck, m.w.refuse = false, nil
	m.w.answer(nil)
}

func (m *natives) failOver(*rapid.T) { m.w.failOver() }

func (m *natives) compact(*rapid.T) {
	if !m.w.stuck {
		m.w.compact(rapid.Bool().Draw(m.T, "tombstones"))
		m.w.reload()
	}
}

// check: of those who are members, and do not know better yet, no two read a partition.
func (m *natives) check(*rapid.T) {
	g := m.w.machine.consumer("g")
	if g == nil {
		return
	}
	checkConsumers(m.T, g)
	reader := map[topicPartition]*modelled{}
	for _, c := range m.clients {
		if c.idle || g.members[c.id] == nil {
			continue
		}
		for p := range c.has {
			if other := reader[p]; other != nil {
				m.Fatalf("%s is read by %s in epoch %d and %s in epoch %d\n%s", named(partitionSet{p: 0}), other.id, other.epoch, c.id, c.epoch, g.state())
			}
			reader[p] = c
		}
	}
}

// finish: when all is well everybody who wants to be in the group is, and every partition that somebody wants is read.
func (m *natives) finish() {
	m.heal(nil)
	for _, c := range m.clients {
		c.flying, c.all = nil, true
	}
	m.clients = m.clients[:4]
	for range 60 {
		m.w.pass(3 * time.Second)
		for _, c := range m.clients {
			m.send(c)
			m.w.pass(0)
			m.listen(c)
			c.native.take()
			m.check(nil)
		}
	}
	g := m.w.machine.consumer("g")
	if g == nil || g.stateName() != "Stable" || len(g.members) != len(m.clients) {
		m.Fatalf("the group has not settled: %v", g)
	}
	s := g.subscriptions(nil)
	wanted, read := 0, 0
	for _, name := range s.topics() {
		if topic := m.w.image.Topic(name); topic != nil {
			wanted += len(topic.Partitions)
		}
	}
	for _, c := range m.clients {
		read += len(c.has)
		for p := range c.has {
			if !s.ids(g.members[c.id])[p.topic] {
				m.Fatalf("%s reads %s", c.id, c.reads())
			}
		}
	}
	if read != wanted {
		m.Fatalf("%d partitions of %d are read\n%s", read, wanted, g.state())
	}
	m.w.expectSameAfterLoading()
}

func TestConsumerGroupKeepsItsPromisesWhateverItsMembersDo(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := newNatives(r, t)
		r.Repeat(map[string]func(*rapid.T){
			"beat": m.beat, "talk": m.talk, "talk more": m.talk, "talk and talk": m.talk, "talk and talk and talk": m.talk, "talk and talk and more": m.talk,
			"lose": m.lose, "revoke": m.revoke, "take": m.take, "leave": m.leave,
			"crash": m.crash, "subscribe": m.subscribe, "topic": m.alterTopic, "commit": m.commitOffset, "pass": m.pass, "pass more": m.pass, "stick": m.stick,
			"refuse": m.refuse, "heal": m.heal, "heal more": m.heal, "fail over": m.failOver, "compact": m.compact, "": m.check,
		})
		m.finish()
	})
}

package replica

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/scheduler/virtual"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// chaos drives a cluster of three through deaths, elections, cut links, late metadata and lost replies.
type chaos struct {
	*cluster
	rand  *rand.Rand
	acked map[int64]string // offset to value, acknowledged with acks=all
	next  int
}

func (c *chaos) pick() *testNode { return c.nodes[1+c.rand.IntN(3)] }

func (c *chaos) live() (ids []int32) {
	for _, n := range c.nodes[1:] {
		if n.m != nil {
			ids = append(ids, n.id)
		}
	}
	return ids
}

// step does one thing at random.
func (c *chaos) step() {
	switch n := c.pick(); c.rand.IntN(20) {
	case 0:
		if len(c.live()) > 1 {
			c.die(n)
		}
	case 1, 2:
		c.revive(n)
	case 3:
		c.electAny()
	case 4:
		c.net.Cut(n.host.Name(), c.pick().host.Name())
	case 5, 6:
		c.net.HealAll()
	case 7:
		if n.m != nil {
			c.publish(n.id)
		}
	default:
		if leader := c.partitionImage().Leader; leader > 0 && c.rand.IntN(4) > 0 {
			n = c.nodes[leader]
		}
		c.produceAny(n)
	}
}

func (c *chaos) die(n *testNode) {
	if n.m == nil {
		return
	}
	n.kill(false)
	c.apply(&metadata.FenceBrokerRecord{ID: n.id, Epoch: n.epoch})
	if isr := c.partitionImage().ISR; len(isr) > 1 && slices.Contains(isr, n.id) {
		c.change(0, slices.DeleteFunc(slices.Clone(isr), func(id int32) bool { return id == n.id })...)
	}
	if c.partitionImage().Leader == n.id {
		c.electAny()
	}
}

func (c *chaos) revive(n *testNode) {
	if n.m != nil {
		return
	}
	n.start()
	if c.partitionImage().Leader < 0 {
		c.electAny()
	}
	c.publish(c.live()...)
}

// electAny makes any live member of the ISR leader, or nobody; each broker hears of it at once or later.
func (c *chaos) electAny() {
	leader := metadata.NoLeader
	isr := slices.Clone(c.partitionImage().ISR)
	c.rand.Shuffle(len(isr), func(i, j int) { isr[i], isr[j] = isr[j], isr[i] })
	for _, id := range isr {
		if c.nodes[id].m != nil {
			leader = id
		}
	}
	c.change(leader)
	for _, id := range c.live() {
		if c.rand.IntN(3) > 0 {
			c.publish(id)
		}
	}
}

func (c *chaos) produceAny(n *testNode) {
	if n.m == nil {
		return
	}
	c.next++
	value, acks := fmt.Sprint("v", c.next), int16(acksAll)
	if c.rand.IntN(3) == 0 {
		acks = acksLeader
	}
	n.loop.Post(func() {
		n.m.Produce(acks, 2*time.Second, []ProduceEntry{{Partition: tp, Batch: batch(value)}}, nil, func(r []ProduceResult) {
			if r[0].Err == nil && acks == acksAll {
				if other, taken := c.acked[r[0].BaseOffset]; taken {
					c.Errorf("%s and %s were both acknowledged at %d", other, value, r[0].BaseOffset)
				}
				c.acked[r[0].BaseOffset] = value
			}
		})
	})
}

func (c *chaos) alterBadly(n *testNode, req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error)) {
	switch c.rand.IntN(4) {
	case 0: // lost
		n.loop.After(20*time.Millisecond, func() { done(nil, kerr.NetworkException) })
	case 1: // applied, the reply lost
		c.answerAlter(n, req, func(*kmsg.AlterPartitionResponse, error) { done(nil, kerr.NetworkException) })
	default:
		c.answerAlter(n, req, done)
	}
}

// heal brings everything back and waits until all is replicated and committed.
func (c *chaos) heal() {
	c.net.HealAll()
	c.alter = c.answerAlter
	for _, n := range c.nodes[1:] {
		c.revive(n)
	}
	if c.partitionImage().Leader < 0 {
		c.electAny()
	}
	c.publish(1, 2, 3)
	deadline := c.world.Now().Add(2 * time.Minute)
	for c.world.Now() < deadline {
		c.run(time.Second)
		c.publish(1, 2, 3) // what AlterPartition changed meanwhile
		if len(c.partitionImage().ISR) == 3 && c.sameEnd(1, 2, 3)() && c.leader().hw() == c.leader().leo() {
			return
		}
	}
	c.Fatal("does not heal", c.describe(), c.partitionImage())
}

func (c *chaos) check() {
	var logs [4][]string
	for _, n := range c.nodes[1:] {
		l := n.partition().Log()
		for offset := int64(0); offset < l.LogEndOffset(); {
			values := c.consumeAs(n, offset)
			if len(values) == 0 {
				break
			}
			logs[n.id] = append(logs[n.id], values...)
			offset += int64(len(values))
		}
	}
	leader := logs[c.leader().id]
	for offset, value := range c.acked {
		if offset >= int64(len(leader)) || leader[offset] != value {
			c.Errorf("%s, acknowledged at %d, is lost", value, offset)
		}
	}
	for id := 1; id <= 3; id++ {
		if !slices.Equal(logs[id], leader) {
			c.Errorf("n%d has %v, the leader %v", id, logs[id], leader)
		}
	}
}

// consumeAs makes n the leader, so that it may be read.
func (c *chaos) consumeAs(n *testNode, offset int64) []string {
	if c.partitionImage().Leader != n.id {
		c.change(n.id)
		c.publish(1, 2, 3)
		c.until("leads", func() bool { return n.partition().IsLeader() && n.hw() == n.leo() })
	}
	return c.consume(n, offset)
}

func TestNothingAcknowledgedIsLostInChaos(t *testing.T) {
	seeds := 150
	if testing.Short() {
		seeds = 20
	}
	total := 0
	for seed := range seeds {
		c := &chaos{cluster: newCluster(t, 3, nil), rand: virtual.Rand(uint64(seed), "chaos"), acked: map[int64]string{}}
		c.cluster.alter = c.alterBadly
		for range 80 {
			c.step()
			c.run(time.Duration(c.rand.IntN(400)) * time.Millisecond)
			if c.rand.IntN(20) == 0 {
				c.run(40 * time.Second)
			}
		}
		c.heal()
		total += len(c.acked)
		c.check()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d records acknowledged", total)
}

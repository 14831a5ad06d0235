package replica

import (
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/disk/simdisk"
)

// withoutItsDisk restarts a broker with a second log directory, while the disk that it had cannot be read. What is returned has both be read at the next start.
func withoutItsDisk(c *cluster, n *testNode) (mend func()) {
	broken := true
	n.kill(false)
	second := simdisk.New(n.loop, 8, simdisk.Options{})
	c.dirs = func(at *testNode, e *env.Env) []*storage.LogDir {
		dirs := oneDir(at, e)
		if at != n {
			return dirs
		}
		other := *e
		other.Disk = second
		if broken {
			dirs[0].Break(disk.ErrIO)
		}
		return append(dirs, storage.NewLogDir(&other, "e", [16]byte{2}))
	}
	n.start()
	return func() {
		second.Kill()
		broken = false
	}
}

// assign makes the assignment, and all of it that was in sync the ISR.
func (c *cluster) assign(isr []int32, replicas ...int32) {
	r := metadata.NewPartitionChange(topicID, 0)
	r.Replicas, r.Isr, r.Directories = replicas, isr, make([][16]byte, len(replicas))
	c.apply(r)
}

// The log of a partition may lie in a directory that could not be read at the start, however often the partition goes and returns: another one
// would keep the broker from its next start, which finds both.
func TestAPartitionThatReturnsGetsNoSecondLogWhileADirectoryIsUnread(t *testing.T) {
	c := newCluster(t, 2, func(cfg *Config) { cfg.DefaultMinISR = 1 })
	b := c.nodes[2]
	c.mustProduce(c.nodes[1], acksAll, "m1")
	mend := withoutItsDisk(c, b)
	c.publish(1, 2)
	c.until("offline", func() bool { return b.partition() != nil && b.partition().offline })
	c.assign([]int32{1}, 1)
	c.publish(1, 2)
	c.until("gone", func() bool { return b.partition() == nil })
	c.assign([]int32{1}, 1, 2)
	c.publish(1, 2)
	c.until("back", func() bool { return b.partition() != nil })
	c.run(time.Second)
	if !b.partition().offline || b.logs.Get(tp) != nil {
		t.Error("it has a second log")
	}
	mend()
	b.kill(false)
	b.start()
	c.publish(1, 2)
	c.until("in sync", func() bool { return c.inSync(1, 2)() && c.sameEnd(1, 2)() })
}

// A partition that was created since has no log anywhere: it is made in a directory that is there.
func TestANewPartitionGetsALogWhileADirectoryIsUnread(t *testing.T) {
	c := newCluster(t, 2, nil)
	b := c.nodes[2]
	withoutItsDisk(c, b)
	c.publish(1, 2)
	c.until("offline", func() bool { return b.partition() != nil && b.partition().offline })
	id, created := [16]byte{9}, event.Partition{Topic: "new"}
	c.apply(&metadata.TopicRecord{Name: created.Topic, TopicID: id})
	c.apply(&metadata.PartitionRecord{TopicID: id, Replicas: []int32{2}, Isr: []int32{2}, Leader: 2})
	img := c.image.Clone()
	b.loop.Post(func() {
		b.m.Apply(img, &metadata.Delta{Partitions: []event.Partition{created}, Created: []event.Partition{created}})
	})
	c.until("leads", func() bool { p := b.m.Partition(created); return p != nil && p.IsLeader() })
}

// Clients' batches wait for the end of a move, but not for ever: the directory that the replica moves to may have no space for the rest.
func TestBatchesWaitForAMoveForAWhileOnly(t *testing.T) {
	c := newCluster(t, 1, func(cfg *Config) { cfg.DefaultMinISR = 1 })
	n := c.nodes[1]
	n.loop.Post(func() { n.partition().hold() })
	r := n.produce(1, "m1")
	c.run(n.m.cfg.FetchBackoff / 2)
	if r.done {
		t.Fatal("the batch did not wait")
	}
	c.run(n.m.cfg.FetchBackoff)
	if !r.done || r.Err != nil {
		t.Errorf("it waits still, or failed: %v", r.Err)
	}
}

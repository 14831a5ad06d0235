package main

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const groupID = "readers"

// readers is a group of consumers. Each commits what it has read before it reads on.
type readers struct {
	t     *testing.T
	seeds []string
	opts  []kgo.Opt

	mu        sync.Mutex
	read      map[int32]map[int64]string // by partition and offset: who read it last
	committed map[int32]int64            // the highest offset that was acknowledged
	owned     map[string]map[int32]bool  // by consumer
}

func newReaders(t *testing.T, seeds []string, opts ...kgo.Opt) *readers {
	return &readers{t: t, seeds: seeds, opts: opts, read: map[int32]map[int64]string{}, committed: map[int32]int64{}, owned: map[string]map[int32]bool{}}
}

// start runs one more consumer; stop has it leave.
func (r *readers) start(name string) (stop func()) {
	opts := append([]kgo.Opt{
		kgo.ConsumerGroup(groupID), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), kgo.ClientID(name),
		kgo.SessionTimeout(6 * time.Second), kgo.HeartbeatInterval(200 * time.Millisecond), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { r.own(name, p[topic], true) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { r.own(name, p[topic], false) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { r.own(name, p[topic], false) }),
	}, r.opts...)
	client := newClient(r.t, r.seeds, opts...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			r.poll(ctx, client, name)
		}
	}()
	return func() {
		cancel()
		<-ended
		client.CloseAllowingRebalance()
	}
}

func (r *readers) own(name string, partitions []int32, owns bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.owned[name] == nil {
		r.owned[name] = map[int32]bool{}
	}
	for _, p := range partitions {
		if owns {
			r.owned[name][p] = true
		} else {
			delete(r.owned[name], p)
		}
	}
}

func (r *readers) poll(ctx context.Context, client *kgo.Client, name string) {
	fetches := client.PollFetches(ctx)
	defer client.AllowRebalance()
	records := fetches.Records()
	r.mu.Lock()
	for _, rec := range records {
		if r.read[rec.Partition] == nil {
			r.read[rec.Partition] = map[int64]string{}
		}
		r.read[rec.Partition][rec.Offset] = name
	}
	r.mu.Unlock()
	if len(records) == 0 || client.CommitRecords(ctx, records...) != nil {
		return // they will be read again
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range records {
		r.committed[rec.Partition] = max(r.committed[rec.Partition], rec.Offset+1)
	}
}

func (r *readers) ownership() map[string]map[int32]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	owned := map[string]map[int32]bool{}
	for name, partitions := range r.owned {
		owned[name] = maps.Clone(partitions)
	}
	return owned
}

// awaitShares waits until the partitions are shared so: by consumer, how many.
func (r *readers) awaitShares(want map[string]int) {
	r.t.Helper()
	eventually(r.t, fmt.Sprint("the partitions are shared ", want), func() bool {
		total, seen := 0, map[int32]bool{}
		for name, owned := range r.ownership() {
			if len(owned) != want[name] {
				return false
			}
			total += len(owned)
			for p := range owned {
				seen[p] = true
			}
		}
		return total == len(seen)
	})
}

func (r *readers) commits() map[int32]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.committed)
}

// awaitCommits waits until n more offsets of each partition are committed.
func (r *readers) awaitCommits(partitions int32, n int64) {
	r.t.Helper()
	before := r.commits()
	eventually(r.t, "offsets are committed everywhere", func() bool {
		now := r.commits()
		for p := range partitions {
			if now[p] < before[p]+n {
				return false
			}
		}
		return true
	})
}

// verify checks that the group's offsets are no less than what was acknowledged, and that nothing was skipped.
func (r *readers) verify(admin *kadm.Client) {
	r.t.Helper()
	var stored kadm.OffsetResponses
	eventually(r.t, "the offsets are told", func() bool {
		var err error
		stored, err = admin.FetchOffsets(deadline(r.t), groupID)
		return err == nil && stored.Error() == nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, committed := range r.committed {
		o, _ := stored.Lookup(topic, p)
		if o.At < committed {
			r.t.Errorf("partition %d: offset %d, but %d was acknowledged", p, o.At, committed)
		}
		for offset := range committed {
			if r.read[p][offset] == "" {
				r.t.Fatalf("partition %d: offset %d was never read, though %d is committed", p, offset, committed)
			}
		}
	}
}

func TestConsumersShareATopicAndCommit(t *testing.T) {
	for name, balancer := range map[string]kgo.GroupBalancer{"eager": kgo.RangeBalancer(), "cooperative": kgo.CooperativeStickyBalancer()} {
		for _, dev := range []int{1, 3} {
			t.Run(fmt.Sprint(name, " on ", dev), func(t *testing.T) {
				t.Parallel()
				ports := freePorts(t, 1)
				p := newProc(t, "dev", "--dev", fmt.Sprint(dev), "--port", fmt.Sprint(ports[0]))
				p.start()
				for n := range dev {
					p.awaitLog(fmt.Sprintf("node %d: ready on", n+1))
				}
				shareATopic(t, []string{p.addr()}, int16(dev), balancer)
			})
		}
	}
}

func shareATopic(t *testing.T, seeds []string, replicas int16, balancer kgo.GroupBalancer) {
	const partitions = 6
	client := newClient(t, seeds)
	createTopic(t, client, partitions, replicas, "1")
	w := startWorkload(t, seeds, partitions)
	r := newReaders(t, seeds, kgo.Balancers(balancer))
	stopA := r.start("a")
	r.awaitShares(map[string]int{"a": 6})
	r.awaitCommits(partitions, 20)
	stopB := r.start("b")
	r.awaitShares(map[string]int{"a": 3, "b": 3})
	r.awaitCommits(partitions, 20)
	stopA()
	r.awaitShares(map[string]int{"b": 6})
	r.awaitCommits(partitions, 20)
	w.stop()
	stopB()
	admin := kadm.NewClient(client)
	r.verify(admin)
	eventually(t, "the group is empty", func() bool {
		groups, err := admin.DescribeGroups(deadline(t), groupID)
		return err == nil && groups[groupID].State == "Empty" && len(groups[groupID].Members) == 0
	})
	listed, err := admin.ListGroups(deadline(t), "empty")
	if err != nil || len(listed.Groups()) != 1 || listed.Groups()[0] != groupID {
		t.Errorf("listed: %v, %v", listed, err)
	}
}

// Kafka's factors are those of a cluster of three; elections are noticed soon.
const threeNodes = quickElections + `
group.initial.rebalance.delay.ms=100
offsets.topic.num.partitions=10
`

func TestNoCommittedOffsetIsLostWhileCoordinatorsAreKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	t.Parallel()
	const partitions, rounds = 6, 2
	nodes := newCluster(t, 3, threeNodes)
	seeds := addrs(nodes)
	client := newClient(t, seeds)
	createTopic(t, client, partitions, 3, "2")
	admin := kadm.NewClient(client)
	w := startWorkload(t, seeds, partitions)
	r := newReaders(t, seeds, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	stopA, stopB := r.start("a"), r.start("b")
	r.awaitShares(map[string]int{"a": 3, "b": 3})
	r.awaitCommits(partitions, 20)
	for round := range rounds {
		victim := nodes[coordinatorOf(t, admin)-1]
		victim.kill()
		r.awaitCommits(partitions, 20)
		t.Logf("round %d: the coordinator, %s, killed; committed %v", round+1, victim.name, r.commits())
		victim.start()
		victim.awaitReady()
		awaitFullISR(t, admin, 3)
	}
	killAllAndRestart(nodes)
	r.awaitCommits(partitions, 20)
	w.stop()
	stopA()
	stopB()
	r.verify(admin)
}

func coordinatorOf(t *testing.T, admin *kadm.Client) (node int32) {
	t.Helper()
	eventually(t, "there is a coordinator", func() bool {
		found := admin.FindGroupCoordinators(deadline(t), groupID)[groupID]
		node = found.NodeID
		return found.Err == nil
	})
	return node
}

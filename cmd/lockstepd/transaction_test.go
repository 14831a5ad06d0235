package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// quickAborts has transactions whose producer is gone aborted soon.
const quickAborts = `
transaction.abort.timed.out.transaction.cleanup.interval.ms=200
transaction.state.log.num.partitions=10
`

// protocols are the ways in which clients speak of transactions: version 2 (KIP-890), and the one before it.
var protocols = map[string][]kgo.Opt{"version 2": nil, "version 1": {kgo.MaxVersions(kversion.V3_7_0())}}

// ledger is what transactional producers did: each transaction writes its name once to every partition.
type ledger struct {
	t          *testing.T
	seeds      []string
	partitions int32
	opts       []kgo.Opt

	mu        sync.Mutex
	committed map[string]bool // acknowledged
	aborted   map[string]bool
	unknown   int
}

func newLedger(t *testing.T, seeds []string, partitions int32, opts ...kgo.Opt) *ledger {
	return &ledger{t: t, seeds: seeds, partitions: partitions, opts: opts, committed: map[string]bool{}, aborted: map[string]bool{}}
}

func (l *ledger) producer(id string) *kgo.Client {
	opts := append([]kgo.Opt{
		kgo.TransactionalID(id), kgo.TransactionTimeout(5 * time.Second), kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
	}, l.opts...)
	return newClient(l.t, l.seeds, opts...)
}

// write puts a transaction's records into all partitions.
func (l *ledger) write(ctx context.Context, client *kgo.Client, name string) error {
	var records []*kgo.Record
	for p := range l.partitions {
		records = append(records, &kgo.Record{Partition: p, Value: []byte(name)})
	}
	return client.ProduceSync(ctx, records...).FirstErr()
}

// run makes one transaction after the other until ctx ends. When nobody knows how one ended, another client takes over the id.
func (l *ledger) run(ctx context.Context, id string) {
	client := l.producer(id)
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprint(id, "/", n)
		if err := l.transaction(client, name, n%3 != 2); err != nil {
			l.t.Logf("%s: %v", name, err)
			client.Close()
			client = l.producer(id)
		}
	}
	client.Close()
}

func (l *ledger) transaction(client *kgo.Client, name string, commit bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := client.BeginTransaction(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := l.write(ctx, client, name); err != nil {
		commit = false
		if abort := client.EndTransaction(ctx, kgo.TryAbort); abort != nil {
			l.note(name, nil)
			return fmt.Errorf("write: %w; abort: %w", err, abort)
		}
		l.note(name, &commit)
		return nil
	}
	if err := client.EndTransaction(ctx, kgo.TransactionEndTry(commit)); err != nil {
		l.note(name, nil)
		return fmt.Errorf("end: %w", err)
	}
	l.note(name, &commit)
	return nil
}

func (l *ledger) note(name string, commit *bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case commit == nil:
		l.unknown++
	case *commit:
		l.committed[name] = true
	default:
		l.aborted[name] = true
	}
}

func (l *ledger) commits() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.committed)
}

func (l *ledger) awaitCommits(n int) {
	l.t.Helper()
	before := l.commits()
	eventually(l.t, "transactions are committed", func() bool { return l.commits() >= before+n })
}

// readCommitted is how often each partition has each value, up to where all is decided.
func readCommitted(t *testing.T, seeds []string) map[int32]map[string]int {
	t.Helper()
	client := newClient(t, seeds, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	admin := kadm.NewClient(client)
	var ends kadm.ListedOffsets
	eventually(t, "no transaction is open", func() bool {
		all, err := admin.ListEndOffsets(deadline(t), topic)
		if err == nil {
			ends, err = admin.ListCommittedOffsets(deadline(t), topic)
		}
		if err != nil || all.Error() != nil || ends.Error() != nil {
			return false
		}
		decided := true
		ends.Each(func(o kadm.ListedOffset) {
			end, _ := all.Lookup(o.Topic, o.Partition)
			decided = decided && end.Offset == o.Offset
		})
		return decided
	})
	got, at := map[int32]map[string]int{}, map[int32]int64{}
	done := func() bool {
		done := true
		ends.Each(func(o kadm.ListedOffset) { done = done && at[o.Partition] >= o.Offset })
		return done
	}
	for ctx := deadline(t); !done(); {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("cannot read to the ends: at %v of %v", at, ends)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			at[r.Partition] = r.Offset + 1
			if r.Attrs.IsControl() {
				return
			}
			if got[r.Partition] == nil {
				got[r.Partition] = map[string]int{}
			}
			got[r.Partition][string(r.Value)]++
		})
	}
	return got
}

// verify checks that every transaction is in all partitions or in none, once, as its producer was told.
func (l *ledger) verify() {
	l.t.Helper()
	got := readCommitted(l.t, l.seeds)
	names := map[string]int{}
	for p := range l.partitions {
		for name, n := range got[p] {
			if n != 1 {
				l.t.Errorf("partition %d has %s %d times", p, name, n)
			}
			names[name]++
		}
	}
	for name, n := range names {
		if n != int(l.partitions) {
			l.t.Errorf("%s is in %d of %d partitions", name, n, l.partitions)
		}
		if l.aborted[name] {
			l.t.Errorf("%s was aborted and is there", name)
		}
	}
	for name := range l.committed {
		if names[name] == 0 {
			l.t.Errorf("%s was committed and is not there", name)
		}
	}
	l.t.Logf("%d committed, %d aborted, %d of which nobody was told", len(l.committed), len(l.aborted), l.unknown)
}

func TestTransactionsAreSeenWholeOrNotAtAll(t *testing.T) {
	for name, opts := range protocols {
		for _, dev := range []int{1, 3} {
			t.Run(fmt.Sprint(name, " on ", dev), func(t *testing.T) {
				t.Parallel()
				args := []string{"--dev", fmt.Sprint(dev), "--port", fmt.Sprint(freePorts(t, 1)[0])}
				for _, line := range strings.Fields(quickAborts) {
					args = append(args, "--set", line)
				}
				p := newProc(t, "dev", args...)
				p.start()
				for n := range dev {
					p.awaitLog(fmt.Sprintf("node %d: ready on", n+1))
				}
				testTransactions(t, []string{p.addr()}, int16(dev), opts)
			})
		}
	}
}

func testTransactions(t *testing.T, seeds []string, replicas int16, opts []kgo.Opt) {
	const partitions = 6
	client := newClient(t, seeds)
	createTopic(t, client, partitions, replicas, "1")
	l := newLedger(t, seeds, partitions, opts...)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var running sync.WaitGroup
	for i := range 3 {
		running.Go(func() { l.run(ctx, fmt.Sprint("producer-", i)) })
	}
	l.awaitCommits(60)
	cancel()
	running.Wait()
	if l.unknown > 0 {
		t.Errorf("%d transactions whose end nobody knows, though nothing went wrong", l.unknown)
	}

	abandoned := l.producer("abandoned")
	if err := errors.Join(abandoned.BeginTransaction(), l.write(deadline(t), abandoned, "abandoned")); err != nil {
		t.Fatal(err)
	}
	l.aborted["abandoned"] = true
	zombie := l.producer("fenced")
	if err := errors.Join(zombie.BeginTransaction(), l.write(deadline(t), zombie, "of a zombie")); err != nil {
		t.Fatal(err)
	}
	l.aborted["of a zombie"] = true
	if err := l.transaction(l.producer("fenced"), "of its successor", true); err != nil {
		t.Fatal(err)
	}
	if err := l.write(deadline(t), zombie, "late"); err == nil {
		t.Error("a producer that is fenced may still write")
	}
	l.verify()
}

// Kafka's factors are those of a cluster of three; elections are noticed soon.
const threeNodesTxn = quickElections + quickAborts + `
group.initial.rebalance.delay.ms=100
offsets.topic.num.partitions=10
`

func TestTransactionsStayWholeWhileCoordinatorsAreKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	for name, opts := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const partitions, rounds = 4, 3
			nodes := newCluster(t, 3, threeNodesTxn)
			seeds := addrs(nodes)
			client := newClient(t, seeds)
			createTopic(t, client, partitions, 3, "2")
			admin := kadm.NewClient(client)
			l := newLedger(t, seeds, partitions, opts...)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var running sync.WaitGroup
			for i := range 3 {
				running.Go(func() { l.run(ctx, fmt.Sprint("producer-", i)) })
			}
			l.awaitCommits(20)
			for round := range rounds {
				victim := nodes[txnCoordinatorOf(t, admin, "producer-0")-1]
				victim.kill()
				l.awaitCommits(20)
				t.Logf("round %d: the coordinator, %s, killed; %d committed", round+1, victim.name, l.commits())
				victim.start()
				victim.awaitReady()
				awaitFullISR(t, admin, 3)
			}
			killAllAndRestart(nodes)
			l.awaitCommits(20)
			cancel()
			running.Wait()
			l.verify()
		})
	}
}

func txnCoordinatorOf(t *testing.T, admin *kadm.Client, id string) (node int32) {
	t.Helper()
	eventually(t, "there is a coordinator", func() bool {
		found := admin.FindTxnCoordinators(deadline(t), id)[id]
		node = found.NodeID
		return found.Err == nil
	})
	return node
}

// transform reads numbers from a topic as a member of a group and writes each to another, once, with the offsets in the transaction.
func transform(ctx context.Context, t *testing.T, seeds []string, id string, opts ...kgo.Opt) {
	opts = append([]kgo.Opt{
		kgo.SeedBrokers(seeds...), kgo.TransactionalID(id), kgo.TransactionTimeout(5 * time.Second), kgo.ConsumerGroup(groupID), kgo.ConsumeTopics("input"),
		kgo.DefaultProduceTopic(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.RequireStableFetchOffsets(), kgo.SessionTimeout(6 * time.Second), kgo.HeartbeatInterval(200 * time.Millisecond), kgo.ProducerLinger(0),
		kgo.MetadataMinAge(100 * time.Millisecond),
	}, opts...)
	for ctx.Err() == nil {
		session, err := kgo.NewGroupTransactSession(opts...)
		if err != nil {
			t.Error(err)
			return
		}
		for err == nil && ctx.Err() == nil {
			err = transformSome(ctx, session)
		}
		if ctx.Err() == nil {
			t.Logf("%s: %v", id, err)
		}
		session.Client().CloseAllowingRebalance()
	}
}

func transformSome(ctx context.Context, session *kgo.GroupTransactSession) error {
	fetches := session.PollRecords(ctx, 20)
	if ctx.Err() != nil || fetches.NumRecords() == 0 {
		return nil
	}
	end, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := session.Begin(); err != nil {
		return err
	}
	var first kgo.FirstErrPromise
	fetches.EachRecord(func(r *kgo.Record) {
		session.Produce(end, &kgo.Record{Value: r.Value}, first.Promise())
	})
	_, err := session.End(end, kgo.TransactionEndTry(first.Err() == nil))
	return err
}

func TestEachRecordIsTransformedExactlyOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	for name, opts := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes := newCluster(t, 3, threeNodesTxn)
			seeds := addrs(nodes)
			client := newClient(t, seeds)
			createTopic(t, client, 3, 3, "2")
			admin := kadm.NewClient(client)
			if _, err := admin.CreateTopic(deadline(t), 4, 3, nil, "input"); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var running sync.WaitGroup
			for i := range 2 {
				running.Go(func() { transform(ctx, t, seeds, fmt.Sprint("worker-", i), opts...) })
			}
			sent := 0
			send := func(n int) {
				for range n {
					if err := client.ProduceSync(deadline(t), &kgo.Record{Topic: "input", Value: []byte(strconv.Itoa(sent))}).FirstErr(); err != nil {
						t.Fatal(err)
					}
					sent++
				}
			}
			send(200)
			for round := range 2 {
				victim := nodes[coordinatorOf(t, admin)-1]
				if round == 1 {
					victim = nodes[txnCoordinatorOf(t, admin, "worker-0")-1]
				}
				victim.kill()
				send(200)
				victim.start()
				victim.awaitReady()
				awaitFullISR(t, admin, 3)
			}
			counts := map[string]int{}
			eventually(t, "all is transformed", func() bool {
				clear(counts)
				for _, values := range readCommitted(t, seeds) {
					for value, n := range values {
						counts[value] += n
					}
				}
				return len(counts) >= sent
			})
			cancel()
			running.Wait()
			for value, n := range counts {
				if n != 1 {
					t.Errorf("%s is there %d times", value, n)
				}
			}
			if len(counts) != sent {
				t.Errorf("%d of %d are there: %v", len(counts), sent, maps.Keys(counts))
			}
		})
	}
}

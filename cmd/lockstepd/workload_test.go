package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "events"

func newClient(t *testing.T, seeds []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts = append([]kgo.Opt{kgo.SeedBrokers(seeds...), kgo.MetadataMinAge(100 * time.Millisecond), kgo.UnknownTopicRetries(-1)}, opts...)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func createTopic(t *testing.T, client *kgo.Client, partitions int32, replicas int16, minISR string) {
	t.Helper()
	configs := map[string]*string{"min.insync.replicas": &minISR}
	resp, err := kadm.NewClient(client).CreateTopic(deadline(t), partitions, replicas, configs, topic)
	if err != nil || resp.Err != nil {
		t.Fatalf("creating the topic: %v, %v", err, resp.Err)
	}
}

// workload produces numbered records to every partition in turn, as many at a time as the client
// buffers, until stopped. The client is idempotent and asks for acks=all.
type workload struct {
	t          *testing.T
	client     *kgo.Client
	partitions int32
	cancel     context.CancelFunc
	ended      chan struct{}

	mu      sync.Mutex
	sent    []int64           // by partition
	acked   []map[int64]int64 // by partition: offset of each number
	total   int
	errs    []error
	lastAck time.Time
	pause   time.Duration // the longest time without an acknowledgement since resetPause
}

func startWorkload(t *testing.T, seeds []string, partitions int32, opts ...kgo.Opt) *workload {
	t.Helper()
	opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(200), kgo.StopProducerOnDataLossDetected(),
		kgo.ProducerLinger(0), kgo.DefaultProduceTopic(topic))
	w := &workload{t: t, client: newClient(t, seeds, opts...), partitions: partitions, ended: make(chan struct{}), sent: make([]int64, partitions), lastAck: time.Now()}
	for range partitions {
		w.acked = append(w.acked, map[int64]int64{})
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	t.Cleanup(cancel)
	go w.run(ctx)
	return w
}

func (w *workload) run(ctx context.Context) {
	defer close(w.ended)
	for n := int64(0); ctx.Err() == nil; n++ {
		for p := int32(0); p < w.partitions && ctx.Err() == nil; p++ {
			w.mu.Lock()
			w.sent[p] = n + 1
			w.mu.Unlock()
			w.client.Produce(context.Background(), &kgo.Record{Partition: p, Value: number(p, n)}, w.onAck)
		}
	}
}

// number is the value of the n-th record of a partition.
func number(p int32, n int64) []byte {
	value := binary.BigEndian.AppendUint32(make([]byte, 0, 100), uint32(p))
	return binary.BigEndian.AppendUint64(value, uint64(n))[:cap(value)]
}

func (w *workload) onAck(r *kgo.Record, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.errs = append(w.errs, fmt.Errorf("record %d of partition %d: %w", binary.BigEndian.Uint64(r.Value[4:]), r.Partition, err))
		return
	}
	now := time.Now()
	w.pause = max(w.pause, now.Sub(w.lastAck))
	w.lastAck = now
	w.acked[r.Partition][int64(binary.BigEndian.Uint64(r.Value[4:]))] = r.Offset
	w.total++
}

func (w *workload) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total
}

// resetPause returns the longest time without an acknowledgement since it was called last.
func (w *workload) resetPause() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	pause := max(w.pause, time.Since(w.lastAck))
	w.pause, w.lastAck = 0, time.Now()
	return pause
}

// awaitProgressEverywhere waits until each partition has acknowledged n more records.
func (w *workload) awaitProgressEverywhere(n int) {
	w.t.Helper()
	var from []int
	for p := range w.partitions {
		from = append(from, w.countOf(p))
	}
	for p := range w.partitions {
		eventually(w.t, fmt.Sprintf("%d more records of partition %d are acknowledged", n, p), func() bool { return w.countOf(p) >= from[p]+n })
	}
}

// countOf is how many records of a partition are acknowledged. A record that failed ends the test: the client then takes no
// more.
func (w *workload) countOf(p int32) int {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.errs) > 0 {
		w.t.Fatalf("%d records failed, %d of partition %d are acknowledged; the first: %v", len(w.errs), len(w.acked[p]), p, w.errs[0])
	}
	return len(w.acked[p])
}

// stop ends producing and waits for every answer; none may be an error.
func (w *workload) stop() {
	w.t.Helper()
	w.cancel()
	<-w.ended
	if err := w.client.Flush(deadline(w.t)); err != nil {
		w.t.Fatalf("waiting for the last acknowledgements: %v", err)
	}
	if len(w.errs) > 0 {
		w.t.Fatalf("%d records failed; the first: %v", len(w.errs), w.errs[0])
	}
}

// verify reads everything back: each partition must hold each record sent, once, in order, at the
// offset that was acknowledged.
func (w *workload) verify(seeds []string) {
	w.t.Helper()
	got := readAll(w.t, seeds, w.total)
	for p := range w.partitions {
		if len(got[p]) != int(w.sent[p]) {
			w.t.Errorf("partition %d: %d records were acknowledged, %d are there", p, w.sent[p], len(got[p]))
		}
		for i, r := range got[p] {
			if n := int64(binary.BigEndian.Uint64(r.Value[4:])); n != int64(i) || w.acked[p][n] != r.Offset {
				w.t.Fatalf("partition %d: record %d at offset %d where %d was expected, acknowledged at %d", p, n, r.Offset, i, w.acked[p][n])
			}
		}
	}
}

// readAll reads the topic to the end of each partition.
func readAll(t *testing.T, seeds []string, total int) map[int32][]*kgo.Record {
	t.Helper()
	client := newClient(t, seeds, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ends, err := kadm.NewClient(client).ListEndOffsets(deadline(t), topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatalf("listing the ends: %v", err)
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	got := map[int32][]*kgo.Record{}
	for ctx := deadline(t); left > 0; {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records cannot be read", left, total)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got[r.Partition] = append(got[r.Partition], r)
			left--
		})
	}
	return got
}

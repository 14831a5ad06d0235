// Command franz produces a thousand records with acks=all and reads them back, with a stock Kafka client
// (github.com/twmb/franz-go).
//
//	go run ./cmd/lockstepd --dev 3
//	go run ./examples/franz 127.0.0.1:9092
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	topic   = "greetings"
	records = 1000
)

func main() {
	log.SetFlags(0)
	seeds := os.Args[1:]
	if len(seeds) == 0 {
		seeds = []string{"127.0.0.1:9092"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	first, last, err := produce(ctx, seeds)
	if err != nil {
		log.Fatalf("franz: producing: %v", err)
	}
	fmt.Printf("produced %d records to %s, offsets %d to %d of partition %d\n", records, topic, first.Offset, last.Offset, first.Partition)
	n, err := consume(ctx, seeds, first, last.Offset)
	if err != nil {
		log.Fatalf("franz: consuming: %v", err)
	}
	fmt.Printf("read %d of them back, in order\n", n)
}

// produce sends the records, idempotently and with acks=all as is franz-go's default, and returns the first and the
// last one with their offsets.
func produce(ctx context.Context, seeds []string) (first, last *kgo.Record, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation(),
		kgo.RecordPartitioner(kgo.StickyPartitioner()))
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	batch := make([]*kgo.Record, records)
	for i := range batch {
		batch[i] = kgo.KeySliceRecord([]byte("greeting"), fmt.Appendf(nil, "hello, %d", i))
	}
	results := client.ProduceSync(ctx, batch...)
	return results[0].Record, results[len(results)-1].Record, results.FirstErr()
}

// consume reads from the first record on to the offset end and checks what it gets.
func consume(ctx context.Context, seeds []string, first *kgo.Record, end int64) (n int, err error) {
	from := map[string]map[int32]kgo.Offset{topic: {first.Partition: kgo.NewOffset().At(first.Offset)}}
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.ConsumePartitions(from))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return n, err
		}
		for _, r := range fetches.Records() {
			if want := fmt.Sprintf("hello, %d", n); string(r.Value) != want {
				return n, fmt.Errorf("offset %d holds %q, not %q", r.Offset, r.Value, want)
			}
			if n++; r.Offset == end {
				return n, nil
			}
		}
	}
}

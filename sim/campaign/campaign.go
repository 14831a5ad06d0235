// Package campaign spreads a fuzz over many machines: ranges of seeds are records of a topic, workers of one consumer group
// take them, and what becomes of each seed is a record of a compacted topic, its key the seed. Any Kafka cluster will do.
//
// A worker commits a range when its results are acknowledged. One that dies leaves its range to another, and what it
// had written already is written again with the same key and the same value: nothing is lost or counted twice.
package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lockstep/lockstep/sim"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options says where a campaign is.
type Options struct {
	Seeds      []string // bootstrap servers, host:port
	Topic      string   // of the ranges
	Partitions int32    // of a topic that is made: as many workers can share a campaign
	Extra      []kgo.Opt
}

// results is the topic of what became of the seeds.
func (o *Options) results() string { return o.Topic + "-results" }

// group is the workers' consumer group.
func (o *Options) group() string { return o.Topic + "-workers" }

// Range is a record of the topic: seeds From to To, both included.
type Range struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	sim.Variant
	Build string `json:"build"` // that is to run it
}

func (o *Options) connect(opts ...kgo.Opt) (*kgo.Client, error) {
	opts = append(opts, kgo.SeedBrokers(o.Seeds...), kgo.ClientID("lockstep-campaign"))
	return kgo.NewClient(append(opts, o.Extra...)...)
}

// Enqueue makes the topics where they are missing and writes the ranges, size seeds in each.
func Enqueue(ctx context.Context, o Options, all Range, size uint64) (ranges int, err error) {
	client, err := o.connect()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	if err := o.createTopics(ctx, kadm.NewClient(client)); err != nil {
		return 0, err
	}
	records, err := o.split(all, size)
	if err != nil {
		return 0, err
	}
	return len(records), client.ProduceSync(ctx, records...).FirstErr()
}

func (o *Options) split(all Range, size uint64) (records []*kgo.Record, err error) {
	for from := all.From; from <= all.To; from += size {
		part := all
		part.From, part.To = from, min(from+size-1, all.To)
		value, err := json.Marshal(part)
		if err != nil {
			return nil, err
		}
		// Round robin over the partitions: a key's hash would leave some workers without work.
		records = append(records, &kgo.Record{Topic: o.Topic, Key: fmt.Appendf(nil, "%d..%d", part.From, part.To), Value: value})
	}
	return records, nil
}

func (o *Options) createTopics(ctx context.Context, admin *kadm.Client) error {
	compact, forever := "compact", "-1"
	return errors.Join(
		create(ctx, admin, o.Topic, o.Partitions, map[string]*string{"retention.ms": &forever}),
		create(ctx, admin, o.results(), 1, map[string]*string{"cleanup.policy": &compact}),
	)
}

func create(ctx context.Context, admin *kadm.Client, topic string, partitions int32, configs map[string]*string) error {
	_, err := admin.CreateTopic(ctx, partitions, -1, configs, topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("topic %s: %w", topic, err)
	}
	return nil
}

package campaign

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/lockstep/lockstep/sim"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Status is how far a campaign is.
type Status struct {
	Seeds   uint64       // in all ranges, each once
	Results *sim.Results // so far
}

// Missing is how many seeds have no result yet.
func (s *Status) Missing() uint64 { return s.Seeds - min(uint64(s.Results.Len()), s.Seeds) }

// Done reports whether every seed has its result.
func (s *Status) Done() bool { return s.Missing() == 0 }

// ReadStatus reads both topics to their ends. It fails with sim.ErrTwoDigests if a seed's results differ.
func ReadStatus(ctx context.Context, o Options) (*Status, error) {
	s := &Status{Results: new(sim.Results)}
	var ranges []Range
	err := errors.Join(
		readAll(ctx, o, o.Topic, func(value []byte) error {
			var r Range
			err := json.Unmarshal(value, &r)
			ranges = append(ranges, r)
			return err
		}),
		readAll(ctx, o, o.results(), func(value []byte) error {
			r, err := sim.ParseRecord(value)
			if err != nil {
				return err
			}
			return s.Results.Add(r)
		}),
	)
	s.Seeds = seedsIn(ranges)
	return s, err
}

// seedsIn counts the seeds of ranges that may overlap.
func seedsIn(ranges []Range) (n uint64) {
	slices.SortFunc(ranges, func(a, b Range) int { return cmp.Compare(a.From, b.From) })
	next := uint64(0) // the lowest seed that is not counted
	for _, r := range ranges {
		if from := max(r.From, next); r.To >= from {
			n += r.To - from + 1
			next = r.To + 1
		}
	}
	return n
}

// readAll gives the value of each record that a topic has now.
func readAll(ctx context.Context, o Options, topic string, use func(value []byte) error) error {
	client, err := o.connect()
	if err != nil {
		return err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("topic %s: %w", topic, err)
	}
	starts, left := map[int32]kgo.Offset{}, map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset > 0 {
			starts[end.Partition], left[end.Partition] = kgo.NewOffset().AtStart(), end.Offset
		}
	})
	if len(starts) == 0 {
		return nil
	}
	reader, err := o.connect(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: starts}), kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer reader.Close()
	return readUntil(ctx, reader, left, use)
}

// readUntil reads each partition until its offset is reached.
func readUntil(ctx context.Context, reader *kgo.Client, left map[int32]int64, use func(value []byte) error) error {
	for len(left) > 0 {
		fetches := reader.PollFetches(ctx)
		if err := errors.Join(ctx.Err(), fetches.Err()); err != nil {
			return err
		}
		for _, r := range fetches.Records() {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			if r.Attrs.IsControl() || r.Value == nil {
				continue
			}
			if err := use(r.Value); err != nil {
				return fmt.Errorf("%s-%d@%d: %w", r.Topic, r.Partition, r.Offset, err)
			}
		}
	}
	return nil
}

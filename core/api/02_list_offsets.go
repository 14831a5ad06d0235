package api

import (
	"math"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListOffsets (key 2), versions 1 to 11: the latest (-1; with read_committed the last stable), earliest (-2) and
// largest-timestamp (-3) offsets, and the first record at or after a timestamp. There is no tiered storage: -4 is the earliest, -5
// and -6 are unknown.
func (k *call) listOffsets() {
	req := k.req.Body.(*kmsg.ListOffsetsRequest)
	l := listOffsetsCall{call: k, req: req, open: 1} // until the loop below is through
	named := map[event.Partition]int{}
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			named[event.Partition{Topic: req.Topics[i].Topic, Index: req.Topics[i].Partitions[j].Partition}]++
		}
	}
	for i := range req.Topics {
		l.listTopic(named, &req.Topics[i])
	}
	l.finish()
}

// listTopic answers for each partition once; for one that is named several times with an error.
func (l *listOffsetsCall) listTopic(named map[event.Partition]int, asked *kmsg.ListOffsetsRequestTopic) {
	partitions := make([]kmsg.ListOffsetsResponseTopicPartition, 0, len(asked.Partitions)) // does not move while lookups are under way
	for j := range asked.Partitions {
		id := event.Partition{Topic: asked.Topic, Index: asked.Partitions[j].Partition}
		times := named[id]
		if times == 0 {
			continue
		}
		partitions = partitions[:len(partitions)+1]
		l.list(id, times > 1, &asked.Partitions[j], &partitions[len(partitions)-1])
		if times > 1 {
			named[id] = 0
		}
	}
	if len(partitions) > 0 {
		l.resp.Topics = append(l.resp.Topics, kmsg.ListOffsetsResponseTopic{Topic: asked.Topic, Partitions: partitions})
	}
}

// listOffsetsCall is one ListOffsets on its way: some lookups read the disk.
type listOffsetsCall struct {
	*call
	req  *kmsg.ListOffsetsRequest
	resp kmsg.ListOffsetsResponse
	open int // lookups under way
}

func (l *listOffsetsCall) finish() {
	if l.open--; l.open == 0 {
		l.reply(&l.resp)
	}
}

func (l *listOffsetsCall) list(id event.Partition, repeated bool, asked *kmsg.ListOffsetsRequestTopicPartition, told *kmsg.ListOffsetsResponseTopicPartition) {
	told.Default()
	told.Partition = asked.Partition
	switch {
	case repeated:
		told.ErrorCode = kerr.InvalidRequest.Code
	case asked.Timestamp < 0 && l.req.Version < timestampSince(asked.Timestamp):
		told.ErrorCode = kerr.UnsupportedVersion.Code
	default:
		l.lookUp(id, asked, told)
	}
}

// timestampSince is the first version in which a negative timestamp has a meaning.
func timestampSince(timestamp int64) int16 {
	since := [...]int16{0, 1, 1, 7, 8, 9, 11} // by -timestamp
	if timestamp <= -int64(len(since)) {
		return math.MaxInt16
	}
	return since[-timestamp]
}

func (l *listOffsetsCall) lookUp(id event.Partition, asked *kmsg.ListOffsetsRequestTopicPartition, told *kmsg.ListOffsetsResponseTopicPartition) {
	q := replica.ListOffsetQuery{
		Timestamp:          asked.Timestamp,
		CurrentLeaderEpoch: asked.CurrentLeaderEpoch,
		ReplicaID:          l.req.ReplicaID,
		ReadCommitted:      l.req.IsolationLevel == 1,
	}
	l.open++
	l.server.Replicas.ListOffset(id, q, func(r replica.ListOffsetResult) {
		told.ErrorCode = wire.Code(r.Err)
		if r.Err == kerr.OffsetNotAvailable && l.req.Version < 5 {
			told.ErrorCode = kerr.LeaderNotAvailable.Code // KIP-207's code is unknown to older clients
		}
		if r.Err == nil {
			told.Offset, told.Timestamp, told.LeaderEpoch = r.Offset, r.Timestamp, r.LeaderEpoch
		}
		l.finish()
	})
}

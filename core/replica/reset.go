package replica

import (
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The timestamps of ListOffsets that are none.
const (
	latestTimestamp         = -1
	earliestTimestamp       = -2
	maxTimestamp            = -3
	earliestLocalTimestamp  = -4
	latestTieredTimestamp   = -5
	earliestPendingUploadTS = -6
)

// reset finds out where the leader's log begins and ends, after it said that it does not have the offset we ask for.
//
// If it ends before ours, ours is cut to it: an unclean election has lost records. If it begins after
// our end, we were away for longer than records are kept: all of ours is stale, and we start at its beginning.
func (f *following) reset() {
	f.state = resetting
	f.changed()
	f.ask(latestTimestamp, func(end int64) {
		if end < f.p.log.LogEndOffset() {
			f.truncateTo(end)
			f.resume()
			return
		}
		f.ask(earliestTimestamp, func(start int64) {
			if start > f.p.log.LogEndOffset() {
				f.startAt(start)
			}
			f.resume()
		})
	})
}

// ask gets an offset from the leader. then runs only if nothing has changed meanwhile.
func (f *following) ask(timestamp int64, then func(offset int64)) {
	p, fetcher, epoch := f.p, f.fetcher, f.p.leaderEpoch
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = -1
	req.ReplicaID = p.m.cfg.NodeID
	topic, part := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	part.Partition, part.Timestamp, part.CurrentLeaderEpoch = p.id.Index, timestamp, epoch
	topic.Topic, topic.Partitions = p.id.Topic, append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	p.m.peers.Lane("list-offsets").Send(fetcher.addr, req, p.m.cfg.FetchTimeout, func(r *wire.Response, err error) {
		offset, ok := listedOffset(r, err)
		r.Release()
		if f.fetcher != fetcher || f.state != resetting || p.leaderEpoch != epoch || !p.isOnline() {
			return
		}
		if !ok {
			f.delay(p.m.cfg.FetchBackoff)
			return
		}
		then(offset)
	})
}

// listedOffset is the one offset that a response has.
func listedOffset(r *wire.Response, err error) (int64, bool) {
	if err != nil {
		return 0, false
	}
	body := r.Body.(*kmsg.ListOffsetsResponse)
	if len(body.Topics) != 1 || len(body.Topics[0].Partitions) != 1 {
		return 0, false
	}
	p := &body.Topics[0].Partitions[0]
	return p.Offset, p.ErrorCode == 0 && p.Offset >= 0
}

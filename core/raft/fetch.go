package raft

import (
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetch is one request of a replica to the leader, while it is being answered.
type fetch struct {
	n        *Node
	from     voterKey
	offset   int64
	epoch    int32 // of the record before offset
	leaderOf int32 // the epoch in which the replica believes to fetch
	hw       int64 // that the replica knows
	maxBytes int
	deadline scheduler.Instant
	done     func(*wire.FetchResponse, func())
}

// HandleFetch answers a fetch of the metadata log, by voters, observers and readers alike. A
// voter's fetch offset is its promise that all before is synced. req is used until done; release,
// which may be nil, is called when the response has been sent.
func (n *Node) HandleFetch(req *kmsg.FetchRequest, done func(resp *wire.FetchResponse, release func())) {
	n.step(func() { n.onFetch(req, done) })
}

func (n *Node) onFetch(req *kmsg.FetchRequest, done func(*wire.FetchResponse, func())) {
	if !n.isOurCluster(req.ClusterID) {
		n.say(func() { done(&wire.FetchResponse{ErrorCode: kerr.InconsistentClusterID.Code}, nil) })
		return
	}
	if !isMetadataFetch(req) {
		n.say(func() { done(&wire.FetchResponse{ErrorCode: kerr.InvalidRequest.Code}, nil) })
		return
	}
	p := &req.Topics[0].Partitions[0]
	f := &fetch{n: n, offset: p.FetchOffset, epoch: p.LastFetchedEpoch, leaderOf: p.CurrentLeaderEpoch, hw: p.HighWatermark,
		maxBytes: int(req.MaxBytes), deadline: n.env.Loop.Now().Add(time.Duration(req.MaxWaitMillis) * time.Millisecond), done: done,
		from: voterKey{req.ReplicaState.ID, p.ReplicaDirectoryID}}
	if req.Version < 15 {
		f.from.id = req.ReplicaID
	}
	if req.Version < 18 {
		f.hw = 1<<63 - 1 // it cannot say: wait for records only
	}
	if req.MaxWaitMillis < 0 || f.offset < 0 || f.epoch < 0 || f.epoch > f.leaderOf {
		f.answerError(kerr.InvalidRequest.Code)
		return
	}
	f.try(req.MaxWaitMillis > 0)
}

func isMetadataFetch(req *kmsg.FetchRequest) bool {
	if len(req.Topics) != 1 || len(req.Topics[0].Partitions) != 1 || req.Topics[0].Partitions[0].Partition != 0 {
		return false
	}
	t := &req.Topics[0]
	return req.Version >= 13 && t.TopicID == metadataTopicID || req.Version < 13 && t.Topic == metadataTopic
}

// checkLeaderRequest validates a request that only the leader of the epoch may answer.
func (n *Node) checkLeaderRequest(epoch int32) int16 {
	_, leads := n.state.(*leader)
	switch {
	case epoch < n.election.epoch:
		return kerr.FencedLeaderEpoch.Code
	case epoch > n.election.epoch:
		return kerr.UnknownLeaderEpoch.Code
	case !leads:
		return kerr.NotLeaderForPartition.Code
	case n.onGone != nil:
		return kerr.BrokerNotAvailable.Code
	default:
		return 0
	}
}

// try answers the fetch, or lets it wait for what it does not have yet.
func (f *fetch) try(mayWait bool) {
	n := f.n
	if code := n.checkLeaderRequest(f.leaderOf); code != 0 {
		f.answerError(code)
		return
	}
	s := n.state.(*leader)
	r := s.replica(f.from)
	if r != nil {
		r.heard = n.env.Loop.Now()
	}
	verdict, where := n.validate(f.offset, f.epoch)
	if verdict != valid {
		f.answerElsewhere(verdict, where)
		return
	}
	if r != nil {
		r.fetchDir = f.from.dir
		s.onFetched(r, f.offset)
	}
	switch {
	case f.offset < n.log.LogEndOffset():
		f.read()
	case mayWait && s.hw <= f.hw && !n.env.Buggify.Fires(buggify.RaftEmptyEarly):
		s.purgatory.add(f)
	default:
		f.answerRecords(storage.Slice{})
	}
}

// validate compares the end of a replica's log with ours. One that starts from nothing is better
// off with a snapshot.
func (n *Node) validate(offset int64, epoch int32) (validity, SnapshotID) {
	latest := n.snapshots.latest
	if offset == 0 && latest.EndOffset > 0 {
		return snapshotted, latest
	}
	start := n.log.LogStartOffset()
	return validateOffsetAndEpoch(offset, epoch, start, n.log.LogEndOffset(), latest, latest, n.log.EndOffsetForEpoch)
}

// read answers with records, those above the high watermark too.
func (f *fetch) read() {
	end := f.n.log.LogEndOffset()
	if f.n.env.Buggify.Fires(buggify.RaftOneBatch) {
		f.maxBytes = 0
	}
	slice, err := f.n.log.Read(storage.ReadRequest{Offset: f.offset, MaxBytes: f.maxBytes, UpTo: end, MinOneBatch: true},
		func(slice storage.Slice, err error) { f.n.step(func() { f.onRead(slice, err) }) })
	if err != storage.ErrPending {
		f.onRead(slice, err)
	}
}

func (f *fetch) onRead(slice storage.Slice, err error) {
	code := f.n.checkLeaderRequest(f.leaderOf)
	switch {
	case err != nil:
		f.answerError(wire.Code(err))
	case code != 0: // we stepped down while the disk was busy
		slice.Release()
		f.answerError(code)
	default:
		f.answerRecords(slice)
	}
}

// partition is an answer's only partition with the leader and epoch as this step sees them.
func (f *fetch) partition() wire.FetchPartition {
	p := wire.NewFetchPartition(0)
	leader, epoch := f.n.leaderHint()
	p.CurrentLeader.ID, p.CurrentLeader.Epoch = leader, epoch
	p.LogStartOffset = f.n.log.LogStartOffset()
	return p
}

func (f *fetch) answerError(code int16) {
	p := f.partition()
	p.ErrorCode = code
	f.answer(p, nil)
}

func (f *fetch) answerElsewhere(v validity, where SnapshotID) {
	p := f.partition()
	if v == diverging {
		p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = where.Epoch, where.EndOffset
	} else {
		p.SnapshotID.Epoch, p.SnapshotID.EndOffset = where.Epoch, where.EndOffset
	}
	f.answer(p, nil)
}

func (f *fetch) answerRecords(slice storage.Slice) {
	p := f.partition()
	if s, ok := f.n.state.(*leader); ok {
		p.HighWatermark = s.hw
		p.LastStableOffset = s.hw
	}
	p.Records, p.RecordsLen = slice.Chunks, slice.Len
	if slice.Len == 0 {
		f.answer(p, nil)
		return
	}
	f.answer(p, slice.Release)
}

func (f *fetch) answer(p wire.FetchPartition, release func()) {
	resp := &wire.FetchResponse{Topics: []wire.FetchTopic{{Topic: metadataTopic, TopicID: metadataTopicID, Partitions: []wire.FetchPartition{p}}}}
	if v := f.n.peer(p.CurrentLeader.ID); v != nil {
		host, port := v.Endpoint()
		resp.NodeEndpoints = []wire.NodeEndpoint{{ID: v.ID, Host: host, Port: int32(port)}}
	}
	f.n.say(func() { f.done(resp, release) })
}

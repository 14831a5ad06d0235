package raft

import (
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetcher copies the leader's log: as a follower from the leader, and while no leader is known it
// asks one voter after the other, whose refusals name the leader.
//
// One request is under way at a time. The next one leaves when the log has settled: all is written and, on a voter, synced, because
// the fetch offset is this voter's promise.
type fetcher struct {
	n          *Node
	generation int // of the state that fetches; answers to another one are dropped
	inflight   bool
	backingOff bool
	astray     bool // the leader did not answer: ask another voter once
	failures   int  // in a row
	next       int  // voter to ask next
	timer      scheduler.Timer

	truncating  bool
	truncations int   // so far
	leaderHW    int64 // latest high watermark that the leader told
	download    *download
	proceedFunc func() // proceed, bound once
}

// restart forgets what was under way and starts anew when the state allows.
func (f *fetcher) restart() {
	f.generation++
	f.inflight, f.backingOff, f.astray, f.failures, f.leaderHW, f.download = false, false, false, 0, -1, nil
	f.n.say(f.proceedFunc)
}

func (f *fetcher) stop() {
	if f.timer != nil {
		f.timer.Stop()
	}
}

// proceed sends the next fetch if there is somebody to ask and the log has settled.
func (f *fetcher) proceed() {
	if f.inflight || f.backingOff || f.n.gone {
		return
	}
	to := f.destination()
	if to == "" || !f.settled() {
		return
	}
	f.inflight = true
	f.send(to)
}

// destination is whom to ask: nobody in states that do not fetch.
func (f *fetcher) destination() network.Addr {
	switch f.n.state.(type) {
	case *follower:
		if v := f.n.peer(f.n.election.leader); v != nil && !f.astray {
			return v.Addr
		}
	case *unattached:
	default:
		return ""
	}
	return f.anyVoter()
}

// anyVoter takes turns among the other voters, and who else may know the leader.
func (f *fetcher) anyVoter() network.Addr {
	known := f.n.acquaintances()
	for range known {
		f.next = (f.next + 1) % len(known)
		if v := &known[f.next]; v.ID != f.n.cfg.NodeID {
			return v.Addr
		}
	}
	return ""
}

// settled reports whether the log's end is what a fetch may promise. If a sync is missing, it is
// started and will call proceed.
func (f *fetcher) settled() bool {
	n := f.n
	if f.truncating || n.log.NextOffset() != n.log.LogEndOffset() {
		return false
	}
	if n.mustSync() && n.synced < n.log.LogEndOffset() {
		n.sync()
		return false
	}
	return true
}

func (f *fetcher) send(to network.Addr) {
	n, generation := f.n, f.generation
	var req kmsg.Request
	if f.download != nil && !f.astray {
		req = n.fetchSnapshotRequest(f.download)
	} else {
		req = n.fetchRequest()
	}
	n.peers.send(to, req, f.patience(), func(r reply, err error) {
		n.step(func() {
			f.onAnswer(generation, r, err)
			if err == nil {
				r.release()
			}
		})
	})
}

// patience is how long an answer is waited for. Another voter than the leader answers at once: one that leads a newer epoch refuses
// ours. If it is dead instead, the leader must not be without our fetches for long: with one of three voters dead it commits nothing
// meanwhile, answers no heartbeat, and gives up in the end.
func (f *fetcher) patience() time.Duration {
	if _, ok := f.n.state.(*follower); ok && f.astray {
		return f.n.cfg.FetchTimeout / 4
	}
	return f.n.cfg.FetchMaxWait + f.n.cfg.RequestTimeout
}

func (n *Node) fetchRequest() kmsg.Request {
	end := n.log.LogEndOffset()
	p := kmsg.NewFetchRequestTopicPartition()
	p.CurrentLeaderEpoch, p.FetchOffset, p.LastFetchedEpoch = n.election.epoch, end, max(0, n.epochBefore(end))
	p.LogStartOffset, p.PartitionMaxBytes = n.log.LogStartOffset(), fetchMaxBytes
	p.ReplicaDirectoryID, p.HighWatermark = n.cfg.DirectoryID, n.fetcher.leaderHW
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID, t.Partitions = metadataTopic, metadataTopicID, append(t.Partitions, p)
	r := kmsg.NewPtrFetchRequest()
	r.Version, r.ClusterID, r.MaxBytes = -1, &n.cfg.ClusterID, fetchMaxBytes
	r.ReplicaID, r.ReplicaState.ID, r.SessionEpoch = n.cfg.NodeID, n.cfg.NodeID, -1
	r.MaxWaitMillis, r.Topics = int32(n.cfg.FetchMaxWait.Milliseconds()), append(r.Topics, t)
	return r
}

// onAnswer takes the answer to the request of one generation.
func (f *fetcher) onAnswer(generation int, r reply, err error) {
	if generation != f.generation {
		return
	}
	f.inflight = false
	ok := false
	if err == nil {
		switch resp := r.body.(type) {
		case *kmsg.FetchResponse:
			ok = f.onFetched(resp, r.frame)
		case *kmsg.FetchSnapshotResponse:
			ok = f.onChunk(resp)
		}
	}
	switch {
	case generation != f.generation && !ok: // the answer sent us elsewhere; become has seen to the rest
	case ok && !f.n.env.Buggify.Fires(buggify.RaftBackoff):
		f.astray, f.failures = false, 0
		f.n.say(f.proceedFunc) // the answer may have named the leader: first let that be durable
	default:
		// A leader whose connection is lost is asked once more before somebody else is: it may have been closed for being idle,
		// and the other voter may be dead, which takes its time to show (patience).
		f.failures++
		f.astray = !f.astray && (f.failures > 1 || err != wire.ErrDisconnected)
		f.backOff()
	}
}

// backOff waits a little before the next request.
func (f *fetcher) backOff() {
	f.backingOff = true
	if f.timer == nil {
		f.timer = f.n.env.Loop.AfterFunc(retryBackoff, func() { f.n.step(f.onBackoff) })
		return
	}
	f.timer.Reset(retryBackoff)
}

func (f *fetcher) onBackoff() {
	f.backingOff = false
	f.proceed()
}

// onFetched takes records, or the advice to truncate or to load a snapshot. It reports whether the
// leader answered to the point.
func (f *fetcher) onFetched(resp *kmsg.FetchResponse, frame *network.Frame) bool {
	if resp.ErrorCode != 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return false
	}
	p := &resp.Topics[0].Partitions[0]
	if f.n.learn(p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch, p.ErrorCode, nodeAt(resp.Brokers, p.CurrentLeader.LeaderID, fetchNode)) || p.ErrorCode != 0 {
		return false
	}
	s, ok := f.n.state.(*follower)
	if !ok {
		return false
	}
	s.onHeard()
	switch {
	case p.DivergingEpoch.Epoch >= 0:
		f.truncate(SnapshotID{p.DivergingEpoch.EndOffset, p.DivergingEpoch.Epoch})
	case p.SnapshotID.Epoch >= 0:
		f.download = &download{id: SnapshotID{p.SnapshotID.EndOffset, p.SnapshotID.Epoch}}
	default:
		return f.append(p.RecordBatches, p.HighWatermark, frame)
	}
	return true
}

// append writes what the leader sent. Bytes that are no batches of this or an earlier epoch end it.
func (f *fetcher) append(batches []byte, hw int64, frame *network.Frame) bool {
	n := f.n
	whole := wholeBatches(batches, n.election.epoch)
	if len(whole) > 0 && n.env.Buggify.Fires(buggify.RaftTakeOne) {
		first, _, _ := record.Parse(whole)
		whole = whole[:len(first)]
	}
	if len(whole) > 0 {
		controls, err := findControls(whole, n.cfg.ListenerName)
		if err != nil {
			return false // what it says of the voters must not be passed over
		}
		if _, err := n.log.AppendAsFollower(whole, frame, n.onAppended); err != nil {
			return false
		}
		n.foundControls(controls)
	}
	f.leaderHW = max(f.leaderHW, hw)
	n.followHighWatermark()
	return len(whole) > 0 || len(batches) == 0
}

// wholeBatches is the run of whole batches at the start of b whose epoch is not above epoch. A
// response may end in a cut batch.
func wholeBatches(b []byte, epoch int32) []byte {
	rest := b
	for len(rest) > 0 {
		batch, next, err := record.Parse(rest)
		if err != nil || batch.LeaderEpoch() > epoch || batch.LeaderEpoch() < 0 {
			break
		}
		rest = next
	}
	return b[:len(b)-len(rest)]
}

// truncate cuts what the leader does not have.
//
// What is committed is on a majority, and a leader has all of it. One that asks for less is not
// the quorum's: going on would lose acknowledged records, so the node stops (KAFKA-12460).
func (f *fetcher) truncate(leader SnapshotID) {
	n := f.n
	to := truncationPoint(leader, n.log.LogStartOffset(), n.log.LogEndOffset(), n.log.EndOffsetForEpoch)
	invariant.Check(to >= n.hw, "leader %d of epoch %d wants the metadata log truncated to %d, below the high watermark %d",
		n.election.leader, n.election.epoch, to, n.hw)
	n.emit(event.RaftTruncated, to, n.election.epoch)
	f.cut(to, func(done func(error)) { n.log.TruncateTo(to, done) }, func() {})
	if n.history.truncate(to) {
		n.adoptVoters()
	}
}

// cut runs a truncation to an offset, and then after it; no fetch leaves until it is done.
func (f *fetcher) cut(to int64, truncate func(done func(error)), then func()) {
	n := f.n
	f.truncating = true
	f.truncations++
	n.synced = min(n.synced, to)
	truncate(func(err error) {
		n.step(func() {
			f.truncating = false
			if err != nil {
				n.fail(err)
				return
			}
			then()
			f.proceed()
		})
	})
}

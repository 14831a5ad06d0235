package raft

import (
	"fmt"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/disk"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// HandleFetchSnapshot sends a part of the latest snapshot (KIP-630). req is used until done.
func (n *Node) HandleFetchSnapshot(req *kmsg.FetchSnapshotRequest, done func(*kmsg.FetchSnapshotResponse)) {
	n.step(func() { n.onFetchSnapshot(req, func(r *kmsg.FetchSnapshotResponse) { n.say(func() { done(r) }) }) })
}

func (n *Node) onFetchSnapshot(req *kmsg.FetchSnapshotRequest, done func(*kmsg.FetchSnapshotResponse)) {
	if !n.isOurCluster(req.ClusterID) {
		done(&kmsg.FetchSnapshotResponse{Version: req.Version, ErrorCode: kerr.InconsistentClusterID.Code})
		return
	}
	if len(req.Topics) != 1 || req.Topics[0].Topic != metadataTopic || len(req.Topics[0].Partitions) != 1 || req.Topics[0].Partitions[0].Partition != 0 {
		done(&kmsg.FetchSnapshotResponse{Version: req.Version, ErrorCode: kerr.InvalidRequest.Code})
		return
	}
	p := &req.Topics[0].Partitions[0]
	if code := n.checkSnapshotRequest(req, p); code != 0 {
		done(n.fetchSnapshotResponse(req.Version, code, nil))
		return
	}
	if r := n.state.(*leader).replica(voterKey{req.ReplicaID, p.ReplicaDirectoryID}); r != nil {
		r.heard = n.env.Loop.Now()
	}
	n.readSnapshot(req, p, done)
}

func (n *Node) checkSnapshotRequest(req *kmsg.FetchSnapshotRequest, p *kmsg.FetchSnapshotRequestTopicPartition) int16 {
	if code := n.checkLeaderRequest(p.CurrentLeaderEpoch); code != 0 {
		return code
	}
	id := SnapshotID{p.SnapshotID.EndOffset, p.SnapshotID.Epoch}
	switch {
	case id.EndOffset <= 0 || id != n.snapshots.latest:
		return kerr.SnapshotNotFound.Code
	case p.Position < 0 || p.Position >= n.snapshots.size:
		return kerr.PositionOutOfRange.Code
	case req.MaxBytes <= 0:
		return kerr.InvalidRequest.Code
	}
	return 0
}

func (n *Node) readSnapshot(req *kmsg.FetchSnapshotRequest, p *kmsg.FetchSnapshotRequestTopicPartition, done func(*kmsg.FetchSnapshotResponse)) {
	id, size, position, epoch, version := n.snapshots.latest, n.snapshots.size, p.Position, p.CurrentLeaderEpoch, req.Version
	part := make([]byte, min(int64(req.MaxBytes), snapshotMaxBytes, size-position))
	if x := n.env.Buggify; x.Fires(buggify.SnapshotChunk) {
		part = part[:x.Pick(buggify.SnapshotChunk, min(len(part), 1000))]
	}
	n.readFile(metadataDir+"/"+id.fileName(), part, position, func(err error) {
		n.step(func() {
			code := n.checkLeaderRequest(epoch)
			if err != nil && code == 0 { // a newer snapshot may have replaced it meanwhile
				code = kerr.SnapshotNotFound.Code
			}
			if code != 0 {
				done(n.fetchSnapshotResponse(version, code, nil))
				return
			}
			q := kmsg.NewFetchSnapshotResponseTopicPartition()
			q.SnapshotID.EndOffset, q.SnapshotID.Epoch = id.EndOffset, id.Epoch
			q.Size, q.Position, q.Bytes = size, position, part
			done(n.fetchSnapshotResponse(version, 0, &q))
		})
	})
}

// readFile fills p from pos.
func (n *Node) readFile(name string, p []byte, pos int64, done func(error)) {
	n.env.Disk.Open(name, func(f disk.File, _ int64, err error) {
		if err != nil {
			done(err)
			return
		}
		f.ReadAt(p, pos, func(read int, err error) {
			f.Close()
			if err == nil && read < len(p) {
				err = fmt.Errorf("%w: cut", ErrSnapshot)
			}
			done(err)
		})
	})
}

func (n *Node) fetchSnapshotResponse(version, code int16, p *kmsg.FetchSnapshotResponseTopicPartition) *kmsg.FetchSnapshotResponse {
	if p == nil {
		q := kmsg.NewFetchSnapshotResponseTopicPartition()
		p = &q
	}
	p.ErrorCode = code
	p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = n.leaderHint()
	t := kmsg.NewFetchSnapshotResponseTopic()
	t.Topic, t.Partitions = metadataTopic, append(t.Partitions, *p)
	r := kmsg.NewPtrFetchSnapshotResponse()
	r.Version, r.Topics = version, append(r.Topics, t)
	if v := n.peer(p.CurrentLeader.LeaderID); v != nil && version >= 1 {
		e := kmsg.NewFetchSnapshotResponseNodeEndpoint()
		e.NodeID = v.ID
		e.Host, e.Port = v.Endpoint()
		r.NodeEndpoints = append(r.NodeEndpoints, e)
	}
	return r
}

// download is a snapshot on its way from the leader.
type download struct {
	id   SnapshotID
	data []byte
}

func (n *Node) fetchSnapshotRequest(d *download) kmsg.Request {
	p := kmsg.NewFetchSnapshotRequestTopicPartition()
	p.CurrentLeaderEpoch, p.Position, p.ReplicaDirectoryID = n.election.epoch, int64(len(d.data)), n.cfg.DirectoryID
	p.SnapshotID.EndOffset, p.SnapshotID.Epoch = d.id.EndOffset, d.id.Epoch
	t := kmsg.NewFetchSnapshotRequestTopic()
	t.Topic, t.Partitions = metadataTopic, append(t.Partitions, p)
	r := kmsg.NewPtrFetchSnapshotRequest()
	r.Version, r.ClusterID, r.ReplicaID, r.MaxBytes, r.Topics = -1, &n.cfg.ClusterID, n.cfg.NodeID, snapshotMaxBytes, append(r.Topics, t)
	return r
}

// onChunk takes a part of the snapshot. An answer that does not fit starts over with a fetch.
func (f *fetcher) onChunk(resp *kmsg.FetchSnapshotResponse) bool {
	d := f.download
	if d == nil || resp.ErrorCode != 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return false
	}
	p := &resp.Topics[0].Partitions[0]
	if f.n.learn(p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch, p.ErrorCode, nodeAt(resp.NodeEndpoints, p.CurrentLeader.LeaderID, snapshotNode)) {
		return false
	}
	s, ok := f.n.state.(*follower)
	id := SnapshotID{p.SnapshotID.EndOffset, p.SnapshotID.Epoch}
	if !ok || p.ErrorCode != 0 || id != d.id || p.Position != int64(len(d.data)) || len(p.Bytes) == 0 {
		f.download = nil
		return ok && p.ErrorCode == kerr.SnapshotNotFound.Code
	}
	s.onHeard()
	d.data = append(d.data, p.Bytes...)
	if int64(len(d.data)) < p.Size {
		return true
	}
	f.download = nil
	return f.install(d)
}

// install replaces the log with a whole snapshot: the file first, durably, so that no crash leaves
// a log that begins where no snapshot ends.
func (f *fetcher) install(d *download) bool {
	n := f.n
	s, err := readSnapshot(d.id, d.data, n.cfg.ListenerName)
	if err != nil {
		return false
	}
	invariant.Check(d.id.EndOffset >= n.hw, "leader %d sent a snapshot to %d, below the high watermark %d", n.election.leader, d.id.EndOffset, n.hw)
	f.truncating = true // no fetch until it is in place
	n.writeSnapshot(d.id, d.data, func(err error) {
		n.step(func() {
			f.truncating = false
			if err != nil {
				n.fail(err)
				return
			}
			n.adoptSnapshot(d.id, s.size)
			f.cut(d.id.EndOffset,
				func(done func(error)) { n.log.TruncateFullyAndStartAt(d.id.EndOffset, done) },
				func() { n.deliverSnapshot(d.id, s.records) })
			n.history.reset(s.controls, d.id.EndOffset)
			n.adoptVoters()
		})
	})
	return true
}

// deliverSnapshot gives a snapshot that is on disk to the listener.
func (n *Node) deliverSnapshot(id SnapshotID, records [][]byte) {
	n.synced = max(n.synced, id.EndOffset)
	n.setHighWatermark(id.EndOffset)
	n.emit(event.SnapshotLoaded, id.EndOffset, id.Epoch)
	n.say(func() {
		n.feed.next = id.EndOffset
		n.feed.delivering = true
		n.listener.OnSnapshot(id, records)
		n.feed.delivering = false
	})
}

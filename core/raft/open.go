package raft

import (
	"errors"
	"fmt"
	"strings"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/disk"
)

// Open reads what a node knew: its newest snapshot, its quorum-state and its log, which is
// recovered and synced. done gets a node that waits for Start. A file that cannot be understood is
// an error: a voter must not guess what it voted.
func Open(e *env.Env, cfg Config, peers *wire.Peers, l Listener, done func(*Node, error)) {
	open(e, cfg, newLanes(peers), l, done)
}

func open(e *env.Env, cfg Config, peers sender, l Listener, done func(*Node, error)) {
	o := &opening{env: e, cfg: cfg.withDefaults(), done: done}
	o.then = func(log *storage.Log) {
		n := newNode(e, o.cfg, peers, l, log, &quorumStateFile{e.Disk, quorumStateName, o.cfg.Voters}, o.election)
		log.OnFailure(func(err error) { n.step(func() { n.fail(err) }) })
		n.load(o.snapshot, o.snapshotSize, o.records, o.check(func() { done(n, nil) }))
	}
	o.snapshotRead = o.readElection
	e.Disk.Mkdir(metadataDir, o.check(func() { e.Disk.SyncDir(".", o.check(o.list)) }))
}

const quorumStateName = metadataDir + "/quorum-state"

// opening is an Open under way.
type opening struct {
	env          *env.Env
	cfg          Config
	done         func(*Node, error)
	snapshotRead func()
	then         func(*storage.Log)
	election     electionState
	snapshot     SnapshotID
	snapshotSize int64
	records      [][]byte
}

// check makes next the continuation of something that may fail.
func (o *opening) check(next func()) func(error) {
	return func(err error) {
		if err != nil {
			o.done(nil, fmt.Errorf("raft: open: %w", err))
			return
		}
		next()
	}
}

// list finds the newest whole snapshot and removes the others: a file has its name only when it is complete.
func (o *opening) list() {
	o.env.Disk.List(metadataDir, func(names []string, err error) {
		o.check(func() {
			var stale []string
			for _, name := range names {
				id, ok := parseSnapshotName(name)
				switch {
				case ok && id.EndOffset > 0 && id.EndOffset > o.snapshot.EndOffset:
					if o.snapshot.EndOffset > 0 {
						stale = append(stale, o.snapshot.fileName())
					}
					o.snapshot = id
				case ok || strings.HasSuffix(name, checkpointSuffix+partSuffix):
					stale = append(stale, name)
				}
			}
			o.remove(stale)
		})(err)
	})
}

func (o *opening) remove(stale []string) {
	if len(stale) == 0 {
		o.readSnapshot()
		return
	}
	o.env.Disk.Remove(metadataDir+"/"+stale[0], func(err error) {
		if errors.Is(err, disk.ErrNotExist) {
			err = nil
		}
		o.check(func() { o.remove(stale[1:]) })(err)
	})
}

func (o *opening) readSnapshot() {
	if o.snapshot.EndOffset == 0 {
		o.snapshotRead()
		return
	}
	storage.ReadFile(o.env.Disk, metadataDir+"/"+o.snapshot.fileName(), func(b []byte, err error) {
		if err == nil {
			o.snapshotSize = int64(len(b))
			o.records, err = parseSnapshot(b)
		}
		o.check(o.snapshotRead)(err)
	})
}

func (o *opening) readElection() {
	storage.ReadFile(o.env.Disk, quorumStateName, func(b []byte, err error) {
		o.election = electionState{leader: none, voted: none}
		switch {
		case errors.Is(err, disk.ErrNotExist):
			err = nil // a node that never took part
		case err == nil:
			o.election, err = parseQuorumState(b)
		}
		o.check(o.openLog)(err)
	})
}

func (o *opening) openLog() {
	storage.Open(o.env, storage.OpenOptions{Dir: metadataDir, Partition: event.MetadataPartition, TopicID: metadataTopicID,
		Config: o.cfg.LogConfig, LogStartOffset: o.snapshot.EndOffset, AnyBatch: true}, func(log *storage.Log, err error) {
		o.check(func() { o.then(log) })(err)
	})
}

func newNode(e *env.Env, cfg Config, peers sender, l Listener, log metadataLog, store quorumStateStore, election electionState) *Node {
	n := &Node{env: e, cfg: cfg, peers: peers, listener: l, rand: e.Rand("raft election"), voters: cfg.Voters, isVoter: cfg.isVoter(),
		log: log, store: store, election: election, durable: election, busy: true}
	n.fetcher = fetcher{n: n, leaderHW: -1, next: int(n.rand.Uint64N(uint64(max(1, len(cfg.Voters)))))}
	n.fetcher.proceedFunc = n.fetcher.proceed
	n.feed = feed{n: n, leader: none}
	return n
}

// load brings the log in line with the snapshot and syncs what recovery found: a process that was
// only killed finds bytes that a power loss could still take.
func (n *Node) load(id SnapshotID, size int64, records [][]byte, done func(error)) {
	n.snapshots.latest, n.snapshots.size = id, size
	if n.isReplacedBy(id) { // it stopped between the two halves of install
		n.log.TruncateFullyAndStartAt(id.EndOffset, func(err error) {
			if err != nil {
				done(err)
				return
			}
			n.load(id, size, records, done)
		})
		return
	}
	n.log.AdvanceLogStart(id.EndOffset)
	end := n.log.LogEndOffset()
	n.log.Flush(func(err error) {
		n.synced = end
		n.catchUpEpoch()
		if id.EndOffset > 0 {
			n.deliverSnapshot(id, records)
		}
		done(err)
	})
}

// isReplacedBy reports whether the log as it was found does not reach the snapshot, so that what it has need not be on the way there: it may
// be longer, with records of a leader that was deposed, and then what it has from the snapshot's end on does not continue it. One
// without records says nothing.
func (n *Node) isReplacedBy(id SnapshotID) bool {
	last := n.log.LatestEpoch()
	return id.EndOffset > n.log.LogEndOffset() || last >= 0 && last < id.Epoch
}

// catchUpEpoch covers a lost quorum-state file: the log's last epoch has been.
func (n *Node) catchUpEpoch() {
	if last := n.epochBefore(n.synced); last > n.election.epoch {
		n.election = electionState{epoch: last, leader: none, voted: none}
	}
}

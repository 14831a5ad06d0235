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
		n := newNode(e, o.cfg, peers, l, log, &quorumStateFile{e.Disk, quorumStateName}, o.election)
		n.written = o.fileVersion
		log.OnFailure(func(err error) { n.step(func() { n.fail(err) }) })
		n.load(o.found, o.check(func() { done(n, nil) }))
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
	fileVersion  int16 // of quorum-state; none: there is none
	found        snapshotFile
}

// snapshotFile is a snapshot that was read, or the bootstrap snapshot, which ends at 0: who was to vote when the directory was
// formatted. It is nobody else's to fetch.
type snapshotFile struct {
	id       SnapshotID
	size     int64
	records  [][]byte
	controls controls
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
			newest := ""
			for _, name := range names {
				id, ok := parseSnapshotName(name)
				switch {
				case ok && (newest == "" || id.EndOffset > o.found.id.EndOffset):
					if newest != "" {
						stale = append(stale, newest)
					}
					o.found.id, newest = id, name
				case ok || strings.HasSuffix(name, checkpointSuffix+partSuffix):
					stale = append(stale, name)
				}
			}
			o.remove(stale, newest)
		})(err)
	})
}

func (o *opening) remove(stale []string, newest string) {
	if len(stale) == 0 {
		o.readSnapshot(newest)
		return
	}
	o.env.Disk.Remove(metadataDir+"/"+stale[0], func(err error) {
		if errors.Is(err, disk.ErrNotExist) {
			err = nil
		}
		o.check(func() { o.remove(stale[1:], newest) })(err)
	})
}

func (o *opening) readSnapshot(name string) {
	if name == "" {
		o.snapshotRead()
		return
	}
	storage.ReadFile(o.env.Disk, metadataDir+"/"+name, func(b []byte, err error) {
		if err == nil {
			o.found, err = readSnapshot(o.found.id, b, o.cfg.ListenerName)
		}
		o.check(o.snapshotRead)(err)
	})
}

func (o *opening) readElection() {
	storage.ReadFile(o.env.Disk, quorumStateName, func(b []byte, err error) {
		o.election, o.fileVersion = electionState{leader: none, voted: none}, -1
		switch {
		case errors.Is(err, disk.ErrNotExist):
			err = nil // a node that never took part
		case err == nil:
			o.election, err = parseQuorumState(b)
			o.fileVersion = quorumStateVersion(b)
		}
		o.check(o.openLog)(err)
	})
}

func (o *opening) openLog() {
	storage.Open(o.env, storage.OpenOptions{Dir: metadataDir, Partition: event.MetadataPartition, TopicID: metadataTopicID,
		Config: o.cfg.LogConfig, LogStartOffset: o.found.id.EndOffset, AnyBatch: true}, func(log *storage.Log, err error) {
		o.check(func() { o.then(log) })(err)
	})
}

func newNode(e *env.Env, cfg Config, peers sender, l Listener, log metadataLog, store quorumStateStore, election electionState) *Node {
	n := &Node{env: e, cfg: cfg, peers: peers, listener: l, rand: e.Rand("raft election"), history: history{static: cfg.Voters},
		log: log, store: store, election: election, durable: election, busy: true}
	n.fetcher = fetcher{n: n, leaderHW: -1, next: int(n.rand.Uint64N(uint64(max(1, len(cfg.Voters)))))}
	n.fetcher.proceedFunc = n.fetcher.proceed
	n.feed = feed{n: n, leader: none}
	n.joiner.n = n
	n.voters = n.history.lastVoters()
	n.isVoter = isVoter(n.voters, n.cfg.key())
	return n
}

// load brings the log in line with the snapshot and syncs what recovery found: a process that was
// only killed finds bytes that a power loss could still take.
func (n *Node) load(s snapshotFile, done func(error)) {
	id := s.id
	n.snapshots.latest, n.snapshots.size = id, s.size
	if n.isReplacedBy(id) { // it stopped between the two halves of install
		n.log.TruncateFullyAndStartAt(id.EndOffset, func(err error) {
			if err != nil {
				done(err)
				return
			}
			n.load(s, done)
		})
		return
	}
	n.log.AdvanceLogStart(id.EndOffset)
	end := n.log.LogEndOffset()
	n.log.Flush(func(err error) {
		n.synced = end
		n.catchUpEpoch()
		if id.EndOffset > 0 {
			n.deliverSnapshot(id, s.records)
		}
		n.history.reset(s.controls, id.EndOffset)
		if err != nil {
			done(err)
			return
		}
		n.readLog(id.EndOffset, done)
	})
}

// readLog finds the control records from offset on, before anything else happens.
//
// It reads the log of static voters, too: quorum-state does not say for sure that they are in it by now (KIP-853).
//
// Example 1: a follower has written the record that brings the voters into the log, and its process is killed before quorum-state is of version 1.
// It fetches from its log end from then on, and never sees that record again.
func (n *Node) readLog(offset int64, done func(error)) {
	if offset >= n.log.LogEndOffset() {
		n.adoptVoters()
		done(nil)
		return
	}
	onRead := func(slice storage.Slice, err error) {
		if err != nil {
			done(err)
			return
		}
		slice.Gather(func(b []byte, err error) {
			slice.Release()
			whole, next := committed(b, n.log.LogEndOffset())
			if err == nil && next <= offset {
				err = errNoProgress
			}
			var f found
			if err == nil {
				f, err = findControls(whole, n.cfg.ListenerName)
			}
			if err != nil {
				done(err)
				return
			}
			n.history.add(f)
			n.readLog(next, done)
		})
	}
	slice, err := n.log.Read(storage.ReadRequest{Offset: offset, MaxBytes: deliverMaxBytes, UpTo: n.log.LogEndOffset(), MinOneBatch: true}, onRead)
	if err != storage.ErrPending {
		onRead(slice, err)
	}
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

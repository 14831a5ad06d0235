package check

import (
	"fmt"
	"slices"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/scheduler"
)

// State is all state checkers of one run.
type State struct {
	in       Inspector
	promises Promises

	nodes      []*node // by id; nil between
	partitions []*partition
	names      map[event.Partition]*partition // those that have the names now, behind each node's memory of the last one
	topics     map[incarnation]*partition     // all whose topic id is known
	known      []siblings                     // what was found in names
	metadata   *partition
	producers  map[int64]int32 // dense numbers of producer ids
	ids        []int64         // by dense number
	lastPID    int64
	lastDense  int32

	now        scheduler.Instant
	seq        uint64
	violations []Violation
	losses     []Loss
	describe   func(p event.Partition, offset int64) string    // what a client knows of a record; may be nil
	txnOf      func(b record.Batch) int32                      // the transaction that a batch was sent in; may be nil
	onMarker   func(p *partition, ended []int32, marker int32) // is told of the end of transactions in the committed log; may be nil
	decisions  decisions

	dirty      []*replica
	changed    []*partition // which a controller wrote
	controller int32        // the one that did
	dropped    []dropped    // from those eligible to lead, in this turn
	returning  []*node      // which a controller registered after an unclean shutdown
	lapsedELR  bool         // there was a time without eligible leader replicas
	images     imageHashes
	truthEnd   int64 // offset of the newest committed image seen
	truthFrom  *node // whose image is newer than that; nil: none
	scratch    []logBatch
}

// node is one node as its events tell.
type node struct {
	id           int32
	up           bool
	powerLoss    bool // how it went down last
	incarnation  int32
	fresh        bool              // its first event is still to come
	registered   int64             // the broker epoch of the current incarnation; none: no controller has seen it
	registeredAt uint64            // by the last controller that wrote it
	stopping     bool              // a controlled shutdown began
	unclean      bool              // an incarnation that was a broker ended uncleanly, and no later one is known to all yet
	returned     int64             // the broker epoch of the one that ended, then of the later one when it was registered; none
	began, ended scheduler.Instant // of the last incarnation that did
	fenced       scheduler.Instant // when a controller fenced it, or saw it begin to shut down
	last         *partition        // the last event's
	voters       voters            // as its log has them
	replicas     []*replica        // by partition.handle
	vote         vote
	term         int32 // in which its controller was active last
	applied      int   // place in imageHashes
}

// NewState starts the checkers of a run.
func NewState(in Inspector, p Promises) *State {
	s := &State{
		in: in, promises: p, names: map[event.Partition]*partition{}, topics: map[incarnation]*partition{}, producers: map[int64]int32{},
		lastPID: -1, lastDense: -1, controller: -1,
	}
	s.metadata = s.intern(event.MetadataPartition)
	return s
}

func (s *State) node(id int32) *node {
	if int(id) >= len(s.nodes) {
		s.nodes = append(s.nodes, make([]*node, int(id)+1-len(s.nodes))...)
	}
	n := s.nodes[id]
	if n == nil {
		n = &node{id: id, up: true, registered: none, returned: none, vote: vote{epoch: -1, candidate: -1}}
		s.nodes[id] = n
	}
	return n
}

// partitionOf finds an event's partition without hashing its name where it can.
func (s *State) partitionOf(n *node, e *event.Event) *partition {
	if p := n.last; p != nil && p.topicID == e.TopicID && p.id == e.Partition {
		return p
	}
	n.last = s.incarnation(e.Partition, e.TopicID)
	return n.last
}

// intern finds the partition that has a name now.
func (s *State) intern(id event.Partition) *partition {
	for i := range s.known {
		if k := &s.known[i]; id.Topic == k.topic && uint32(id.Index) < uint32(len(k.all)) && k.all[id.Index] != nil {
			return k.all[id.Index]
		}
	}
	p := s.names[id]
	if p == nil {
		p = s.add(id)
		s.names[id] = p
	}
	s.remember(p)
	return p
}

func (s *State) add(id event.Partition) *partition {
	p := newPartition(id, len(s.partitions), s.topic(id.Topic))
	s.partitions = append(s.partitions, p)
	return p
}

// siblings is the partitions of a topic that were asked for, by index.
type siblings struct {
	topic string
	all   []*partition
}

// remember keeps the partitions asked for at hand: comparing the names of a few topics costs less than hashing one.
func (s *State) remember(p *partition) {
	i := slices.IndexFunc(s.known, func(k siblings) bool { return k.topic == p.id.Topic })
	if i < 0 {
		i = len(s.known)
		s.known = append(s.known, siblings{topic: p.id.Topic})
	}
	k := &s.known[i]
	for len(k.all) <= int(p.id.Index) {
		k.all = append(k.all, nil)
	}
	k.all[p.id.Index] = p
}

func (s *State) replica(n *node, p *partition) *replica {
	if p.handle >= len(n.replicas) {
		n.replicas = append(n.replicas, make([]*replica, p.handle+1-len(n.replicas))...)
	}
	r := n.replicas[p.handle]
	if r == nil {
		r = newReplica(n, p)
		n.replicas[p.handle] = r
		p.replicas = append(p.replicas, r)
	}
	return r
}

// find is a node's replica, or nil.
func (s *State) find(id int32, p *partition) *replica {
	if id < 0 || int(id) >= len(s.nodes) || s.nodes[id] == nil || p.handle >= len(s.nodes[id].replicas) {
		return nil
	}
	return s.nodes[id].replicas[p.handle]
}

// Observe takes an event, at once.
func (s *State) Observe(o *Observation) {
	s.now, s.seq = o.T, o.Seq
	n, e := s.node(o.Node), o.Event
	if e.Partition.Topic != "" && e.Kind != event.PartitionChanged && e.Kind != event.UncleanElection {
		s.observeReplica(n, e)
		return
	}
	switch e.Kind {
	case event.NodeStarting:
		s.onNodeStarting(n)
	case event.NodeStopped:
		s.end(n, false)
	case event.MetadataApplied:
		s.onMetadataApplied(n, e)
	case event.NodeStopping:
		n.stopping = true
	case event.ControllerActive:
		n.term = e.Epoch
	case event.BrokerRegistered:
		s.onBrokerRegistered(n, e)
	case event.BrokerFenced:
		s.node(e.Peer).fenced = s.now
	case event.PartitionChanged:
		s.onPartitionChanged(n, e)
	case event.UncleanElection:
		s.onUncleanElection(n, e)
	}
}

// observeReplica takes an event of a node's replica.
func (s *State) observeReplica(n *node, e *event.Event) {
	r := s.replica(n, s.partitionOf(n, e))
	if e.TopicID != r.part.topicID && (e.Kind == event.Recovered || e.Kind == event.ReplicaRemoved) {
		return // a directory that is of no topic yet: whoever made it died, or its disk did
	}
	switch e.Kind {
	case event.Appended:
		s.onAppended(r, e)
	case event.Written:
		r.written = e.Offset
	case event.HighWatermark:
		s.onHighWatermark(r, e)
	case event.RaftHighWatermark:
		s.onRaftHighWatermark(r, e)
	case event.Truncated:
		s.onTruncated(r, e)
	case event.Recovered:
		s.onRecovered(r, e)
	case event.LogStartMoved:
		s.onLogStartMoved(r, e)
	case event.CleaningBegan:
		s.onCleaningBegan(r, e)
	case event.BatchRetained:
		s.onBatchRetained(r, e)
	case event.SegmentsReplaced:
		s.onSegmentsReplaced(r, e)
	case event.SegmentRolled:
		s.mark(r, dirtyProducers)
	case event.BecameLeader:
		s.onBecameLeader(r, e)
	case event.BecameFollower:
		s.onBecameFollower(r, e)
	case event.Diverged:
		r.diverged = divergence{leader: e.Peer, offset: e.Offset, seq: s.seq}
	case event.IsrCommitted:
		s.onISRCommitted(r, e)
	case event.IsrProposed:
		s.onISRProposed(r, e)
	case event.IsrRejected:
		r.proposed = r.proposed[:0]
	case event.ReplicaRemoved:
		s.drop(r)
	case event.RaftBecame:
		s.onRaftBecame(r, e)
	case event.RaftVoted:
		s.onRaftVoted(n, e)
	case event.RaftTruncated:
		s.onRaftTruncated(r, e)
	case event.RaftVoters:
		s.onRaftVoters(r, e)
	}
}

// Reasons to look at a replica at the end of a turn.
const (
	dirtyHighWatermark = 1 << iota
	dirtyEpochs
	dirtyLeader
	dirtyProducers
	dirtyLogStart
	dirtyOpened // the log was opened; until the node shows it, all waits
)

func (s *State) mark(r *replica, why uint8) {
	if r.dirty == 0 {
		s.dirty = append(s.dirty, r)
	}
	r.dirty |= why
}

// AfterTurn looks at what the events of a turn marked dirty and returns the first violation, nil if all is well.
func (s *State) AfterTurn(node int32, now scheduler.Instant) *Violation {
	s.now = now
	if s.isQuiet() {
		return nil
	}
	if s.truthFrom != nil {
		s.refreshTruth()
	}
	for _, p := range s.changed {
		s.checkISR(p)
	}
	s.changed = s.changed[:0]
	if len(s.returning)+len(s.dropped) > 0 {
		s.checkReturning()
	}
	again := s.dirty[:0]
	for _, r := range s.dirty {
		if s.checkDirty(r); r.dirty != 0 {
			again = append(again, r)
		}
	}
	s.dirty = again
	return s.takeViolation()
}

// isQuiet reports whether there is nothing to look at: so it is after most turns.
func (s *State) isQuiet() bool {
	return len(s.dirty) == 0 && len(s.changed) == 0 && len(s.returning) == 0 && len(s.violations) == 0 && s.truthFrom == nil
}

func (s *State) takeViolation() *Violation {
	if len(s.violations) == 0 {
		return nil
	}
	v := s.violations[0]
	s.violations = s.violations[1:]
	return &v
}

func (s *State) checkDirty(r *replica) {
	why := r.dirty
	r.dirty = 0
	if !r.node.up || r.part.deleted {
		return
	}
	if why&dirtyLeader != 0 {
		s.checkLeadership(r)
	}
	if why&dirtyHighWatermark != 0 {
		s.checkStable(r)
		s.checkLeaderHighWatermark(r)
	}
	if why&^uint8(dirtyHighWatermark|dirtyLeader) == 0 {
		return
	}
	log := s.open(r)
	if log == nil {
		r.dirty = why &^ (dirtyHighWatermark | dirtyLeader)
		if why&dirtyOpened == 0 {
			r.dirty = 0
		}
		return
	}
	if why&dirtyOpened != 0 {
		r.startAt(log.LogStartOffset())
	}
	if why&dirtyLogStart != 0 {
		s.checkLogStart(r, log)
	}
	if why&dirtyEpochs != 0 {
		s.checkEpochs(r, log)
	}
	if why&dirtyProducers != 0 {
		s.checkProducerState(r, log, false)
	}
}

// violate notes a broken promise; text goes on after "Pn broken: ".
func (s *State) violate(promise, checker, cause, format string, args ...any) {
	s.violations = append(s.violations, Violation{
		Promise: promise, Checker: checker, Text: promise + " broken: " + fmt.Sprintf(format, args...),
		Seq: s.seq, T: s.now, FirstCause: cause,
	})
}

// lose counts records that the configuration allows to be lost.
func (s *State) lose(reason string, records int64) { s.losses = count(s.losses, reason, records) }

func count(losses []Loss, reason string, records int64) []Loss {
	i := slices.IndexFunc(losses, func(l Loss) bool { return l.Reason == reason })
	if i < 0 {
		return append(losses, Loss{reason, records})
	}
	losses[i].Records += records
	return losses
}

// Losses are the committed records that were lost as the configuration allows, by reason.
func (s *State) Losses() []Loss { return slices.Clone(s.losses) }

// Crashed says that a node's process dies now. It is called before the crash reaches the node's disk.
func (s *State) Crashed(node int32, powerLoss bool, now scheduler.Instant) {
	s.now = now
	n := s.node(node)
	s.noteUnclean(n)
	s.end(n, powerLoss)
}

// end is the end of a node's incarnation.
func (s *State) end(n *node, powerLoss bool) {
	for _, r := range n.replicas {
		if r != nil {
			s.crash(r, powerLoss)
		}
	}
	n.up, n.powerLoss, n.registered, n.ended = false, powerLoss, none, s.now
}

// Restarted says that a node's process starts anew, on the disk that the crash left.
func (s *State) Restarted(node int32, now scheduler.Instant) {
	s.now = now
	if n := s.node(node); !n.up {
		s.begin(n)
	}
}

// onNodeStarting is a process's first event.
func (s *State) onNodeStarting(n *node) {
	if n.up && !n.fresh && n.incarnation > 0 {
		s.end(n, false) // nobody said that it went down
	}
	if !n.fresh {
		s.begin(n)
	}
	n.fresh = false
}

// begin starts a node's next incarnation.
func (s *State) begin(n *node) {
	n.up, n.fresh, n.stopping = true, true, false
	n.began = s.now
	n.incarnation++
	for _, r := range n.replicas {
		if r != nil {
			r.resetRole()
		}
	}
}

// Wiped says that a node that is down lost its whole disk.
func (s *State) Wiped(node int32, now scheduler.Instant) {
	s.now = now
	n := s.node(node)
	for _, r := range n.replicas {
		if r != nil {
			s.remove(r, 0, wiped, "")
			r.clear(0)
			r.required = 0
		}
	}
	n.vote = vote{epoch: -1, candidate: -1}
}

// Damaged says that records on the disk of a node that is down were spoiled: of its log nothing need be left from offset on. A
// replica that loses them so has lost its disk, as far as they go.
func (s *State) Damaged(node int32, p event.Partition, offset int64, now scheduler.Instant) {
	s.now = now
	if r := s.find(node, s.intern(p)); r != nil {
		r.required, r.damaged = min(r.required, r.endBelow(offset)), true
	}
}

// AtEnd audits every log of every node that is up: against its files, its epochs and its producers. Nothing may be in flight.
func (s *State) AtEnd(now scheduler.Instant) []Violation {
	s.AfterTurn(-1, now)
	for _, p := range s.partitions {
		for _, r := range p.replicas {
			if r.node.up && !p.deleted {
				s.audit(r)
			}
		}
	}
	found := s.violations
	s.violations = nil
	return found
}

func (s *State) audit(r *replica) {
	log := s.open(r)
	if log == nil {
		return
	}
	if !log.IsTruncating() {
		s.checkFiles(r)
	}
	s.checkLogStart(r, log)
	s.checkFirstSegment(r, log)
	s.checkEpochs(r, log)
	s.checkProducerState(r, log, true)
}

// newestImage is the committed image of the node that has applied most; nil if there is none.
func (s *State) newestImage() (newest *metadata.Image) {
	for _, id := range s.in.Nodes() {
		if img := s.in.Image(id); img != nil && (newest == nil || img.Offset() > newest.Offset()) {
			newest = img
		}
	}
	return newest
}

// parseIDs appends the ids of "1,2,3" to dst.
func parseIDs(dst []int32, note string) []int32 {
	id, digits := int32(0), false
	for i := 0; i < len(note); i++ {
		if c := note[i]; c >= '0' && c <= '9' {
			id, digits = id*10+int32(c-'0'), true
			continue
		}
		if digits {
			dst = append(dst, id)
		}
		id, digits = 0, false
	}
	if digits {
		dst = append(dst, id)
	}
	return dst
}

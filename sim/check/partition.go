package check

import (
	"sort"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/scheduler"
)

// batch is one batch as the leader that made it wrote it. Replicas refer to it by its place in partition.batches.
type batch struct {
	base, next    int64
	maxTimestamp  int64
	crc           uint32
	size          int32
	epoch         int32
	producer      int32 // dense; -1: none
	sequence      int32
	lastSequence  int32
	producerEpoch int16
	control       bool
	transactional bool
	marker        Outcome // of a control batch that ends a transaction
	txn           int32   // of the history, in which it was sent; none
	gone          bool    // compaction took it from some replica
	forms         []form  // what compaction left of it
	stranger      bool    // its leader knew nothing of its producer, as it may
	repeats       bool    // so, or it follows such a one: and an older batch has its sequence
}

// none is no batch, no slot, no node.
const none = -1

// partition is what is known of a partition whoever hosts it.
type partition struct {
	id        event.Partition
	handle    int
	dir       string                 // of its files, with a slash
	topic     Topic                  // as the newest committed metadata has it
	config    []metadata.ConfigEntry // what topic was taken from
	leastISR  int                    // the least min.insync.replicas that a leader may still act upon
	retention retention              // the shortest that anybody was told
	start     int64                  // where a log may begin: what lies below went with leave
	topicID   [16]byte               // zero while nobody has told
	deleted   bool                   // with its topic: nothing is promised any more
	replicas  []*replica             // of all nodes that ever had one

	batches   []batch    // of all leaders
	epochs    []epochLog // sorted
	committed committed
	leaders   []leadership // by epoch
	removals  []removal    // of batches from replicas, in order
	unclean   []uncleanElection
	repeated  []offsetRange // of batches that repeat others
	losses    []lossRange
	isChanged bool // in State.changed
	truth     truth
	cleaned   cleaned
	hasTxns   bool // somebody wrote to it in a transaction
	txns      txnsOf
	decided   map[int32][]decision // by batch, of __transaction_state: those that are not committed yet
	written   registration         // by a controller
	proposed  proposal
}

// epochLog is what the leader of one epoch wrote, by offset.
type epochLog struct {
	epoch   int32
	batches []int32
}

// offsetRange is offsets from one up to another, which is exclusive.
type offsetRange struct{ from, to int64 }

// truth is the newest committed registration.
type truth struct {
	known                               bool
	leader, leaderEpoch, partitionEpoch int32
	isr                                 []int32
	since                               scheduler.Instant
}

func newPartition(id event.Partition, handle int, t Topic) *partition {
	return &partition{id: id, handle: handle, dir: id.String() + "/", topic: t, leastISR: t.minISR(), committed: committed{leaderEpoch: none}}
}

// epochLog is the log of one epoch, made if need be.
func (p *partition) epochLog(epoch int32) *epochLog {
	n := len(p.epochs)
	if n > 0 && p.epochs[n-1].epoch == epoch {
		return &p.epochs[n-1]
	}
	i := sort.Search(n, func(i int) bool { return p.epochs[i].epoch >= epoch })
	if i == n || p.epochs[i].epoch != epoch {
		p.epochs = append(p.epochs, epochLog{})
		copy(p.epochs[i+1:], p.epochs[i:])
		p.epochs[i] = epochLog{epoch: epoch}
	}
	return &p.epochs[i]
}

// lookup finds the batch of an epoch at a base offset. after is the batch before it in some log: most often the one sought
// was written next.
func (p *partition) lookup(after int32, epoch int32, base int64) int32 {
	if k := after + 1; k >= 0 && int(k) < len(p.batches) && p.batches[k].base == base && p.batches[k].epoch == epoch {
		return k
	}
	e := p.epochLog(epoch)
	n := len(e.batches)
	if n == 0 || p.batches[e.batches[n-1]].base < base {
		return none
	}
	i := sort.Search(n, func(i int) bool { return p.batches[e.batches[i]].base >= base })
	if p.batches[e.batches[i]].base != base {
		return none
	}
	return e.batches[i]
}

// write takes a batch that its leader appended.
func (p *partition) write(b batch) int32 {
	id := int32(len(p.batches))
	p.batches = append(p.batches, b)
	e := p.epochLog(b.epoch)
	n := len(e.batches)
	for n > 0 && p.batches[e.batches[n-1]].base >= b.base {
		n-- // a leader that wrote again where it had written: matching.go has told
	}
	e.batches = append(e.batches[:n], id)
	return id
}

// batchOf is a batch's header as the model keeps it.
func (s *State) batchOf(b record.Batch) batch {
	return batch{
		base: b.BaseOffset(), next: b.NextOffset(), maxTimestamp: b.MaxTimestamp(), crc: b.CRC(), size: int32(len(b)),
		epoch: b.LeaderEpoch(), producer: s.dense(b.ProducerID()), producerEpoch: b.ProducerEpoch(),
		sequence: b.BaseSequence(), lastSequence: b.LastSequence(), control: b.IsControl(), transactional: b.IsTransactional(),
		txn: none,
	}
}

// noteTxn reads what a new batch of a transaction is about.
func (s *State) noteTxn(p *partition, id int32, b record.Batch) {
	p.hasTxns = true
	x := &p.batches[id]
	switch {
	case x.control:
		if m, ok := record.ParseMarker(b); ok {
			if x.marker = Aborted; m.Commit {
				x.marker = Committed
			}
		}
	case s.txnOf != nil:
		x.txn = s.txnOf(b)
	}
}

// dense is a small number for a producer id.
func (s *State) dense(id int64) int32 {
	if id < 0 {
		return none
	}
	if id == s.lastPID {
		return s.lastDense
	}
	n, ok := s.producers[id]
	if !ok {
		n = int32(len(s.producers))
		s.producers[id] = n
		s.ids = append(s.ids, id)
	}
	s.lastPID, s.lastDense = id, n
	return n
}

// uncleanElection is a leader that was elected though it may miss committed records.
type uncleanElection struct {
	epoch     int32
	leader    int32
	seq       uint64
	t         scheduler.Instant
	lastKnown bool // KIP-966's last resort, without the topic asking for it
	allowed   bool // the topic asked for it then
	harmless  bool // a leader since then has had everything
}

// lossRange is offsets whose committed records were lost as the configuration allows.
type lossRange struct {
	from, to int64 // to is exclusive
	reason   string
	t        scheduler.Instant
}

// extendLoss adds a range, to the last one if it continues or covers that for the same reason.
func extendLoss(all []lossRange, l lossRange) []lossRange {
	if n := len(all) - 1; n >= 0 && all[n].reason == l.reason && all[n].from <= l.from && l.from <= all[n].to {
		all[n].to = max(all[n].to, l.to)
		return all
	}
	return append(all, l)
}

// expectedLoss is why a committed record may be gone, "" if it may not.
func (p *partition) expectedLoss(offset int64) string {
	for _, l := range p.losses {
		if l.from <= offset && offset < l.to {
			return l.reason
		}
	}
	return ""
}

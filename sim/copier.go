package sim

import (
	"slices"

	"github.com/lockstep/lockstep/sim/check"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// copier has a member of a group copy what it reads into a topic, each record exactly once: the copies and how far it has read are parts of one
// transaction (KIP-447). What others have copied it reads, and leaves.
type copier struct {
	member *member
	t      *transactor
	inputs []input       // read, and not yet part of a transaction
	open   bool          // a transaction is under way, perhaps of an earlier share
	last   *offsetsOfTxn // of that transaction, or the one before
	asleep bool
}

// input is a record that was read, and where.
type input struct {
	origin
	position *position
	offset   int64
}

// mostInputs are copied in one transaction, as max.poll.records has it: with more it would take longer than its timeout allows.
const mostInputs = 500

// origin names a record that was read.
type origin struct {
	producer, ordinal int
	counter           int64
}

func newCopier(m *member, t *transactor) *copier {
	c := &copier{member: m, t: t}
	t.mustGoOn, t.ready, t.ended = true, c.pump, c.onEnded
	m.onRead = func(p *position, offset int64, producer int, counter int64) {
		c.inputs = append(c.inputs, input{origin{producer, p.ordinal, counter}, p, offset})
		c.soon()
	}
	m.onPolled = c.soon
	return c
}

// reset forgets what was read: the member begins anew where the group has come to, or has nothing to read.
func (c *copier) reset() {
	c.inputs = nil
}

// renounce aborts an open transaction whose offsets the group does not have and would still take: a coordinator that lost its newest generation,
// or answers who asks to join as it answered before, gives a member the same generation twice. So nothing fences what it sends of its
// earlier share, and it is about to ask where the group has come to.
func (c *copier) renounce() {
	x := c.last
	if !c.open || x.id != c.member.id || x.generation < c.member.generation {
		return
	}
	x.renounced = true
	c.t.loop.After(0, func() {
		if t := c.t; !t.down && t.state == writing && t.current.offsets == x && x.state != taken {
			t.abort()
		}
	})
}

// soon has what was read copied when a little more has come.
func (c *copier) soon() {
	if c.asleep {
		return
	}
	c.asleep = true
	c.member.loop.After(c.member.o.Commit/4, func() {
		c.asleep = false
		c.pump()
	})
}

// pump begins a transaction if there is something to be committed, and nothing in the way.
func (c *copier) pump() {
	m := c.member
	if c.open || c.t.down || c.t.state != resting || m.state != steady || m.coordinator == nil || !c.hasRead() {
		return
	}
	n := min(len(c.inputs), mostInputs)
	offsets, inputs := newOffsetsOfTxn(m, c.inputs[:n], c.inputs[n:]), c.inputs[:n:n]
	c.open, c.last, c.inputs = true, offsets, c.inputs[n:]
	c.t.loop.After(0, func() {
		if c.t.down || c.t.state != resting || offsets.renounced {
			c.onEnded(false)
			return
		}
		c.t.begin()
		c.t.current.offsets = offsets
		c.copy(inputs)
		c.t.pumpAll()
		c.t.finish(false)
	})
}

// hasRead reports whether the member has read on since what was committed last.
func (c *copier) hasRead() bool {
	for _, s := range c.member.shares {
		if s.phase == fetching && s.offset != s.committed {
			return true
		}
	}
	return false
}

// copy writes the copies of what producers that copy nothing have made: a batch a partition.
func (c *copier) copy(inputs []input) {
	o := &c.member.run.schedule.Options
	copiers := c.member.run.firstCopier()
	parts := make([][]origin, len(c.t.lanes))
	for _, in := range inputs {
		c.member.run.txnRead(c.t.current.number, in.origin)
		if in.producer < copiers {
			at := (in.ordinal + int(in.counter)) % len(parts)
			parts[at] = append(parts[at], in.origin)
		}
	}
	most := max(1, o.largestBatch()/(originSize+recordOverhead))
	for i, all := range parts {
		for len(all) > 0 {
			n := min(len(all), most)
			c.t.lanes[i].write(n, all[:n])
			all = all[n:]
		}
	}
}

// onEnded goes on after a transaction: where it was not committed, from where the group has come to.
func (c *copier) onEnded(committed bool) {
	c.member.loop.After(0, func() {
		if c.open = false; committed {
			c.member.run.copied++
			c.pump()
		} else {
			c.member.rewind()
		}
	})
}

// rewind begins anew where the group has come to.
func (m *member) rewind() {
	if m.state != steady {
		return
	}
	var owned []*share
	for _, s := range m.shares {
		if s.phase != parked {
			owned = append(owned, s)
		}
	}
	m.disown()
	m.become(starting)
	m.fetchOffsets(owned, m.begin)
}

// unsettled says what is not copied; empty if all is.
func (c *copier) unsettled() string {
	switch {
	case c.t.down:
		return c.t.name + " is gone"
	case c.open || len(c.inputs) > 0:
		return c.t.name + " has not copied all that was read"
	}
	return ""
}

// firstCopier is the first, among all who produce, that copies.
func (r *run) firstCopier() int {
	o := &r.schedule.Options
	return len(o.Producers) + o.txnWriterCount()
}

// offsetsOfTxn is how far a group has read, as part of a transaction. nil: none is.
type offsetsOfTxn struct {
	member     *member
	id         string
	generation int32
	all        []saved
	state      offsetsState
	renounced  bool // they are of an earlier share, which nobody could tell
}

type offsetsState uint8

const (
	due offsetsState = iota
	underWay
	taken
	declined
)

// newOffsetsOfTxn takes how far the member has read, up to what is left for later, and as whom. What is copied has its offset in it, also of
// a partition whose leader the member is looking for just now.
func newOffsetsOfTxn(m *member, copied, left []input) *offsetsOfTxn {
	x := &offsetsOfTxn{member: m, id: m.id, generation: m.generation}
	for _, s := range m.shares {
		offset, isOf := s.offset, func(in input) bool { return in.position == s.position }
		if at := slices.IndexFunc(left, isOf); at >= 0 {
			offset = left[at].offset
		}
		if (s.phase == fetching || slices.ContainsFunc(copied, isOf)) && offset != s.committed {
			x.all = append(x.all, saved{share: s, lease: s.lease, offset: offset, epoch: s.epochAt(offset)})
		}
	}
	return x
}

func (x *offsetsOfTxn) isDue() bool { return x != nil && x.state == due }

// isUnderWay reports whether the end of the transaction must wait.
func (x *offsetsOfTxn) isUnderWay() bool { return x != nil && x.state == underWay }

// sendOffsets makes the offsets part of the transaction.
func (t *transactor) sendOffsets() {
	x := t.current
	x.offsets.state, x.touched = underWay, true
	if t.v2 {
		t.commitOffsets()
		return
	}
	t.insist(t.coordinator(), func() kmsg.Request {
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = 3, t.id, t.who.id, t.who.epoch, groupID(x.offsets.member.group)
		return req
	}, func(_ *question, _ kmsg.Response, err error) {
		if err != nil {
			t.onOffsetsRefused(err)
			return
		}
		t.commitOffsets()
	}, func(resp kmsg.Response) int16 { return resp.(*kmsg.AddOffsetsToTxnResponse).ErrorCode })
}

func (t *transactor) commitOffsets() {
	x := t.current.offsets
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	if req.Version = 3; t.v2 {
		req.Version = 5
	}
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = t.id, groupID(x.member.group), t.who.id, t.who.epoch
	req.Generation, req.MemberID, req.InstanceID = x.generation, x.id, x.member.instance
	for i := range x.all {
		c := &x.all[i]
		c.commit = t.run.committingInTxn(x, c)
		addTxnCommit(req, c)
	}
	t.insist(coordinatorOf{0, req.Group}, func() kmsg.Request { return req }, func(q *question, resp kmsg.Response, err error) {
		if err != nil {
			t.onOffsetsRefused(err)
			return
		}
		x.state = taken
		t.maybeEnd()
	}, firstCommitCode)
}

func addTxnCommit(req *kmsg.TxnOffsetCommitRequest, c *saved) {
	if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != c.share.part.topic.name {
		req.Topics = append(req.Topics, kmsg.TxnOffsetCommitRequestTopic{Topic: c.share.part.topic.name})
	}
	last := &req.Topics[len(req.Topics)-1]
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = c.share.part.id.Index, c.offset, c.epoch, &c.commit.Metadata
	last.Partitions = append(last.Partitions, p)
}

func firstCommitCode(resp kmsg.Response) int16 {
	for _, topic := range resp.(*kmsg.TxnOffsetCommitResponse).Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 {
				return p.ErrorCode
			}
		}
	}
	return 0
}

// onOffsetsRefused aborts a transaction whose offsets are not taken: the group has gone on without the member, or the producer is none any more.
func (t *transactor) onOffsetsRefused(err error) {
	t.current.offsets.state = declined
	t.run.note(t.loop.ID(), "txn-offsets-refused", err.Error())
	switch err {
	case kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.FencedInstanceID, kerr.TransactionAbortable, kerr.InvalidTxnState, kerr.RebalanceInProgress:
		t.abort()
	default:
		t.giveUp(err)
	}
}

// conclude says what became of the offsets.
func (x *offsetsOfTxn) conclude(t *transactor, o check.Outcome) {
	if x == nil {
		return
	}
	for _, c := range x.all {
		if c.commit.Metadata == "" {
			continue // it was never sent
		}
		t.run.committed(x.member, c.commit, fateOfTxn(o))
	}
	if o == check.Committed {
		x.member.loop.After(0, x.settle)
	}
}

// settle tells the member how far the group has come.
func (x *offsetsOfTxn) settle() {
	for _, c := range x.all {
		if c.share.lease == c.lease {
			c.share.committed = c.offset
		}
	}
}

// fateOfTxn is what the end of a transaction says of a commit in it.
func fateOfTxn(o check.Outcome) check.Fate {
	switch o {
	case check.Committed:
		return check.Acknowledged
	case check.Aborted:
		return check.Refused
	}
	return check.Unknown
}

// What members that copy report.

func (r *run) txnRead(number int32, in origin) {
	if h := r.judge.history; h != nil {
		h.Consumed(number, in.ordinal, in.producer, in.counter)
	}
}

func (r *run) committingInTxn(x *offsetsOfTxn, c *saved) check.Commit {
	if g := r.judge.groups; g != nil {
		return g.Sent(x.member.group, c.share.ordinal, c.offset, x.generation, x.member.owner(), c.share.since, r.world.Now())
	}
	return check.Commit{Metadata: x.member.unchecked(c.share.ordinal, x.generation)}
}

package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/sim/check"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	maxInFlight = 5  // batches of one partition, as Kafka's producer
	maxBacklog  = 40 // batches of one partition that are not acknowledged; then nothing new is made for it
)

// producer writes numbered records to all partitions and sends each batch until it is acknowledged.
type producer struct {
	*client
	o       ProducerOptions
	index   int
	lanes   []*lane
	active  bool
	asking  bool // for a producer id
	id      int64
	next    scheduler.Timer
	tick    int // of next, so far
	keep    operations
	made    []int // the ticks that made a batch
	builder record.Builder
	value   []byte
}

// lane is one partition as a producer sees it.
type lane struct {
	producer *producer
	part     *partition
	ordinal  int // among all partitions
	counter  int64
	batches  []*batch // not acknowledged, oldest first
	inFlight int
	asleep   bool  // a retry is scheduled
	moved    int64 // when a batch was last done with, by the producer's clock
	free     []*batch
	req      *kmsg.ProduceRequest

	// The session: the producer id and an epoch, in which sequences count from 0 (KIP-360).
	session  int
	id       int64
	epoch    int16
	sequence int32
}

// batch is one batch of records until its fate is known.
type batch struct {
	lane      *lane
	first     int64 // counter of its first record
	count     int
	sequence  int32
	session   int
	timestamp int64
	data      []byte
	inFlight  bool
	attempts  int
	abandoned bool // its session ended: it is never sent again
	awaited   awaited
}

// awaited is the leadership that had to take a batch when it was sent; the zero value is none.
type awaited struct {
	yes           bool
	broker, epoch int32
}

func newProducer(r *run, index int) *producer {
	p := &producer{
		client: newClient(r, fmt.Sprintf("p%d", index), clientNode+int32(index)),
		o:      r.schedule.Options.Producers[index], index: index, id: record.NoProducerID,
	}
	for i, part := range p.partitions() {
		p.lanes = append(p.lanes, &lane{producer: p, part: part, ordinal: i, id: record.NoProducerID, req: p.newRequest(part)})
	}
	for i := range max(p.o.Size, minValue) {
		p.value = append(p.value, byte('a'+i%26))
	}
	p.onMetadata = p.pumpAll
	p.keep, _ = parseOperations(p.o.Keep) // the schedule was checked
	return p
}

func (p *producer) newRequest(part *partition) *kmsg.ProduceRequest {
	req := p.produceRequest(part)
	req.Version, req.Acks = int16(p.o.Version), int16(p.o.Acks)
	return req
}

// produceRequest is a request for one partition, without a version, acks and records.
func (c *client) produceRequest(part *partition) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.TimeoutMillis = int32(c.timeout.Milliseconds())
	t := kmsg.NewProduceRequestTopic()
	t.Topic = part.topic.name
	t.Partitions = append(t.Partitions, kmsg.NewProduceRequestTopicPartition())
	t.Partitions[0].Partition = part.id.Index
	req.Topics = append(req.Topics, t)
	return req
}

// start begins to produce.
func (p *producer) start() {
	p.active = true
	p.refresh()
	p.next = p.loop.AfterFunc(p.interval(), p.produce)
}

// stop makes nothing new; what is under way is still sent until it is acknowledged.
func (p *producer) stop() { p.active = false }

// interval draws the time to the next produce: its mean is the option's.
func (p *producer) interval() time.Duration {
	return time.Duration(1 + p.rand.Int64N(2*int64(p.o.Interval)))
}

// produce is one tick. One that is left out draws as if it were not, so that the others stay as they are.
func (p *producer) produce() {
	if !p.active {
		return
	}
	p.next.Reset(p.interval())
	l := p.lanes[p.rand.IntN(len(p.lanes))]
	count := 1
	if p.o.Records > 1 {
		count += p.rand.IntN(p.o.Records)
	}
	p.tick++
	if p.keep.pass(p.tick) && len(l.batches) < maxBacklog {
		p.made = append(p.made, p.tick)
		l.add(count)
		l.pump()
	}
}

// add makes a batch of count new records.
func (l *lane) add(count int) {
	p := l.producer
	b := l.newBatch()
	*b = batch{lane: l, first: l.counter, count: count, session: -1, data: b.data[:0], timestamp: p.loop.UnixMilli()}
	l.counter += int64(count)
	l.batches = append(l.batches, b)
	p.run.attempted(p, b)
}

func (l *lane) newBatch() *batch {
	if n := len(l.free); n > 0 {
		b := l.free[n-1]
		l.free = l.free[:n-1]
		return b
	}
	return new(batch)
}

// minValue is the size of what names a record; filler follows.
const minValue = 16

// seal gives the batch its place in the session and its bytes.
func (l *lane) seal(b *batch) {
	p := l.producer
	b.session, b.sequence = l.session, l.sequence
	l.sequence = record.IncrementSequence(l.sequence, int32(b.count))
	b.data = slices.Grow(b.data[:0], record.HeaderSize+b.count*(len(p.value)+recordOverhead))
	p.builder.Reset(b.data, record.BatchOptions{
		LeaderEpoch: -1, ProducerID: l.id, ProducerEpoch: l.epoch, BaseSequence: b.sequence, BaseTimestamp: b.timestamp,
	})
	for i := range b.count {
		check.AppendValue(p.value[:0], p.index, l.ordinal, b.first+int64(i))
		if key, counter := l.key(b.first+int64(i)), b.first+int64(i); key != nil && counter%tombstoneEvery == 0 {
			p.builder.Append(b.timestamp, key, nil, record.RecordHeader{Key: []byte("value"), Value: p.value[:minValue]})
		} else {
			p.builder.Append(b.timestamp, key, p.value)
		}
	}
	p.builder.Build()
	b.data = p.builder.Bytes() // with all its room
}

// tombstoneEvery is how many records of a compacted topic make one tombstone.
const tombstoneEvery = 6

// keysOf is how many keys a producer writes to a compacted topic's partition.
const keysOf = 5

// key is that of a record, which a compacted topic's must have: each comes again soon.
func (l *lane) key(counter int64) []byte {
	if !l.producer.run.schedule.Options.topic(l.part.id.Topic).Compact {
		return nil
	}
	return []byte{byte(l.producer.index), byte(counter * counter % keysOf)}
}

func (p *producer) pumpAll() {
	for _, l := range p.lanes {
		l.pump()
	}
}

// pump sends what may be sent. A batch that is sent again waits until it is the oldest, as Kafka's
// producer has it: else a later one could overtake it.
func (l *lane) pump() {
	p := l.producer
	if len(l.batches) == 0 || l.asleep || !l.hasSession() {
		return
	}
	if l.part.leader < 0 {
		p.refresh()
		return
	}
	for i, b := range l.batches {
		if b.inFlight || b.abandoned {
			continue
		}
		if l.inFlight >= maxInFlight || b.attempts > 0 && i > 0 {
			return
		}
		l.send(b)
	}
}

// hasSession asks for a producer id if the lane needs one.
func (l *lane) hasSession() bool {
	p := l.producer
	switch {
	case !p.o.Idempotent || l.id >= 0:
		return true
	case p.id >= 0:
		l.id = p.id
		return true
	case !p.asking:
		p.askID()
	}
	return false
}

func (p *producer) askID() {
	p.asking = true
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.TransactionTimeoutMillis = 4, 60_000
	p.send(p.anyBroker(), req, p.timeout, askerFunc(p.onID), false)
}

func (p *producer) onID(resp kmsg.Response, err error) {
	if err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.InitProducerIDResponse).ErrorCode)
	}
	if err != nil {
		p.loop.After(retryBackoff, p.askID)
		return
	}
	p.asking = false
	p.id = resp.(*kmsg.InitProducerIDResponse).ProducerID
	p.pumpAll()
}

func (l *lane) send(b *batch) {
	p := l.producer
	if b.session < 0 {
		l.seal(b)
	}
	b.inFlight = true
	b.awaited = awaited{}
	if b.attempts++; p.o.Idempotent {
		b.awaited = p.run.awaited(l.part.leader, l, b)
	}
	l.inFlight++
	l.req.Topics[0].TopicID = l.part.topic.id
	l.req.Topics[0].Partitions[0].Records = b.data
	p.send(l.part.leader, l.req, p.timeout, b, p.o.Acks == 0)
}

// answered implements asker.
func (b *batch) answered(resp kmsg.Response, err error) {
	l := b.lane
	b.inFlight = false
	l.inFlight--
	offset := int64(-1)
	if err == nil && resp != nil {
		answer := &resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		offset, err = answer.BaseOffset, kerr.ErrorForCode(answer.ErrorCode)
	}
	switch {
	case err == nil || err == kerr.DuplicateSequenceNumber:
		l.onDone(b, offset)
	case b.abandoned:
		l.onDropped(b)
	default:
		l.onFailed(b, err)
	}
}

// onDone ends a batch that was acknowledged, or sent without asking for that.
func (l *lane) onDone(b *batch, offset int64) {
	l.remove(b)
	l.producer.run.acked(l.producer, b, offset)
	l.free = append(l.free, b)
	l.pump()
}

// onDropped ends a batch of which nobody knows whether it was written.
func (l *lane) onDropped(b *batch) {
	l.remove(b)
	l.producer.run.gaveUp(l.producer, b)
	l.free = append(l.free, b)
	l.pump()
}

func (l *lane) remove(b *batch) {
	l.moved = l.producer.loop.UnixMilli()
	for i, x := range l.batches {
		if x == b {
			n := copy(l.batches[i:], l.batches[i+1:])
			l.batches[i+n] = nil
			l.batches = l.batches[:i+n]
			return
		}
	}
}

func (l *lane) onFailed(b *batch, err error) {
	p := l.producer
	p.failed(err)
	if isOfSequence(err) && b.awaited.yes && b.awaited == p.run.awaited(b.awaited.broker, l, b) {
		p.run.refused(l, b, err)
	}
	switch {
	case p.o.Acks == 0:
		l.onDropped(b) // as Kafka: without acknowledgements there is nothing to send again for
		return
	case err == kerr.OutOfOrderSequenceNumber && l.batches[0] != b:
	case isOfSequence(err):
		p.run.note(p.loop.ID(), "new-session", err.Error())
		l.newSession()
	case !isSilence(err) && !kerr.IsRetriable(err):
		p.run.unexpected(p.name, l.part, err)
		l.onDropped(b)
		return
	}
	p.refresh()
	l.retry()
}

// isOfSequence reports whether a broker says with an error that a batch does not follow what it knows of the producer.
func isOfSequence(err error) bool {
	return err == kerr.OutOfOrderSequenceNumber || err == kerr.UnknownProducerID || err == kerr.InvalidProducerEpoch
}

// retry sends again after a while.
func (l *lane) retry() {
	if l.asleep {
		return
	}
	l.asleep = true
	l.producer.loop.After(retryBackoff, func() {
		l.asleep = false
		l.pump()
	})
}

// newSession gives up what was sent and not answered, and starts over with sequence 0: the broker
// no longer knows what came before (KIP-360).
func (l *lane) newSession() {
	l.session++
	l.epoch++
	l.sequence = 0
	for _, b := range append([]*batch(nil), l.batches...) {
		if b.attempts == 0 {
			continue
		}
		b.abandoned = true
		if !b.inFlight {
			l.onDropped(b)
		}
	}
}

// unsettled says what is not acknowledged; empty if everything is.
func (p *producer) unsettled() string {
	for _, l := range p.lanes {
		if len(l.batches) > 0 {
			return fmt.Sprintf("what %s has sent to %s is not acknowledged (%s)", p.name, l.part.id, Count(len(l.batches), "batch"))
		}
	}
	return ""
}

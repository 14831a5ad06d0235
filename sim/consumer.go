package sim

import (
	"fmt"

	"github.com/lockstep/lockstep/core/record"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// consumer reads all partitions from their start and checks after each change of leader whether what
// it has read is still there (KIP-320).
type consumer struct {
	*client
	o         ConsumerOptions
	index     int
	positions []*position
	fetchers  []*fetcher // by broker id
	scratch   record.Scratch
	onRead    func(p *position, offset int64, producer int, counter int64) // of a member that copies; else nil
	onPolled  func()                                                       // so: something was answered
}

// phase is what a position needs before it can be fetched from.
type phase uint8

const (
	needsOffset phase = iota
	needsValidation
	asking // either is under way
	fetching
	parked // by a member of a group: it is not its own
)

// position is where a consumer is in a partition.
type position struct {
	consumer *consumer
	part     *partition
	ordinal  int
	phase    phase
	asleep   bool
	offset   int64       // the next to read
	asked    int64       // offset of the last fetch
	epochs   []epochRead // of the records before it
	valid    int32       // the leader epoch under which the position was found right
	doubts   int         // leaders asked in turn that were older than what was read
	lease    int         // counts how often a group gave the partition or took it
}

// epochRead says from where on a consumer has read records of an epoch.
type epochRead struct {
	epoch int32
	from  int64
}

// epoch is the leader epoch of the record before the position; -1: none was read.
func (p *position) epoch() int32 {
	if n := len(p.epochs); n > 0 {
		return p.epochs[n-1].epoch
	}
	return -1
}

// epochAt is the leader epoch of the record before an offset that was read; -1: none was.
func (p *position) epochAt(offset int64) (epoch int32) {
	epoch = -1
	for _, r := range p.epochs {
		if r.from < offset {
			epoch = r.epoch
		}
	}
	return epoch
}

// advance moves the position past a batch that was read.
func (p *position) advance(b record.Batch) {
	if b.LeaderEpoch() > p.epoch() {
		p.epochs = append(p.epochs, epochRead{b.LeaderEpoch(), p.offset})
	}
	p.offset = max(p.offset, b.NextOffset())
}

// agreed is how far what was read is the log of a leader in which the newest epoch up to the one asked about is epoch, and ends at
// end. What was read of newer epochs is gone, even if older ones reach further there than they did (KIP-320 compares
// the end alone).
func (p *position) agreed(epoch int32, end int64) int64 {
	for _, r := range p.epochs {
		if r.epoch > epoch {
			return min(end, r.from)
		}
	}
	return min(end, p.offset)
}

// back puts the position to where what was read ends.
func (p *position) back(offset int64) {
	for len(p.epochs) > 0 && p.epochs[len(p.epochs)-1].from >= offset {
		p.epochs = p.epochs[:len(p.epochs)-1]
	}
	p.offset = offset
}

func newConsumer(r *run, index int) *consumer {
	node := clientNode + int32(len(r.schedule.Options.Producers)+index)
	return consumerOn(newClient(r, fmt.Sprintf("c%d", index), node), r.schedule.Options.Consumers[index], index)
}

func consumerOn(client *client, o ConsumerOptions, index int) *consumer {
	c := &consumer{client: client, o: o, index: index}
	for i, part := range c.partitions() {
		c.positions = append(c.positions, &position{consumer: c, part: part, ordinal: i, valid: -1})
	}
	c.onMetadata = c.onLeaders
	return c
}

func (c *consumer) start() { c.refresh() }

// onLeaders reacts to metadata: positions are validated under new leaders, then fetched there.
func (c *consumer) onLeaders() {
	for _, p := range c.positions {
		if p.phase == fetching && p.part.leaderEpoch > p.valid {
			p.phase = needsValidation
		}
		p.prepare()
	}
	c.pollAll()
}

func (c *consumer) pollAll() {
	for _, id := range c.brokers {
		c.fetcher(id).poll()
	}
}

func (c *consumer) fetcher(broker int32) *fetcher {
	for len(c.fetchers) <= int(broker) {
		c.fetchers = append(c.fetchers, nil)
	}
	if c.fetchers[broker] == nil {
		c.fetchers[broker] = &fetcher{consumer: c, broker: broker}
	}
	return c.fetchers[broker]
}

// prepare asks for what the position needs.
func (p *position) prepare() {
	if p.asleep || p.part.leader < 0 {
		return
	}
	switch {
	case p.phase == needsOffset:
		p.phase = asking
		p.listOffset()
	case p.phase == needsValidation && p.epoch() < 0:
		p.becomeFetching()
	case p.phase == needsValidation:
		p.phase = asking
		p.validate()
	}
}

func (p *position) becomeFetching() {
	p.phase, p.valid, p.doubts = fetching, p.part.leaderEpoch, 0
	if p.part.leader >= 0 {
		p.consumer.fetcher(p.part.leader).poll()
	}
}

// listOffset asks for the start of the log.
func (p *position) listOffset() {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = 7
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = p.part.topic.name
	tp := kmsg.NewListOffsetsRequestTopicPartition()
	tp.Partition, tp.CurrentLeaderEpoch, tp.Timestamp = p.part.id.Index, p.part.leaderEpoch, -2
	t.Partitions = append(t.Partitions, tp)
	req.Topics = append(req.Topics, t)
	c := p.consumer
	c.send(p.part.leader, req, c.timeout, p.whileOwned(p.onOffset), false)
}

// whileOwned leaves out an answer that comes when the partition was taken or given anew.
func (p *position) whileOwned(f askerFunc) askerFunc {
	lease := p.lease
	return func(resp kmsg.Response, err error) {
		if p.lease == lease {
			f(resp, err)
		}
	}
}

func (p *position) onOffset(resp kmsg.Response, err error) {
	var offset int64
	if err == nil {
		answer := &resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		offset, err = answer.Offset, kerr.ErrorForCode(answer.ErrorCode)
	}
	if err != nil {
		p.again(needsOffset, err)
		return
	}
	p.consumer.run.reset(p.consumer, p, offset)
	p.offset, p.epochs = offset, p.epochs[:0]
	p.becomeFetching()
}

// validate asks where the epoch of the last record read ends.
func (p *position) validate() {
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.Version, req.ReplicaID = 4, -1
	t := kmsg.NewOffsetForLeaderEpochRequestTopic()
	t.Topic = p.part.topic.name
	tp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	tp.Partition, tp.CurrentLeaderEpoch, tp.LeaderEpoch = p.part.id.Index, p.part.leaderEpoch, p.epoch()
	t.Partitions = append(t.Partitions, tp)
	req.Topics = append(req.Topics, t)
	c, asked := p.consumer, p.part.leaderEpoch
	c.send(p.part.leader, req, c.timeout, p.whileOwned(func(resp kmsg.Response, err error) { p.onValidated(asked, resp, err) }), false)
}

// mostDoubts is how often a leader is asked for that is as new as what was read, by this consumer or others of its group. One that is older leads nothing any
// more, and does not know the epoch: to start over for its sake would be to read, and copy, all twice. But the topic may be another one of that name.
const mostDoubts = 200

func (p *position) onValidated(asked int32, resp kmsg.Response, err error) {
	var epoch int32
	var end int64
	if err == nil {
		answer := &resp.(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]
		epoch, end, err = answer.LeaderEpoch, answer.EndOffset, kerr.ErrorForCode(answer.ErrorCode)
	}
	switch {
	case err != nil || asked != p.part.leaderEpoch:
		p.again(needsValidation, err)
	case end < 0 && asked < p.epoch() && p.doubts < mostDoubts:
		p.doubts++
		p.again(needsValidation, nil)
	case end < 0:
		p.phase = needsOffset // no epoch that old: start over
		p.prepare()
	default:
		p.agree(p.agreed(epoch, end))
	}
}

// agree goes on at the offset up to which what was read is the leader's. If some of it is gone, the records before may be others
// too, of an epoch that the leader did not name: it is asked again, as a follower asks (KIP-279).
func (p *position) agree(to int64) {
	if to == p.offset {
		p.becomeFetching()
		return
	}
	p.consumer.run.moved(p.consumer, p, to)
	p.back(to)
	if p.epoch() < 0 {
		p.becomeFetching() // nothing of what was read is left
		return
	}
	p.phase = needsValidation
	p.prepare()
}

// again tries once more after a while, with newer metadata.
func (p *position) again(needed phase, err error) {
	c := p.consumer
	if err != nil {
		c.failed(err)
	}
	if err != nil && !isSilence(err) && !kerr.IsRetriable(err) {
		c.run.unexpected(c.name, p.part, err)
	}
	p.phase = needed
	p.pause()
}

// pause keeps the position from being fetched for a while.
func (p *position) pause() {
	c := p.consumer
	c.refresh()
	if p.asleep {
		return
	}
	p.asleep = true
	c.loop.After(retryBackoff, func() {
		p.asleep = false
		p.prepare()
		if p.part.leader >= 0 {
			c.fetcher(p.part.leader).poll()
		}
	})
}

// isFetched reports whether the position is to be fetched from a broker now.
func (p *position) isFetched(from int32) bool {
	return p.phase == fetching && !p.asleep && p.part.leader == from && p.valid == p.part.leaderEpoch
}

// unsettled says in which partition the consumer is not at the end; empty if it is in all.
func (c *consumer) unsettled(cluster *Cluster) string {
	for _, p := range c.positions {
		if p.phase == parked {
			continue
		}
		leader := cluster.leader(p.part.id)
		if leader == nil || !leader.Up() {
			return p.part.id.String() + " has no leader"
		}
		part := leader.broker.Replicas().Partition(p.part.id)
		if end := part.HighWatermark(); p.offset != end {
			return fmt.Sprintf("%s is at %d in %s, which ends at %d", c.name, p.offset, p.part.id, end)
		}
		if epoch := part.LeaderEpoch(); p.valid != epoch { // the end of another log may be as far
			return fmt.Sprintf("%s has validated its position in %s under epoch %d, not under %d", c.name, p.part.id, p.valid, epoch)
		}
	}
	return ""
}

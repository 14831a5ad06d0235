package sim

import (
	"math"
	"slices"
	"time"

	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/sim/check"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetcher fetches what one broker leads: one request at a time, in a session if the options say so.
type fetcher struct {
	consumer *consumer
	broker   int32
	busy     bool
	asleep   bool

	sessionID    int32
	sessionEpoch int32
	session      []sessionPart // what the broker's session holds; of a full fetch, what was asked for
	current      []*position   // what is to be fetched now
	req          kmsg.FetchRequest
}

// sessionPart is a partition as the session has it.
type sessionPart struct {
	position *position
	offset   int64
	epoch    int32
}

const (
	sessionless        = -1
	newSession         = 0
	isolationNone      = 0
	isolationCommitted = 1
)

// poll sends the next fetch, if there is something to fetch and none under way.
func (f *fetcher) poll() {
	c := f.consumer
	if f.busy || f.asleep {
		return
	}
	f.current = f.current[:0]
	for _, p := range c.positions {
		if p.isFetched(f.broker) {
			f.current = append(f.current, p)
		}
	}
	if len(f.current) == 0 && (f.sessionID == 0 || len(f.session) == 0) {
		return
	}
	f.buildRequest()
	f.busy = true
	c.send(f.broker, &f.req, c.timeout+c.o.Wait, f, false)
}

func (f *fetcher) buildRequest() {
	c, req := f.consumer, &f.req
	topics, forgotten := req.Topics[:0], req.ForgottenTopics[:0]
	req.Default()
	req.Version, req.ReplicaID = int16(c.o.Version), -1
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(c.o.Wait.Milliseconds()), 1, math.MaxInt32
	if req.IsolationLevel = isolationNone; c.o.Committed {
		req.IsolationLevel = isolationCommitted
	}
	req.SessionEpoch = sessionless
	if c.o.Sessions {
		req.SessionID, req.SessionEpoch = f.sessionID, f.sessionEpoch
	}
	if f.sessionID == 0 {
		f.session = f.session[:0]
	}
	req.ForgottenTopics = f.forget(forgotten)
	req.Topics = f.addChanged(topics)
}

// forget takes out of the session what is no longer fetched.
func (f *fetcher) forget(dst []kmsg.FetchRequestForgottenTopic) []kmsg.FetchRequestForgottenTopic {
	kept := f.session[:0]
	for _, s := range f.session {
		if slices.Contains(f.current, s.position) {
			kept = append(kept, s)
			continue
		}
		t := kmsg.NewFetchRequestForgottenTopic()
		t.Topic, t.TopicID = s.position.part.topic.name, s.position.part.topic.id
		t.Partitions = append(t.Partitions, s.position.part.id.Index)
		dst = append(dst, t)
	}
	f.session = kept
	return dst
}

// addChanged names what is new in the session or has moved.
func (f *fetcher) addChanged(dst []kmsg.FetchRequestTopic) []kmsg.FetchRequestTopic {
	for _, p := range f.current {
		p.asked = p.offset
		at := slices.IndexFunc(f.session, func(s sessionPart) bool { return s.position == p })
		if at < 0 {
			at = len(f.session)
			f.session = append(f.session, sessionPart{position: p, offset: -1})
		}
		s := &f.session[at]
		if s.offset == p.offset && s.epoch == p.valid {
			continue
		}
		s.offset, s.epoch = p.offset, p.valid
		dst = f.addTo(dst, p)
	}
	return dst
}

// addTo appends a partition, under the topic before it if that is the same.
func (f *fetcher) addTo(dst []kmsg.FetchRequestTopic, p *position) []kmsg.FetchRequestTopic {
	t := p.part.topic
	if n := len(dst); n == 0 || dst[n-1].Topic != t.name {
		if n < cap(dst) {
			dst = dst[:n+1]
			dst[n].Partitions = dst[n].Partitions[:0]
		} else {
			dst = append(dst, kmsg.FetchRequestTopic{})
		}
		dst[n].Topic, dst[n].TopicID = t.name, t.id
	}
	last := &dst[len(dst)-1]
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.CurrentLeaderEpoch = p.part.id.Index, p.valid
	part.FetchOffset, part.PartitionMaxBytes = p.offset, int32(f.consumer.o.MaxBytes)
	last.Partitions = append(last.Partitions, part)
	return dst
}

// answered implements asker.
func (f *fetcher) answered(msg kmsg.Response, err error) {
	f.busy = false
	if err == nil {
		err = kerr.ErrorForCode(msg.(*kmsg.FetchResponse).ErrorCode)
	}
	if err != nil {
		f.onFailed(err)
		return
	}
	resp := msg.(*kmsg.FetchResponse)
	f.advanceSession(resp)
	for i := range resp.Topics {
		t := f.consumer.topicOf(resp.Topics[i].Topic, resp.Topics[i].TopicID)
		for j := range resp.Topics[i].Partitions {
			f.onPartition(t, &resp.Topics[i].Partitions[j])
		}
	}
	f.poll()
}

func (f *fetcher) advanceSession(resp *kmsg.FetchResponse) {
	switch {
	case resp.SessionID == 0:
		f.dropSession()
	case f.sessionEpoch == math.MaxInt32:
		f.sessionID, f.sessionEpoch = resp.SessionID, 1
	default:
		f.sessionID = resp.SessionID
		f.sessionEpoch++
	}
}

func (f *fetcher) dropSession() {
	f.sessionID, f.sessionEpoch, f.session = 0, newSession, f.session[:0]
}

func (f *fetcher) onFailed(err error) {
	c := f.consumer
	c.failed(err)
	f.dropSession()
	c.refresh()
	f.asleep = true
	var pause time.Duration = retryBackoff
	c.loop.After(pause, func() {
		f.asleep = false
		f.poll()
	})
}

func (f *fetcher) onPartition(t *topic, answer *kmsg.FetchResponseTopicPartition) {
	c := f.consumer
	part := t.partitions[answer.Partition]
	p := c.positionOf(part)
	if !p.isFetched(f.broker) || p.asked != p.offset {
		return // moved on while the fetch was under way
	}
	err := kerr.ErrorForCode(answer.ErrorCode)
	if err != nil {
		c.failed(err)
	}
	switch {
	case err == nil:
		c.checkStable(p, answer)
		before := p.offset
		p.read(answer)
		c.fetched(int(p.offset - before))
	case err == kerr.OffsetOutOfRange:
		p.phase = needsOffset
		p.prepare()
	case err == kerr.CorruptMessage:
		c.run.corrupted(c, p)
		p.pause()
	case !kerr.IsRetriable(err):
		c.run.unexpected(c.name, part, err)
		p.pause()
	default:
		p.pause()
	}
}

func (c *consumer) positionOf(part *partition) *position {
	for _, p := range c.positions {
		if p.part == part {
			return p
		}
	}
	panic(harnessError(c.name + " has no position for " + part.id.String()))
}

// read takes the batches of an answer. The first may begin before the position; whatever else lies there should not be.
func (p *position) read(answer *kmsg.FetchResponseTopicPartition) {
	p.consumer.run.polled(p.consumer, p)
	from := p.offset
	left := sieveOf(p.consumer, answer)
	for rest := answer.RecordBatches; len(rest) > 0; {
		b, next, err := record.Parse(rest)
		switch {
		case err == record.ErrShort:
			return // the answer's end cut it off
		case err != nil || !b.CheckCRC():
			p.consumer.run.corrupted(p.consumer, p)
			return
		}
		if b.NextOffset() <= from {
			from = b.BaseOffset()
		}
		if left.takes(b) {
			p.readBatch(b, from)
		} else {
			p.advance(b)
		}
		rest, from = next, 0
	}
	p.consumer.run.passed(p.consumer, p)
	if p.consumer.onPolled != nil && len(answer.RecordBatches) > 0 {
		p.consumer.onPolled()
	}
}

// readBatch takes the records from an offset on.
func (p *position) readBatch(b record.Batch, from int64) {
	c, base := p.consumer, b.BaseOffset()
	if !b.IsControl() {
		err := b.Each(&c.scratch, func(r record.Record) error {
			if offset := base + int64(r.OffsetDelta); offset >= from {
				p.readRecord(offset, check.ValueOf(r))
			}
			return nil
		})
		if err != nil {
			c.run.corrupted(c, p)
		}
	}
	p.advance(b)
}

func (p *position) readRecord(offset int64, value []byte) {
	c := p.consumer
	producer, ordinal, counter, ok := check.ParseValue(value)
	if !ok || ordinal != p.ordinal {
		c.run.corrupted(c, p)
		return
	}
	c.run.read(c, p, offset, producer, counter)
	if c.onRead != nil {
		c.onRead(p, offset, producer, counter)
	}
}

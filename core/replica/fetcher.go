package replica

import (
	"slices"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const fetchVersion = 17

// fetcher fetches all partitions that one other broker leads, with one request under way at a time. The next is sent
// when what the last one brought is written, so that it says how far we are.
type fetcher struct {
	m      *Manager
	leader int32
	addr   network.Addr // empty: not known
	lane   *wire.Peers

	byTopicID map[partitionKey]*following
	active    []*following // by partition
	dirty     []*following // to be looked at before the next request
	forgotten []partitionKey
	session   fetchSession
	members   int // partitions in the session
	req       kmsg.FetchRequest

	inFlight  bool
	writing   int // appends under way
	scheduled bool
	backoff   scheduler.Timer
	backing   bool // off, after a request failed as a whole
	stopped   bool

	// Bound once, so that a request allocates no closure.
	onTurnEnd func()
	onAnswer  func(*wire.Response, error)
}

// partitionKey is a partition as fetches name it.
type partitionKey struct {
	topicID [16]byte
	index   int32
}

func (p *Partition) key() partitionKey { return partitionKey{p.topicID, p.id.Index} }

// follow has p fetched from leader.
func (m *Manager) follow(p *Partition, leader int32) {
	at, found := slices.BinarySearchFunc(m.fetchers, leader, func(f *fetcher, id int32) int { return int(f.leader) - int(id) })
	if !found {
		m.fetchers = slices.Insert(m.fetchers, at, newFetcher(m, leader))
	}
	m.fetchers[at].add(p)
}

// unfollow stops fetching p, if it was.
func (m *Manager) unfollow(p *Partition) {
	m.purgatory.remove(&p.follow.expiry)
	if f := p.follow.fetcher; f != nil {
		f.remove(p)
	}
	p.follow.state = fetching
}

func newFetcher(m *Manager, leader int32) *fetcher {
	f := &fetcher{m: m, leader: leader, byTopicID: map[partitionKey]*following{}, req: kmsg.NewFetchRequest()}
	f.lane = m.peers.Lane("fetch")
	f.onTurnEnd, f.onAnswer = f.send, f.onResponse
	f.updateAddr()
	return f
}

// updateAddr follows the leader to where it is registered now. It is a new process there, so the session is gone.
func (f *fetcher) updateAddr() {
	addr := network.Addr("")
	if b := f.m.broker(f.leader); b != nil {
		addr = b.addr
	}
	if addr != f.addr {
		f.addr = addr
		f.session.restart()
		f.schedule()
	}
}

func (f *fetcher) add(p *Partition) {
	w := &p.follow
	w.fetcher, w.state, w.inSession, w.dirty = f, fetching, false, false
	f.byTopicID[p.key()] = w
	at, _ := slices.BinarySearchFunc(f.active, p.id, compareFollowing)
	f.active = slices.Insert(f.active, at, w)
	f.touch(w)
}

func (f *fetcher) remove(p *Partition) {
	w := &p.follow
	f.leave(w)
	delete(f.byTopicID, p.key())
	if at, found := slices.BinarySearchFunc(f.active, p.id, compareFollowing); found {
		f.active = slices.Delete(f.active, at, at+1)
	}
	if at := slices.Index(f.dirty, w); at >= 0 {
		f.dirty = slices.Delete(f.dirty, at, at+1)
	}
	w.fetcher, w.inSession, w.dirty = nil, false, false
}

func compareFollowing(w *following, id event.Partition) int { return w.p.id.Compare(id) }

// touch has w looked at before the next request.
func (f *fetcher) touch(w *following) {
	if !w.dirty {
		w.dirty = true
		f.dirty = append(f.dirty, w)
	}
	f.schedule()
}

// schedule has the next request sent at the end of the turn, so that all that changes in it is in one request.
func (f *fetcher) schedule() {
	if !f.scheduled && !f.stopped && f.isIdle() {
		f.scheduled = true
		f.m.loop.Defer(f.onTurnEnd)
	}
}

func (f *fetcher) isIdle() bool { return !f.inFlight && f.writing == 0 && !f.backing && f.addr != "" }

func (f *fetcher) stop() {
	f.stopped = true
	if f.backoff != nil {
		f.backoff.Stop()
	}
}

func (f *fetcher) send() {
	f.scheduled = false
	if f.stopped || !f.isIdle() {
		return
	}
	f.build()
	if f.members == 0 { // nothing to fetch; touch will tell
		f.session.restart()
		return
	}
	f.inFlight = true
	f.lane.Send(f.addr, &f.req, f.m.cfg.FetchTimeout, f.onAnswer)
}

// build makes f.req: everything, or what changed since the last request of the session.
func (f *fetcher) build() {
	if f.m.env.Buggify.Fires(buggify.SessionReset) {
		f.session.restart()
	}
	if f.session.isFull() {
		f.startOver()
	}
	cfg, r := &f.m.cfg, &f.req
	r.Version = fetchVersion
	r.ReplicaState.ID, r.ReplicaState.Epoch = cfg.NodeID, f.m.brokerEpoch
	r.MaxWaitMillis, r.MinBytes, r.MaxBytes = int32(cfg.FetchWaitMax.Milliseconds()), cfg.FetchMinBytes, cfg.FetchMaxBytes
	r.SessionID, r.SessionEpoch = f.session.id, f.session.epoch
	r.Topics, r.ForgottenTopics = r.Topics[:0], r.ForgottenTopics[:0]
	slices.SortFunc(f.dirty, func(a, b *following) int { return a.p.id.Compare(b.p.id) })
	for _, w := range f.dirty {
		w.dirty = false
		f.include(w)
	}
	clear(f.dirty)
	f.dirty = f.dirty[:0]
	f.forget()
}

// startOver makes the next request name all that can be fetched.
func (f *fetcher) startOver() {
	f.members, f.forgotten = 0, f.forgotten[:0]
	for _, w := range f.active {
		w.inSession = false
		if !w.dirty {
			w.dirty = true
			f.dirty = append(f.dirty, w)
		}
	}
}

// include names w in the request if the session does not know where it is, and drops it from the session if it
// cannot be fetched: the leader would report its error again and again, and at once.
func (f *fetcher) include(w *following) {
	if !w.isReady() {
		f.leave(w)
		return
	}
	at := w.position()
	if w.inSession && w.sent == at {
		return
	}
	if !w.inSession {
		w.inSession = true
		f.members++
	}
	w.sent = at
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.PartitionMaxBytes = w.p.id.Index, f.m.cfg.FetchPartitionMaxBytes
	p.FetchOffset, p.LogStartOffset = at.offset, at.logStartOffset
	p.CurrentLeaderEpoch, p.LastFetchedEpoch = at.leaderEpoch, at.lastFetchedEpoch
	t := f.topic(w.p.topicID)
	t.Partitions = append(t.Partitions, p)
}

// topic is the request's entry for a topic; those of one topic come one after the other.
func (f *fetcher) topic(id [16]byte) *kmsg.FetchRequestTopic {
	topics := f.req.Topics
	n := len(topics)
	if n > 0 && topics[n-1].TopicID == id {
		return &topics[n-1]
	}
	if n < cap(topics) {
		topics = topics[:n+1] // with the memory of its partitions
		topics[n].TopicID, topics[n].Partitions = id, topics[n].Partitions[:0]
	} else {
		t := kmsg.NewFetchRequestTopic()
		t.TopicID = id
		topics = append(topics, t)
	}
	f.req.Topics = topics
	return &topics[n]
}

func (f *fetcher) leave(w *following) {
	if w.inSession {
		w.inSession = false
		f.members--
		f.forgotten = append(f.forgotten, w.p.key())
	}
}

// forget names what left the session, unless it is back: a leader takes additions first, and would drop it.
func (f *fetcher) forget() {
	for _, key := range f.forgotten {
		if w := f.byTopicID[key]; w != nil && w.inSession {
			continue
		}
		t := kmsg.NewFetchRequestForgottenTopic()
		t.TopicID, t.Partitions = key.topicID, []int32{key.index}
		f.req.ForgottenTopics = append(f.req.ForgottenTopics, t)
	}
	f.forgotten = f.forgotten[:0]
}

func (f *fetcher) onResponse(r *wire.Response, err error) {
	f.inFlight = false
	if f.stopped {
		r.Release()
		return
	}
	if err != nil {
		f.onFailure()
		return
	}
	body := r.Body.(*kmsg.FetchResponse)
	if f.session.onResponse(body.ErrorCode, body.SessionID) {
		f.deliver(body, r.Frame())
		if f.m.env.Buggify.Fires(buggify.FollowerBackoff) {
			f.onFailure()
		}
		f.schedule()
	} else if isSessionError(body.ErrorCode) {
		f.schedule()
	} else {
		f.onFailure()
	}
	r.Recycle()
}

func (f *fetcher) deliver(body *kmsg.FetchResponse, frame *network.Frame) {
	for t := range body.Topics {
		topic := &body.Topics[t]
		for i := range topic.Partitions {
			w := f.find(topic.TopicID, topic.Partitions[i].Partition)
			if w != nil && w.inSession {
				w.onAnswer(&topic.Partitions[i], frame)
			}
		}
	}
}

// fewActive is how many partitions are sooner compared than hashed.
const fewActive = 8

func (f *fetcher) find(topicID [16]byte, index int32) *following {
	if len(f.active) > fewActive {
		return f.byTopicID[partitionKey{topicID, index}]
	}
	for _, w := range f.active {
		if w.p.id.Index == index && w.p.topicID == topicID {
			return w
		}
	}
	return nil
}

// isSessionError reports whether the request was refused for its session alone.
func isSessionError(code int16) bool {
	return code == kerr.FetchSessionIDNotFound.Code || code == kerr.InvalidFetchSessionEpoch.Code || code == kerr.FetchSessionTopicIDError.Code
}

// onFailure backs off: the leader was not reached, or refused the request as a whole.
func (f *fetcher) onFailure() {
	f.session.restart()
	f.backing = true
	if f.backoff == nil {
		f.backoff = f.m.loop.AfterFunc(f.m.cfg.FetchBackoff, f.onBackoff)
	} else {
		f.backoff.Reset(f.m.cfg.FetchBackoff)
	}
}

func (f *fetcher) onBackoff() {
	f.backing = false
	f.schedule()
}

// onWritten notes the end of an append.
func (f *fetcher) onWritten() {
	f.writing--
	f.schedule()
}

package api

import (
	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/quota"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxFetchBytes bounds the records of an answer; the first batch may exceed it (KIP-74). Kafka's default of fetch.max.bytes.
const maxFetchBytes = 55 << 20

// Fetch (key 1), versions 4 to 18, for consumers, followers and, on the controller's listener, the metadata log's
// voters and observers. Sessions are KIP-227's; topics are named by id from version 13; a wrong leader
// answers with the right one from 16 (KIP-951). From 11 consumers may read from followers, and are sent to one in their rack (KIP-392). The records themselves never pass through here: an
// answer holds regions of files or slices of memory.
func (k *call) fetch() {
	req := k.req.Body.(*kmsg.FetchRequest)
	if k.controllerSide {
		k.server.Quorum.HandleFetch(req, func(resp *wire.FetchResponse, release func()) {
			k.replyFetched(resp, release)
		})
		return
	}
	f := k.server.newFetchCall(k, req)
	if err := f.open(); err != nil {
		f.free()
		k.replyFetched(&wire.FetchResponse{ErrorCode: err.Code}, nil)
		return
	}
	k.server.Replicas.Fetch(f.params(), f.onDone)
}

func (k *call) replyFetched(resp *wire.FetchResponse, release func()) {
	k.head, k.sending = wire.AppendFetch(k.head, k.sending, resp, k.req.Version, k.req.CorrelationID)
	k.replyChunks(k.sending, release)
}

// fetchCall is one Fetch on its way: the partitions it covers, in serving order, and the part of
// the session behind each, if there is a session. It is used again for another.
type fetchCall struct {
	*call
	fetch       *kmsg.FetchRequest
	session     *session
	epoch       int32 // of the session's next request
	incremental bool
	parts       []*sessionPart // of the session; as long as entries, or empty
	entries     []replica.FetchEntry
	resp        wire.FetchResponse
	onDone      func([]wire.FetchPartition, func()) // complete, bound once
}

func (s *Server) newFetchCall(k *call, req *kmsg.FetchRequest) *fetchCall {
	n := len(s.fetches) - 1
	if n < 0 {
		f := &fetchCall{call: k, fetch: req}
		f.onDone = f.complete
		return f
	}
	f := s.fetches[n]
	s.fetches = s.fetches[:n]
	f.call, f.fetch = k, req
	return f
}

// free makes f available for another request. It holds on to nothing of this one.
func (f *fetchCall) free() {
	s := f.server
	clear(f.parts)
	clear(f.entries)
	f.parts, f.entries = f.parts[:0], f.entries[:0]
	for i := range f.resp.Topics {
		clear(f.resp.Topics[i].Partitions) // they hold on to chunks
	}
	f.resp.Topics, f.resp.NodeEndpoints = f.resp.Topics[:0], nil
	f.call, f.fetch, f.session, f.incremental = nil, nil, nil, false
	if cap(f.entries) <= maxKept {
		s.fetches = append(s.fetches, f)
	}
}

// open finds or makes the session and lists what is to be fetched.
func (f *fetchCall) open() *kerr.Error {
	req, s := f.fetch, f.server
	if req.Version < 7 || req.SessionEpoch == epochSessionless || req.SessionEpoch == epochNewSession {
		s.sessions.remove(req.SessionID) // a full fetch ends the session it names
		f.coverRequest()
		if req.Version >= 7 && req.SessionEpoch == epochNewSession {
			f.startSession()
		}
		return nil
	}
	if s.Env.Buggify.Fires(buggify.SessionEvicted) {
		s.sessions.remove(req.SessionID)
	}
	x, err := s.sessions.find(req)
	if err != nil {
		return err
	}
	x.update(req, s)
	f.coverSession(x)
	if len(x.parts) == 0 || s.sessions.isFull() { // nothing is left to remember, or too much
		s.sessions.remove(x.id)
		f.parts = f.parts[:0]
		return nil
	}
	f.session, f.epoch, f.incremental = x, x.epoch, true
	return nil
}

// coverRequest takes the partitions from the request itself.
func (f *fetchCall) coverRequest() {
	for i := range f.fetch.Topics {
		t := &f.fetch.Topics[i]
		name := f.server.topicName(f.fetch, t)
		for j := range t.Partitions {
			f.entries = append(f.entries, fetchEntry(name, t.TopicID, &t.Partitions[j]))
		}
	}
}

// startSession makes a session of what the request names, if there is room for one.
func (f *fetchCall) startSession() {
	if f.server.Env.Buggify.Fires(buggify.SessionRefused) {
		return
	}
	x := f.server.sessions.create(f.conn, f.fetch)
	if x == nil {
		return
	}
	f.session, f.epoch = x, x.epoch
	for i := range f.entries {
		x.put(f.entries[i])
	}
	f.entries = f.entries[:0] // some may have been named twice
	f.coverSession(x)
}

// coverSession takes the partitions from the session. A topic id that was unknown may be known by now.
func (f *fetchCall) coverSession(x *session) {
	for _, part := range x.parts {
		if x.byID && part.entry.Partition.Topic == "" {
			part.entry.Partition.Topic = f.server.topicNameByID(part.entry.TopicID)
		}
		f.parts = append(f.parts, part)
		f.entries = append(f.entries, part.entry)
	}
}

// topicName is the name of a topic that a request names, or whose id it names.
func (s *Server) topicName(req *kmsg.FetchRequest, t *kmsg.FetchRequestTopic) string {
	if req.Version >= 13 {
		return s.topicNameByID(t.TopicID)
	}
	return t.Topic
}

// topicNameByID is empty for an unknown id; the replica manager answers UNKNOWN_TOPIC_ID for those.
func (s *Server) topicNameByID(id [16]byte) string {
	if t := s.topicByID(id); t != nil {
		return t.Name
	}
	return ""
}

func (f *fetchCall) params() replica.FetchParams {
	req := f.fetch
	p := replica.FetchParams{
		ReplicaID:     req.ReplicaID,
		ReplicaEpoch:  -1,
		MaxWait:       patience(req.MaxWaitMillis),
		MinBytes:      min(int(req.MinBytes), maxFetchBytes),
		MaxBytes:      min(int(req.MaxBytes), maxFetchBytes),
		ReadCommitted: req.IsolationLevel == 1,
		AnyReplica:    req.Version >= 11,
		Rack:          req.Rack,
		ByID:          req.Version >= 13,
		Entries:       f.entries,
	}
	if !f.isFollower() && !f.isQuotaExempt() {
		p.MaxBytes = int(min(int64(p.MaxBytes), f.server.quotas.Most(quota.Consume, f.call.req.ClientID))) // more would be throttled for sure
		p.MinBytes = min(p.MinBytes, p.MaxBytes)
	}
	if req.Version >= 15 {
		p.ReplicaID, p.ReplicaEpoch = req.ReplicaState.ID, req.ReplicaState.Epoch
	}
	p.AnyReplica = p.AnyReplica && p.ReplicaID < 0
	return p
}

func (f *fetchCall) complete(parts []wire.FetchPartition, release func()) {
	if ms := f.recordFetched(parts); ms > 0 {
		f.throttled(ms, release)
		return
	}
	k := f.call
	hints := endpoints{server: f.server, listener: f.listener}
	for i := range parts {
		if len(f.parts) > 0 && !f.parts[i].needsAnswer(&parts[i]) && f.incremental {
			continue
		}
		f.add(&f.entries[i], &parts[i])
		if !f.isFollower() { // which knows where brokers are
			hints.add(parts[i].CurrentLeader.ID)
		}
	}
	f.resp.SessionID = 0
	if f.session != nil {
		f.resp.SessionID = f.session.id
		f.session.rotate(f.epoch, f.parts, parts)
	}
	if f.req.Version >= 16 && len(hints.ids) > 0 {
		f.resp.NodeEndpoints = hints.forFetch()
	}
	k.replyFetched(&f.resp, release)
	f.free()
}

// throttled answers with nothing: neither records nor a change of the session. A session that was to begin does not.
func (f *fetchCall) throttled(ms int64, release func()) {
	k := f.call
	if release != nil {
		release()
	}
	resp := wire.FetchResponse{ThrottleMs: throttleMs(ms)}
	if f.session != nil && f.incremental {
		resp.SessionID = f.session.id
	} else if f.session != nil {
		f.server.sessions.remove(f.session.id)
	}
	f.free()
	k.mute(ms)
	k.replyFetched(&resp, nil)
}

// isFollower reports whether a broker replicates.
func (f *fetchCall) isFollower() bool {
	if f.fetch.Version >= 15 {
		return f.fetch.ReplicaState.ID >= 0
	}
	return f.fetch.ReplicaID >= 0
}

// add appends a partition to the answer, under the topic before it if that is the same.
func (f *fetchCall) add(e *replica.FetchEntry, p *wire.FetchPartition) {
	if f.req.Version <= 5 && p.ErrorCode == kerr.KafkaStorageError.Code {
		p.ErrorCode = kerr.NotLeaderForPartition.Code // the other is unknown to older clients
	}
	if f.req.Version < 16 {
		p.CurrentLeader = wire.Leader{ID: -1, Epoch: -1}
	}
	if p.ErrorCode == kerr.UnknownTopicOrPartition.Code || p.ErrorCode == kerr.UnknownTopicID.Code {
		p.AbortedTransactions = []wire.AbortedTransaction{} // not null, as Kafka where it does not come to look at a log
	}
	topics := f.resp.Topics
	n := len(topics)
	if n > 0 && topics[n-1].TopicID == e.TopicID && topics[n-1].Topic == e.Partition.Topic {
		topics[n-1].Partitions = append(topics[n-1].Partitions, *p)
		return
	}
	if n < cap(topics) {
		topics = topics[:n+1] // with the memory of its partitions
	} else {
		topics = append(topics, wire.FetchTopic{})
	}
	t := &topics[n]
	t.Topic, t.TopicID, t.Partitions = e.Partition.Topic, e.TopicID, append(t.Partitions[:0], *p)
	f.resp.Topics = topics
}

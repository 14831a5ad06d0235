package api

import (
	"time"

	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Fetch (key 1), versions 4 to 18, for consumers, followers and, on the controller's listener, the metadata log's
// voters and observers. Sessions are KIP-227's; topics are named by id from version 13; a wrong leader
// answers with the right one from 16 (KIP-951). The records themselves never pass through here: an
// answer holds regions of files or slices of memory.
func (k *call) fetch() {
	req := k.req.Body.(*kmsg.FetchRequest)
	if k.controllerSide {
		k.server.Quorum.HandleFetch(req, func(resp *wire.FetchResponse, release func()) {
			k.replyChunks(wire.EncodeFetch(resp, k.req.Version, k.req.CorrelationID), release)
		})
		return
	}
	f := &fetchCall{call: k, fetch: req}
	if err := f.openSession(); err != nil {
		f.fail(err)
		return
	}
	k.server.Replicas.Fetch(f.params(), f.complete)
}

// fetchCall is one Fetch on its way: the partitions it covers, in serving order, with the part of
// the session behind each, if there is a session.
type fetchCall struct {
	*call
	fetch       *kmsg.FetchRequest
	session     *session
	incremental bool
	keys        []sessionKey
	parts       []*sessionPart
	entries     []replica.FetchEntry
}

func (f *fetchCall) openSession() *kerr.Error {
	req, s := f.fetch, f.server
	if req.Version < 7 || req.SessionEpoch == epochSessionless || req.SessionEpoch == epochNewSession {
		delete(s.sessions.byID, req.SessionID) // a full fetch ends the session it names
		f.coverRequest()
		if req.Version >= 7 && req.SessionEpoch == epochNewSession && len(f.entries) > 0 {
			f.session = s.sessions.create(f.conn, req.Version >= 13)
		}
		f.fillSession()
		return nil
	}
	x, err := s.sessions.find(req)
	if err != nil {
		return err
	}
	f.session, f.incremental = x, true
	x.update(req, s.topicNameByID)
	f.coverSession()
	return nil
}

// coverRequest takes the partitions from the request itself.
func (f *fetchCall) coverRequest() {
	for i := range f.fetch.Topics {
		t := &f.fetch.Topics[i]
		name := topicName(f.fetch, t, f.server.topicNameByID)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			f.keys = append(f.keys, sessionKey{t.Topic, t.TopicID, p.Partition})
			f.entries = append(f.entries, fetchEntry(name, t.TopicID, p))
		}
	}
}

func (f *fetchCall) fillSession() {
	if f.session == nil {
		return
	}
	for i, key := range f.keys {
		f.session.put(key, f.entries[i])
	}
	f.parts = append(f.parts, f.session.parts...)
}

// coverSession takes the partitions from the session. A topic id that was unknown may be known by now.
func (f *fetchCall) coverSession() {
	n := len(f.session.parts)
	f.keys, f.entries = make([]sessionKey, n), make([]replica.FetchEntry, n)
	f.parts = append(f.parts, f.session.parts...)
	for i, part := range f.session.parts {
		if part.entry.Partition.Topic == "" {
			part.entry.Partition.Topic = f.server.topicNameByID(part.key.id)
		}
		f.keys[i], f.entries[i] = part.key, part.entry
	}
}

// topicNameByID is empty for an unknown id; the replica manager answers UNKNOWN_TOPIC_ID for those.
func (s *Server) topicNameByID(id [16]byte) string {
	if t := s.Image().TopicByID(id); t != nil {
		return t.Name
	}
	return ""
}

func (f *fetchCall) params() replica.FetchParams {
	req := f.fetch
	p := replica.FetchParams{
		ReplicaID:     req.ReplicaID,
		ReplicaEpoch:  -1,
		MaxWait:       time.Duration(max(req.MaxWaitMillis, 0)) * time.Millisecond,
		MinBytes:      int(req.MinBytes),
		MaxBytes:      int(req.MaxBytes),
		ReadCommitted: req.IsolationLevel == 1,
		ByID:          req.Version >= 13,
		Entries:       f.entries,
	}
	if req.Version >= 15 {
		p.ReplicaID, p.ReplicaEpoch = req.ReplicaState.ID, req.ReplicaState.Epoch
	}
	return p
}

func (f *fetchCall) fail(err *kerr.Error) {
	resp := &wire.FetchResponse{ErrorCode: err.Code}
	f.replyChunks(wire.EncodeFetch(resp, f.req.Version, f.req.CorrelationID), nil)
}

func (f *fetchCall) complete(parts []wire.FetchPartition, release func()) {
	resp := &wire.FetchResponse{}
	if f.session != nil {
		resp.SessionID = f.session.id
	}
	hints := endpoints{server: f.server, listener: f.listener}
	for i := range parts {
		if f.parts != nil && !f.parts[i].needsAnswer(&parts[i]) && f.incremental {
			continue
		}
		addFetched(resp, f.keys[i], parts[i])
		hints.add(parts[i].CurrentLeader.ID)
	}
	if f.req.Version >= 16 {
		resp.NodeEndpoints = hints.forFetch()
	}
	f.replyChunks(f.encode(resp), release)
}

func (f *fetchCall) encode(resp *wire.FetchResponse) []network.Chunk {
	return wire.EncodeFetch(resp, f.req.Version, f.req.CorrelationID)
}

// addFetched appends a partition, under the topic before it if that is the same.
func addFetched(resp *wire.FetchResponse, key sessionKey, p wire.FetchPartition) {
	n := len(resp.Topics)
	if n == 0 || resp.Topics[n-1].Topic != key.topic || resp.Topics[n-1].TopicID != key.id {
		resp.Topics = append(resp.Topics, wire.FetchTopic{Topic: key.topic, TopicID: key.id})
		n++
	}
	resp.Topics[n-1].Partitions = append(resp.Topics[n-1].Partitions, p)
}

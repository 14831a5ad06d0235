package api

import (
	"math"
	"math/rand/v2"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Session epochs with a meaning (KIP-227). Others count the fetches of a session, 1 after the first.
const (
	epochNewSession  = 0
	epochSessionless = -1
)

// session is a client's incremental fetch (KIP-227): what it fetches and what it was last told of it, so that requests
// and answers name only what changed.
type session struct {
	id       int32
	epoch    int32 // expected of the next request
	byID     bool  // topics are named by id (v13+)
	owner    *conn
	parts    []*sessionPart // in the order in which they are served
	index    map[sessionKey]*sessionPart
	lastUsed int64 // order of use, for eviction
}

type sessionKey struct {
	topic string // empty when topics are named by id
	id    [16]byte
	index int32
}

// sessionPart is one partition of a session. entry is what to fetch; the rest is what was last told.
type sessionPart struct {
	key            sessionKey
	entry          replica.FetchEntry
	told           bool
	highWatermark  int64
	logStartOffset int64
}

// needsAnswer reports whether the partition has news that an incremental answer must carry; errors
// are always told.
func (p *sessionPart) needsAnswer(r *wire.FetchPartition) bool {
	news := !p.told || r.RecordsLen > 0 || r.ErrorCode != 0 || r.DivergingEpoch.Epoch >= 0 || r.PreferredReadReplica >= 0 ||
		r.HighWatermark != p.highWatermark || r.LogStartOffset != p.logStartOffset
	p.told = r.ErrorCode == 0
	p.highWatermark, p.logStartOffset = r.HighWatermark, r.LogStartOffset
	return news
}

// sessions caches the fetch sessions of a broker.
type sessions struct {
	byID  map[int32]*session
	slots int
	uses  int64
	rand  *rand.Rand
}

func (s *sessions) init(slots int, rand *rand.Rand) {
	s.byID, s.slots, s.rand = map[int32]*session{}, slots, rand
}

// create makes a session, evicting the one unused for the longest if all slots are taken.
func (s *sessions) create(owner *conn, byID bool) *session {
	if s.slots == 0 {
		return nil
	}
	if len(s.byID) >= s.slots {
		s.evict()
	}
	id := s.rand.Int32N(math.MaxInt32-1) + 1
	for s.byID[id] != nil {
		id = s.rand.Int32N(math.MaxInt32-1) + 1
	}
	x := &session{id: id, epoch: 1, byID: byID, owner: owner, index: map[sessionKey]*sessionPart{}}
	s.touch(x)
	s.byID[id] = x
	return x
}

func (s *sessions) touch(x *session) {
	s.uses++
	x.lastUsed = s.uses
}

func (s *sessions) evict() {
	var oldest *session
	for _, x := range s.byID { // order: a minimum of distinct numbers
		if oldest == nil || x.lastUsed < oldest.lastUsed {
			oldest = x
		}
	}
	delete(s.byID, oldest.id)
}

// closed ends the sessions of a connection. Kafka keeps them for a client that reconnects; a client that
// gets FETCH_SESSION_ID_NOT_FOUND starts anew, so nothing is lost but one full fetch.
func (s *sessions) closed(c *conn) {
	for id, x := range s.byID { // order: independent deletions
		if x.owner == c {
			delete(s.byID, id)
		}
	}
}

// find returns the session that a request continues.
func (s *sessions) find(req *kmsg.FetchRequest) (*session, *kerr.Error) {
	x := s.byID[req.SessionID]
	switch {
	case x == nil:
		return nil, kerr.FetchSessionIDNotFound
	case x.epoch != req.SessionEpoch:
		return nil, kerr.InvalidFetchSessionEpoch
	case x.byID != (req.Version >= 13):
		return nil, kerr.FetchSessionTopicIDError
	}
	x.epoch++
	if x.epoch < 0 || x.epoch == math.MaxInt32 {
		x.epoch = 1
	}
	s.touch(x)
	return x, nil
}

// update takes over what an incremental request adds, changes and forgets.
func (x *session) update(req *kmsg.FetchRequest, nameOf func(id [16]byte) string) {
	for i := range req.ForgottenTopics {
		t := &req.ForgottenTopics[i]
		for _, index := range t.Partitions {
			x.forget(sessionKey{t.Topic, t.TopicID, index})
		}
	}
	for i := range req.Topics {
		t := &req.Topics[i]
		name := topicName(req, t, nameOf)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			x.put(sessionKey{t.Topic, t.TopicID, p.Partition}, fetchEntry(name, t.TopicID, p))
		}
	}
}

func (x *session) put(key sessionKey, entry replica.FetchEntry) {
	if part := x.index[key]; part != nil {
		part.entry = entry
		return
	}
	part := &sessionPart{key: key, entry: entry}
	x.index[key] = part
	x.parts = append(x.parts, part)
}

func (x *session) forget(key sessionKey) {
	part := x.index[key]
	if part == nil {
		return
	}
	delete(x.index, key)
	for i, p := range x.parts {
		if p == part {
			x.parts = append(x.parts[:i], x.parts[i+1:]...)
			return
		}
	}
}

func topicName(req *kmsg.FetchRequest, t *kmsg.FetchRequestTopic, nameOf func([16]byte) string) string {
	if req.Version >= 13 {
		return nameOf(t.TopicID)
	}
	return t.Topic
}

func fetchEntry(topic string, id [16]byte, p *kmsg.FetchRequestTopicPartition) replica.FetchEntry {
	return replica.FetchEntry{
		Partition:          event.Partition{Topic: topic, Index: p.Partition},
		TopicID:            id,
		Offset:             p.FetchOffset,
		LastFetchedEpoch:   p.LastFetchedEpoch,
		CurrentLeaderEpoch: p.CurrentLeaderEpoch,
		LogStartOffset:     p.LogStartOffset,
		MaxBytes:           int(p.PartitionMaxBytes),
	}
}

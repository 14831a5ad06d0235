package api

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Session epochs with a meaning (KIP-227). Others count the fetches of a session, 1 after the first.
const (
	epochNewSession  = 0
	epochSessionless = -1
)

// sessionEviction is how long a session must be unused before another may take its slot
// (min.incremental.fetch.session.eviction.ms).
const sessionEviction = 2 * time.Minute

// maxSessionParts bounds the partitions that all sessions of a broker remember.
const maxSessionParts = 1 << 18

// session is a client's incremental fetch (KIP-227): what it fetches and what it was last told of it, so that requests
// and answers name only what changed.
type session struct {
	cache    *sessions
	id       int32
	epoch    int32 // expected of the next request
	byID     bool  // topics are named by id (v13+)
	follower bool
	owner    *conn
	parts    []*sessionPart // in the order in which they are served
	index    map[sessionKey]*sessionPart
	lastUsed scheduler.Instant
}

// sessionKey is a partition as the session's requests name it: by the topic's id or else its name.
type sessionKey struct {
	topic string
	id    [16]byte
	index int32
}

// sessionPart is one partition of a session. entry is what to fetch; the rest is what was last told.
type sessionPart struct {
	entry          replica.FetchEntry
	told           bool
	forgotten      bool
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
	held  int // partitions of all sessions
	clock scheduler.Clock
	rand  *rand.Rand
}

func (s *sessions) init(slots int, clock scheduler.Clock, rand *rand.Rand) {
	s.byID, s.slots, s.clock, s.rand = map[int32]*session{}, slots, clock, rand
}

// create makes a session, or returns nil if all slots are taken by sessions that may not be evicted for it.
func (s *sessions) create(owner *conn, req *kmsg.FetchRequest) *session {
	x := &session{cache: s, epoch: 1, byID: req.Version >= 13, owner: owner, index: map[sessionKey]*sessionPart{}, lastUsed: s.clock.Now()}
	x.follower = req.ReplicaID >= 0 || req.Version >= 15 && req.ReplicaState.ID >= 0
	if s.isFull() || len(s.byID) >= s.slots && !s.evictFor(x) {
		return nil
	}
	for x.id == 0 || s.byID[x.id] != nil {
		x.id = s.rand.Int32N(math.MaxInt32) + 1
	}
	s.byID[x.id] = x
	return x
}

// evictFor frees a slot for x: that of the session unused for the longest, if that is long; for a follower that of a
// consumer in any case.
func (s *sessions) evictFor(x *session) bool {
	var victim *session
	for _, y := range s.byID { // order: the least by a total order
		if (victim == nil || y.isLessWorthThan(victim)) && (y.isStale(x.lastUsed) || x.follower && !y.follower) {
			victim = y
		}
	}
	if victim == nil {
		return false
	}
	s.remove(victim.id)
	return true
}

func (x *session) isStale(now scheduler.Instant) bool { return now.Sub(x.lastUsed) > sessionEviction }

func (x *session) isLessWorthThan(y *session) bool {
	if x.lastUsed != y.lastUsed {
		return x.lastUsed < y.lastUsed
	}
	return x.id < y.id
}

func (s *sessions) remove(id int32) {
	if x := s.byID[id]; x != nil {
		s.held -= len(x.parts)
		delete(s.byID, id)
	}
}

// isFull reports that no partition more can be remembered.
func (s *sessions) isFull() bool { return s.held >= maxSessionParts }

// closed ends the sessions of a connection. Kafka keeps them until they are evicted, but no client goes on with one: librdkafka has
// none, the others and our followers begin anew, with a full fetch, on another connection.
func (s *sessions) closed(c *conn) {
	for id, x := range s.byID { // order: independent deletions
		if x.owner == c {
			s.remove(id)
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
	x.epoch = nextSessionEpoch(x.epoch)
	x.lastUsed = s.clock.Now()
	return x, nil
}

func nextSessionEpoch(epoch int32) int32 {
	if epoch == math.MaxInt32 {
		return 1
	}
	return epoch + 1
}

// update takes over what an incremental request adds and changes, then what it forgets.
func (x *session) update(req *kmsg.FetchRequest, s *Server) {
	for i := range req.Topics {
		t := &req.Topics[i]
		name := s.topicName(req, t)
		for j := range t.Partitions {
			x.put(fetchEntry(name, t.TopicID, &t.Partitions[j]))
		}
	}
	for i := range req.ForgottenTopics {
		t := &req.ForgottenTopics[i]
		for _, index := range t.Partitions {
			x.forget(x.key(t.Topic, t.TopicID, index))
		}
	}
	if len(x.index) < len(x.parts) {
		x.dropForgotten()
	}
}

func (x *session) key(topic string, id [16]byte, index int32) sessionKey {
	if x.byID {
		topic = ""
	}
	return sessionKey{topic, id, index}
}

func (x *session) put(entry replica.FetchEntry) {
	key := x.key(entry.Partition.Topic, entry.TopicID, entry.Partition.Index)
	if part := x.find(key); part != nil {
		part.entry = entry
		return
	}
	part := &sessionPart{entry: entry}
	x.index[key] = part
	x.parts = append(x.parts, part)
	x.cache.held++
}

// fewParts is how many partitions are sooner compared than hashed.
const fewParts = 8

func (x *session) find(key sessionKey) *sessionPart {
	if len(x.parts) > fewParts {
		return x.index[key]
	}
	for _, part := range x.parts {
		e := &part.entry
		if e.Partition.Index == key.index && e.TopicID == key.id && (x.byID || e.Partition.Topic == key.topic) && !part.forgotten {
			return part
		}
	}
	return nil
}

func (x *session) forget(key sessionKey) {
	if part := x.index[key]; part != nil {
		part.forgotten = true
		delete(x.index, key)
	}
}

// dropForgotten takes what was forgotten out of the order of service, all at once.
func (x *session) dropForgotten() {
	kept := x.parts[:0]
	for _, part := range x.parts {
		if !part.forgotten {
			kept = append(kept, part)
		}
	}
	x.cache.held -= len(x.parts) - len(kept)
	clear(x.parts[len(kept):])
	x.parts = kept
}

// rotate moves the partitions that got records behind those that got none, so that a busy one does not starve the
// others of the answer's bytes. served are the session's parts as they were when epoch was the next one's; a client that
// did not wait for its answer has changed them meanwhile.
func (x *session) rotate(epoch int32, served []*sessionPart, answers []wire.FetchPartition) {
	if x.epoch != epoch || len(served) < 2 {
		return
	}
	n := 0
	for i, part := range served {
		if answers[i].RecordsLen == 0 {
			x.parts[n] = part
			n++
		}
	}
	for i, part := range served {
		if answers[i].RecordsLen > 0 {
			x.parts[n] = part
			n++
		}
	}
}

func fetchEntry(topic string, id [16]byte, p *kmsg.FetchRequestTopicPartition) replica.FetchEntry {
	return replica.FetchEntry{
		Partition:          event.Partition{Topic: topic, Index: p.Partition},
		TopicID:            id,
		Offset:             p.FetchOffset,
		LastFetchedEpoch:   p.LastFetchedEpoch,
		CurrentLeaderEpoch: max(p.CurrentLeaderEpoch, -1), // here every negative epoch means that it is not said
		LogStartOffset:     p.LogStartOffset,
		MaxBytes:           int(p.PartitionMaxBytes),
	}
}

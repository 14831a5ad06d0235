package txn

import (
	"slices"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/scheduler/virtual"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fataler is what tests and rapid checks have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// stage is a coordinator with one machine, whose log and whose brokers do as a test says.
type stage struct {
	fataler
	world     *virtual.World
	loop      *virtual.Node
	c         *Coordinator
	image     *metadata.Image
	m         *machine
	epoch     int32
	records   []coordinator.Record
	committed int // records; the rest is lost in a crash
	refuse    error
	waiting   []waitingAnswer
	ids       int64
	markers   []sentMarkers
}

type waitingAnswer struct {
	upTo   int
	answer func(error)
}

// sentMarkers is a request that nobody has answered yet.
type sentMarkers struct {
	req  *kmsg.WriteTxnMarkersRequest
	done func(kmsg.Response, error)
}

func newStage(t fataler, version int16) *stage {
	w := virtual.New(1)
	s := &stage{fataler: t, world: w, loop: w.Node(1), image: metadata.NewImage(), ids: 1000}
	s.apply(&metadata.FeatureLevelRecord{Name: Version, FeatureLevel: version})
	s.apply(&metadata.TopicRecord{Name: "t", TopicID: [16]byte{1}})
	for i := range int32(3) {
		s.apply(&metadata.PartitionRecord{TopicID: [16]byte{1}, PartitionID: i, Replicas: []int32{1}, Isr: []int32{1}, Leader: 1})
	}
	s.c = &Coordinator{
		env:    &env.Env{Loop: s.loop, Event: event.Discard},
		cfg:    Config{MaxTimeoutMs: 900_000, ExpirationMs: 7 * 24 * 3600_000, AbortInterval: time.Second, ExpirationInterval: time.Hour},
		shards: s,
		needs: Needs{
			Image:         func() *metadata.Image { return s.image },
			NewProducerID: func(done func(int64, error)) { s.ids++; done(s.ids, nil) },
			Send: func(_ int32, req kmsg.Request, done func(kmsg.Response, error)) {
				s.markers = append(s.markers, sentMarkers{req.(*kmsg.WriteTxnMarkersRequest), done})
			},
		},
	}
	s.load()
	return s
}

func (s *stage) apply(r metadata.Record) {
	if err := s.image.Apply(r); err != nil {
		s.Fatalf("%v", err)
	}
}

// load makes a machine of what is committed, as the leader of another epoch does.
func (s *stage) load() {
	s.epoch++
	s.records = s.records[:s.committed]
	s.m = newMachine(s.c, s)
	for _, r := range s.records {
		s.m.Replay(coordinator.Replayed{Record: r, ProducerID: -1})
	}
	s.m.Loaded()
	s.settle()
}

// crash loses what is not committed, and answers nobody but those who wait for the log.
func (s *stage) crash() {
	s.m.Unloaded()
	waiting := s.waiting
	s.waiting = nil
	for _, w := range waiting {
		w.answer(kerr.NotCoordinator)
	}
	s.markers = nil
	s.load()
}

// machine and each implement shards.
func (s *stage) machine(string) (*machine, error) { return s.m, nil }
func (s *stage) each(f func(*machine)) bool       { f(s.m); return true }

// Append, WhenCommitted, Loop and Epoch implement log.
func (s *stage) Append(records []coordinator.Record, answer func(error)) error {
	if s.refuse != nil {
		return s.refuse
	}
	s.records = append(s.records, records...)
	for _, r := range records {
		s.m.Replay(coordinator.Replayed{Record: r, ProducerID: -1})
	}
	s.WhenCommitted(answer)
	return nil
}

func (s *stage) WhenCommitted(answer func(error)) {
	if answer != nil {
		s.waiting = append(s.waiting, waitingAnswer{len(s.records), answer})
	}
}

func (s *stage) Loop() scheduler.Loop { return s.loop }
func (s *stage) Epoch() int32         { return s.epoch }

// commit commits all that was appended, answers, and has the turn end.
func (s *stage) commit() {
	for {
		s.committed = len(s.records)
		waiting := s.waiting
		s.waiting = nil
		for _, w := range waiting {
			w.answer(nil)
		}
		s.settle()
		if len(s.waiting) == 0 && s.committed == len(s.records) {
			return
		}
	}
}

// settle ends the turn.
func (s *stage) settle() {
	ran := false
	s.loop.Post(func() { ran = true })
	for !ran && s.world.Step() {
	}
}

// answerMarkers answers the requests sent so far, each partition with the same code.
func (s *stage) answerMarkers(code int16) {
	sent := s.markers
	s.markers = nil
	for _, m := range sent {
		resp := kmsg.NewPtrWriteTxnMarkersResponse()
		for _, marker := range m.req.Markers {
			told := kmsg.WriteTxnMarkersResponseMarker{ProducerID: marker.ProducerID}
			for _, topic := range marker.Topics {
				t := kmsg.WriteTxnMarkersResponseMarkerTopic{Topic: topic.Topic}
				for _, p := range topic.Partitions {
					t.Partitions = append(t.Partitions, kmsg.WriteTxnMarkersResponseMarkerTopicPartition{Partition: p, ErrorCode: code})
				}
				told.Topics = append(told.Topics, t)
			}
			resp.Markers = append(resp.Markers, told)
		}
		m.done(resp, nil)
	}
	s.settle()
}

// result is what a request was answered; without answer err is errNoAnswer.
type result struct {
	Producer
	err error
}

var errNoAnswer = kerr.UnknownServerError

func (r *result) take(p Producer, err error) { r.Producer, r.err = p, err }
func (r *result) takeErr(err error)          { r.err = err }

func (s *stage) init(expected *Producer) *result {
	r := &result{noProducer, errNoAnswer}
	s.c.InitProducerID("id", 60_000, expected, r.take)
	return r
}

func (s *stage) add(p Producer, version int16, indexes ...int32) *result {
	r := &result{p, errNoAnswer}
	var partitions []event.Partition
	for _, i := range indexes {
		partitions = append(partitions, event.Partition{Topic: "t", Index: i})
	}
	s.c.AddPartitions("id", p, partitions, version, r.takeErr)
	return r
}

func (s *stage) end(p Producer, commit bool, version int16) *result {
	r := &result{noProducer, errNoAnswer}
	s.c.End("id", p, commit, version, r.take)
	return r
}

// must commits and expects a result.
func (s *stage) must(what string, r *result, want error) Producer {
	s.Helper()
	s.commit()
	if r.err != want {
		s.Fatalf("%s: %v, want %v", what, r.err, want)
	}
	return r.Producer
}

func (s *stage) state() State { return s.m.get("id").state }

// put makes t what is known of "id".
func (s *stage) put(t *transaction) {
	t.id = "id"
	if err := s.m.write(t, nil); err != nil {
		s.Fatalf("%v", err)
	}
	s.commit()
}

func TestTransactionRecordsAreKafkas(t *testing.T) {
	x := &transaction{
		id: "tx", producer: Producer{1000, 3}, previousID: 999, nextID: 1001, timeoutMs: 60000, state: PrepareCommit, updatedMs: 1_700_000_000_000, startedMs: 5, version: 2, lastEpoch: -1,
		partitions: []event.Partition{{Topic: "a", Index: 0}, {Topic: "a", Index: 2}, {Topic: "b", Index: 1}},
	}
	r := x.record(2)
	if string(r.Key) != "\x00\x00\x00\x02tx" {
		t.Errorf("key %x", r.Key)
	}
	want := "\x00\x01" + "\x00\x00\x00\x00\x00\x00\x03\xe8" + "\x00\x03" + "\x00\x00\xea\x60" + "\x02" +
		"\x03" + "\x02a" + "\x03\x00\x00\x00\x00\x00\x00\x00\x02" + "\x00" + "\x02b" + "\x02\x00\x00\x00\x01" + "\x00" +
		"\x00\x00\x01\x8b\xcf\xe5\x68\x00" + "\x00\x00\x00\x00\x00\x00\x00\x05" +
		"\x03" + "\x00\x08\x00\x00\x00\x00\x00\x00\x03\xe7" + "\x01\x08\x00\x00\x00\x00\x00\x00\x03\xe9" + "\x02\x02\x00\x02"
	if string(r.Value) != want {
		t.Errorf("value\n%x, want\n%x", r.Value, want)
	}
	old := x.record(0)
	if old.Value[1] != 0 || len(old.Value) != 8+2+2+4+1+4+2+1+4+8+2+1+4+4+8+8 {
		t.Errorf("version 0: %x", old.Value)
	}
	for version := range int16(3) {
		id, y, err := parse(x.record(version))
		if version == 0 {
			y.previousID, y.nextID, y.version = x.previousID, x.nextID, x.version // it has none
		}
		if err != nil || id != "tx" || !slices.Equal(y.partitions, x.partitions) || y.producer != x.producer || y.state != x.state || y.nextID != x.nextID || y.version != 2 {
			t.Errorf("version %d: %+v, %v", version, y, err)
		}
	}
	empty := &transaction{id: "tx", state: Empty, startedMs: -1}
	if v := empty.record(0).Value; string(v[17:21]) != "\xff\xff\xff\xff" {
		t.Errorf("the partitions of an empty one are not null: %x", v)
	}
	for _, bad := range []coordinator.Record{{}, {Key: []byte{0, 1, 0, 0}}, {Key: r.Key, Value: []byte{0, 9}}, {Key: r.Key, Value: r.Value[:20]}} {
		if _, _, err := parse(bad); err == nil {
			t.Errorf("%x was read", bad)
		}
	}
	if id, y, err := parse(coordinator.Record{Key: r.Key}); id != "tx" || y != nil || err != nil {
		t.Errorf("tombstone: %q %v %v", id, y, err)
	}
}

// The table of Kafka's TransactionCoordinator, for states without partitions: who retries has the epoch before.
func TestEndOfATransactionThatIsNotOpen(t *testing.T) {
	fenced, invalid := error(kerr.ProducerFenced), error(kerr.InvalidTxnState)
	type answers struct{ abortRetry, abortNow, commitRetry, commitNow error }
	for version, table := range map[int16]map[State]answers{
		0: {
			Empty:          {fenced, invalid, fenced, invalid},
			CompleteAbort:  {fenced, nil, fenced, invalid},
			CompleteCommit: {fenced, invalid, fenced, nil},
		},
		2: {
			Empty:          {fenced, nil, fenced, invalid},
			CompleteAbort:  {nil, nil, invalid, invalid},
			CompleteCommit: {invalid, nil, nil, invalid},
		},
	} {
		for state, want := range table {
			for i, w := range []error{want.abortRetry, want.abortNow, want.commitRetry, want.commitNow} {
				s := newStage(t, 2)
				s.put(&transaction{producer: Producer{7, 5}, previousID: 7, nextID: -1, state: state, version: version, timeoutMs: 1000, lastEpoch: -1})
				was := s.m.get("id")
				p := Producer{7, int16(4 + i%2)}
				got := s.must(state.String(), s.end(p, i >= 2, version), w)
				bumped := version == 2 && i == 1
				next := Producer{7, 5}
				if bumped {
					next.Epoch = 6
				}
				if w != nil || version < 2 {
					next = noProducer
				}
				if got != next || !bumped && s.m.get("id") != was {
					t.Errorf("version %d, %s, case %d: %+v, want %+v; now %+v", version, state, i, got, next, s.m.get("id"))
				}
			}
		}
	}
}

func TestDecisionIsToldAfterItIsCommittedAndUntilEverybodyKnows(t *testing.T) {
	for version := int16(1); version <= 2; version++ {
		spoken := version &^ 1 // clients of version 1 say 0
		s := newStage(t, version)
		p := s.must("init", s.init(nil), nil)
		s.must("add", s.add(p, spoken, 0, 2), nil)
		r := s.end(p, true, spoken)
		s.settle()
		if r.err != errNoAnswer || len(s.markers) != 0 {
			t.Errorf("version %d: answered %v and told %d before it was committed", version, r.err, len(s.markers))
		}
		next := s.must("end", r, nil)
		if len(s.markers) != 1 {
			t.Fatalf("%d requests", len(s.markers))
		}
		m := s.markers[0].req.Markers[0]
		if m.ProducerID != p.ID || m.ProducerEpoch != p.Epoch+spoken/2 || !m.Committed || m.CoordinatorEpoch != s.epoch || m.TransactionVersion != int8(spoken) ||
			len(m.Topics) != 1 || !slices.Equal(m.Topics[0].Partitions, []int32{0, 2}) {
			t.Errorf("marker %+v", m)
		}
		who := p
		if version == 2 {
			who = next
		}
		s.must("the next begins too early", s.add(who, spoken, 1), kerr.ConcurrentTransactions)
		s.must("end again", s.end(p, true, spoken), kerr.ConcurrentTransactions)
		s.must("another takes over too early", s.init(nil), kerr.ConcurrentTransactions)
		s.answerMarkers(kerr.NotLeaderForPartition.Code)
		s.crash() // whoever comes next goes on
		if len(s.markers) != 1 || s.markers[0].req.Markers[0].CoordinatorEpoch != s.epoch {
			s.commit()
		}
		s.answerMarkers(0)
		s.commit()
		if s.state() != CompleteCommit {
			t.Errorf("version %d: %v", version, s.state())
		}
		s.must("end a third time", s.end(p, true, spoken), nil)
		s.must("the next", s.add(who, spoken, 1), nil)
	}
}

func TestMarkersGoToWhoLeadsByThen(t *testing.T) {
	s := newStage(t, 2)
	p := s.must("init", s.init(nil), nil)
	s.must("add", s.add(p, 2, 0, 1), nil)
	s.must("end", s.end(p, false, 2), nil)
	s.answerMarkers(kerr.UnknownTopicOrPartition.Code)
	s.apply(&metadata.RemoveTopicRecord{TopicID: [16]byte{1}})
	s.world.RunUntil(s.world.Now().Add(2 * retryBackoff))
	s.commit()
	if s.state() != CompleteAbort || len(s.markers) != 0 {
		t.Errorf("%v: partitions that are gone need no markers, %d sent", s.state(), len(s.markers))
	}
}

func TestCompletionThatIsRefusedIsTriedAgain(t *testing.T) {
	for _, refusal := range []error{kerr.CoordinatorNotAvailable, kerr.NotCoordinator} { // the other while the disk has no space
		s := newStage(t, 2)
		p := s.must("init", s.init(nil), nil)
		s.must("add", s.add(p, 2, 0), nil)
		s.must("end", s.end(p, false, 2), nil)
		s.refuse = refusal
		s.answerMarkers(0)
		if s.state() != PrepareAbort {
			t.Fatalf("%v", s.state())
		}
		s.refuse = nil
		s.world.RunUntil(s.world.Now().Add(2 * retryBackoff))
		if s.state() != CompleteAbort {
			t.Errorf("%v: %v", refusal, s.state())
		}
	}
}

// KAFKA-9666: an epoch that is raised for each failure is used up at last.
func TestRefusedFenceLeavesTheEpoch(t *testing.T) {
	for version := int16(1); version <= 2; version++ {
		s := newStage(t, version)
		p := s.must("init", s.init(nil), nil)
		s.must("add", s.add(p, version&^1, 0), nil)
		s.refuse = kerr.CoordinatorNotAvailable
		for range 100 {
			s.must("take over", s.init(nil), kerr.CoordinatorNotAvailable)
		}
		s.refuse = nil
		s.must("take over", s.init(nil), kerr.ConcurrentTransactions)
		if m := s.markers[0].req.Markers[0]; m.ProducerEpoch != p.Epoch+1 || m.Committed {
			t.Errorf("version %d: marker %+v", version, m)
		}
	}
}

// KAFKA-20090, KAFKA-18660, KAFKA-19367: whatever uses up the last epoch, another producer id follows.
func TestEpochsThatAreUsedUpGiveAnotherProducerID(t *testing.T) {
	last := &transaction{producer: Producer{7, 32766}, previousID: 7, nextID: -1, state: Ongoing, version: 2, timeoutMs: 1000, startedMs: 0, lastEpoch: -1,
		partitions: []event.Partition{{Topic: "t"}}}
	for name, end := range map[string]func(*stage) Producer{
		"commit": func(s *stage) Producer { return s.must("end", s.end(last.producer, true, 2), nil) },
		"abort":  func(s *stage) Producer { return s.must("end", s.end(last.producer, false, 2), nil) },
		"fence": func(s *stage) Producer {
			s.must("init", s.init(nil), kerr.ConcurrentTransactions)
			return Producer{1001, 0}
		},
		"timeout": func(s *stage) Producer {
			s.world.RunUntil(s.world.Now().Add(2 * time.Second))
			s.commit()
			return Producer{1001, 0}
		},
	} {
		s := newStage(t, 2)
		x := *last
		x.startedMs = s.loop.UnixMilli()
		s.put(&x)
		next := end(s)
		if m := s.markers[0].req.Markers[0]; m.ProducerID != 7 || m.ProducerEpoch != 32767 {
			t.Errorf("%s: marker %+v", name, m)
		}
		s.answerMarkers(0)
		s.commit()
		if now := s.m.get("id").producer; now != next || now != (Producer{1001, 0}) {
			t.Errorf("%s: %+v goes on, and %+v was told", name, now, next)
		}
		if name == "commit" || name == "abort" {
			if again := s.must("a retry", s.end(last.producer, name == "commit", 2), nil); again != next {
				t.Errorf("%s: a retry is told %+v", name, again)
			}
		}
	}
	s := newStage(t, 1)
	x := *last
	x.state, x.partitions, x.version = CompleteCommit, nil, 0
	s.put(&x)
	was := last.producer
	if next := s.must("init after an error", s.init(&was), nil); next != (Producer{1001, 0}) {
		t.Errorf("goes on as %+v", next)
	}
	if next := s.must("its retry", s.init(&was), nil); next != (Producer{1001, 0}) {
		t.Errorf("its retry goes on as %+v", next)
	}
}

func TestProducerThatHadAnErrorGoesOnUnlessAnotherTookOver(t *testing.T) {
	s := newStage(t, 2)
	first := s.must("init", s.init(nil), nil)
	second := s.must("after an error", s.init(&first), nil)
	if second != (Producer{first.ID, first.Epoch + 1}) {
		t.Errorf("%+v after %+v", second, first)
	}
	if again := s.must("a retry", s.init(&first), nil); again != second {
		t.Errorf("a retry gives %+v", again)
	}
	other := s.must("another", s.init(nil), nil)
	s.must("the first again", s.init(&second), kerr.ProducerFenced)
	s.must("of another id", s.init(&Producer{1, 0}), kerr.ProducerFenced)
	s.must("write of the first", s.add(second, 2, 0), kerr.ProducerFenced)
	s.must("write of a stranger", s.add(Producer{1, 0}, 2, 0), kerr.InvalidProducerIDMapping)
	s.must("write of the other", s.add(other, 2, 0), nil)
}

func TestTransactionThatIsLateIsAborted(t *testing.T) {
	for version := int16(1); version <= 2; version++ {
		s := newStage(t, version)
		p := s.must("init", s.init(nil), nil)
		s.must("add", s.add(p, version&^1, 0), nil)
		s.world.RunUntil(s.world.Now().Add(59 * time.Second))
		if s.state() != Ongoing {
			t.Fatalf("version %d: aborted early", version)
		}
		s.world.RunUntil(s.world.Now().Add(3 * time.Second))
		s.commit()
		s.answerMarkers(0)
		s.commit()
		if s.state() != CompleteAbort {
			t.Errorf("version %d: %v", version, s.state())
		}
		if version == 1 {
			s.must("the producer that was late", s.end(p, true, 0), kerr.ProducerFenced)
			continue
		}
		s.must("the producer that was late", s.end(p, true, 2), kerr.InvalidTxnState) // as if it had asked for the abort
		s.must("what it writes", s.add(p, 2, 0), kerr.ProducerFenced)
	}
}

func TestUnusedTransactionalIDIsForgotten(t *testing.T) {
	s := newStage(t, 2)
	s.must("init", s.init(nil), nil)
	s.world.RunUntil(s.world.Now().Add(6 * 24 * time.Hour))
	if s.m.get("id") == nil {
		t.Fatal("forgotten early")
	}
	s.world.RunUntil(s.world.Now().Add(2 * 24 * time.Hour))
	if s.m.get("id") != nil {
		t.Error("still known")
	}
	s.commit()
	s.crash()
	if s.m.get("id") != nil {
		t.Error("known again after a load")
	}
}

func TestWhatIsPartOfATransaction(t *testing.T) {
	s := newStage(t, 1)
	p := s.must("init", s.init(nil), nil)
	s.must("add", s.add(p, 0, 0, 2), nil)
	ask := func(p Producer) (verdicts []error, err error) {
		s.c.Verify("id", p, []event.Partition{{Topic: "t", Index: 2}, {Topic: "t", Index: 1}}, func(v []error, e error) { verdicts, err = v, e })
		s.commit()
		return verdicts, err
	}
	if v, err := ask(p); err != nil || v[0] != nil || v[1] != kerr.TransactionAbortable {
		t.Errorf("%v, %v", v, err)
	}
	if _, err := ask(Producer{p.ID, p.Epoch - 1}); err != kerr.ProducerFenced {
		t.Errorf("old epoch: %v", err)
	}
	if _, err := ask(Producer{p.ID + 1, 0}); err != kerr.InvalidProducerIDMapping {
		t.Errorf("stranger: %v", err)
	}
	s.must("end", s.end(p, true, 0), nil)
	if _, err := ask(p); err != kerr.ConcurrentTransactions {
		t.Errorf("while it ends: %v", err)
	}
}

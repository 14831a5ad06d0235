package group

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/scheduler/virtual"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// world is one machine over a log that is a slice, in virtual time.
type world struct {
	testing.TB
	world   *virtual.World
	loop    *virtual.Node
	cfg     Config
	machine *machine
	image   *metadata.Image
	log     []coordinator.Replayed // and markers, whose key is null
	commit  []bool                 // of the markers, by place in the log
	epoch   int32                  // of the machine; what belongs to an earlier one is not heard
	safe    int                    // how much of the log is committed
	refuse  error                  // what Append says; nil: it appends
	stuck   bool                   // nothing is committed
	waiting []func(error)
}

func defaultConfig() Config {
	return Config{
		MinSessionTimeout: 6 * time.Second, MaxSessionTimeout: 30 * time.Minute, InitialRebalanceDelay: 3 * time.Second, MaxSize: 1000,
		OffsetMetadataMaxBytes: 10, OffsetsRetention: 7 * 24 * time.Hour, RetentionCheckInterval: 10 * time.Minute,
		Assignors: []string{AssignorUniform, AssignorRange}, ConsumerMaxSize: 1000, MigrationPolicy: MigrationPolicy{Upgrade: true, Downgrade: true},
		RegexRefreshInterval: 10 * time.Minute,
		Timing: func(string) Timing {
			return Timing{Session: 45 * time.Second, Heartbeat: 5 * time.Second, AssignmentInterval: time.Second}
		},
	}
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	w := &world{TB: t, world: virtual.New(1), cfg: defaultConfig(), image: metadata.NewImage()}
	w.loop = w.world.Node(1)
	for _, f := range change {
		f(&w.cfg)
	}
	w.reload()
	return w
}

// reload is another leader, or the same in another epoch, who has the log and nothing else.
func (w *world) reload() {
	if w.machine != nil {
		w.machine.Unloaded()
		w.answer(kerr.NotCoordinator)
	}
	w.epoch++
	e := &env.Env{Rand: func(purpose string) *rand.Rand { return virtual.Rand(1, fmt.Sprint(purpose, w.epoch)) }}
	w.machine = newMachine(&Coordinator{cfg: w.cfg, rand: e.Rand("group"), image: func() *metadata.Image { return w.image }}, &shard{w, w.epoch})
	w.machine.coordinator.noteTopics(w.image, nil)
	for i, r := range w.log {
		w.replay(i, r)
	}
	w.machine.Loaded()
	w.safe = len(w.log)
}

func (w *world) replay(i int, r coordinator.Replayed) {
	if r.Key == nil {
		w.machine.ReplayMarker(r.ProducerID, r.ProducerEpoch, w.commit[i])
		return
	}
	w.machine.Replay(r)
}

// marker ends a transaction.
func (w *world) marker(producer int64, commit bool) {
	r := coordinator.Replayed{Offset: int64(len(w.log)), ProducerID: producer}
	w.write(r, commit)
	w.replay(len(w.log)-1, r)
}

func (w *world) write(r coordinator.Replayed, commit bool) {
	w.log, w.commit = append(w.log, r), append(w.commit, commit)
}

// compact leaves the last record of each key, as the log cleaner does; tombstones too if they are kept.
func (w *world) compact(tombstones bool) {
	last := map[string]int{}
	for i, r := range w.log {
		last[string(r.Key)] = i
	}
	var log []coordinator.Replayed
	var commit []bool
	for i, r := range w.log {
		if r.Key == nil || last[string(r.Key)] == i && (r.Value != nil || tombstones) {
			log, commit = append(log, r), append(commit, w.commit[i])
		}
	}
	w.log, w.commit = log, commit
}

// failOver is a leader that does not have what is not committed.
func (w *world) failOver() {
	if w.stuck {
		w.log, w.commit = w.log[:w.safe], w.commit[:w.safe]
	}
	w.reload()
}

// answer calls who waits for a commit.
func (w *world) answer(err error) {
	if err == nil {
		w.safe = len(w.log)
	}
	waiting := w.waiting
	w.waiting = nil
	for _, f := range waiting {
		f(err)
	}
}

// pass lets time pass.
func (w *world) pass(d time.Duration) { w.world.RunUntil(w.world.Now().Add(d)) }

// begin lets the initial delay of a new group pass.
func (w *world) begin() { w.pass(2 * w.cfg.InitialRebalanceDelay) }

// shard is the log that the machine sees.
type shard struct {
	*world
	epoch int32
}

func (s *shard) Loop() scheduler.Loop { return s.loop }

func (s *shard) Append(records []coordinator.Record, answer func(error)) error {
	return s.append(coordinator.Transaction{ProducerID: -1, ProducerEpoch: -1}, records, answer)
}

func (s *shard) AppendToTransaction(t coordinator.Transaction, records []coordinator.Record, answer func(error)) error {
	return s.append(t, records, answer)
}

func (s *shard) append(t coordinator.Transaction, records []coordinator.Record, answer func(error)) error {
	if s.refuse != nil && len(records) > 0 {
		return s.refuse
	}
	for _, r := range records {
		re := coordinator.Replayed{Record: r, Offset: int64(len(s.log)), Timestamp: s.loop.UnixMilli(), ProducerID: t.ProducerID, ProducerEpoch: t.ProducerEpoch}
		s.write(re, false)
		s.machine.Replay(re)
	}
	s.WhenCommitted(answer)
	return nil
}

func (s *shard) WhenCommitted(answer func(error)) {
	if answer == nil {
		return
	}
	s.waiting = append(s.waiting, answer)
	if !s.stuck {
		s.loop.Post(func() {
			if !s.stuck && s.epoch == s.world.epoch {
				s.answer(nil)
			}
		})
	}
}

// call is a request's answer, once it is there.
type call[R any] struct {
	w       *world
	what    string
	answer  R
	err     error
	answers int
}

func (c *call[R]) take(answer R) { c.answer, c.answers = answer, c.answers+1 }

func (c *call[R]) takeBoth(answer R, err error) {
	c.answer, c.err, c.answers = answer, err, c.answers+1
}

// now is the answer, which must come without waiting for anybody.
func (c *call[R]) now() R {
	c.w.Helper()
	c.w.pass(0)
	if c.answers != 1 {
		c.w.Fatalf("%s: %d answers", c.what, c.answers)
	}
	return c.answer
}

// pending reports whether there is no answer yet.
func (c *call[R]) pending() bool { return c.answers == 0 }

func joinRequest(group, member string, protocols ...string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.ProtocolType = 9, group, member, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 10_000, 60_000
	for _, p := range protocols {
		req.Protocols = append(req.Protocols, kmsg.JoinGroupRequestProtocol{Name: p, Metadata: subscription("t")})
	}
	return req
}

// subscription is what a consumer says that wants those topics.
func subscription(topics ...string) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Version, m.Topics = 3, topics
	return m.AppendTo(nil)
}

func (w *world) send(req *kmsg.JoinGroupRequest) *call[*kmsg.JoinGroupResponse] {
	c := &call[*kmsg.JoinGroupResponse]{w: w, what: "join " + req.MemberID}
	w.machine.joinGroup(req, Client{"client", "/host"}, c.take)
	return c
}

func (w *world) join(member string, protocols ...string) *call[*kmsg.JoinGroupResponse] {
	if len(protocols) == 0 {
		protocols = []string{"range"}
	}
	return w.send(joinRequest("g", member, protocols...))
}

// newMember asks for an id.
func (w *world) newMember() string {
	w.Helper()
	resp := w.join("").now()
	w.code("first join", resp.ErrorCode, kerr.MemberIDRequired)
	return resp.MemberID
}

func (w *world) sync(member string, generation int32, assignments ...string) *call[*kmsg.SyncGroupResponse] {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.Generation = 5, "g", member, generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	for i := 0; i < len(assignments); i += 2 {
		req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: assignments[i], MemberAssignment: []byte(assignments[i+1])})
	}
	c := &call[*kmsg.SyncGroupResponse]{w: w, what: "sync " + member}
	w.machine.syncGroup(req, c.take)
	return c
}

func (w *world) heartbeat(member string, generation int32, instance ...string) error {
	w.Helper()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = "g", member, generation
	if len(instance) > 0 {
		req.InstanceID = &instance[0]
	}
	c := &call[error]{w: w, what: "heartbeat " + member}
	w.machine.heartbeat(req, c.take)
	return c.now()
}

func (w *world) leave(version int16, members ...kmsg.LeaveGroupRequestMember) *kmsg.LeaveGroupResponse {
	w.Helper()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group, req.MemberID, req.Members = version, "g", members[0].MemberID, members
	c := &call[*kmsg.LeaveGroupResponse]{w: w, what: "leave"}
	w.machine.leaveGroup(req, c.take)
	return c.now()
}

// commitRequest is of partition 0 of t.
func commitRequest(member string, generation int32, offset int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.MemberID, req.Generation, req.RetentionTimeMillis = 9, "g", member, generation, -1
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = offset
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", TopicID: [16]byte{1}, Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
	return req
}

// commitOffset commits and gives the error of the request or of the partition.
func (w *world) commitOffset(req *kmsg.OffsetCommitRequest) error {
	w.Helper()
	c := &call[*kmsg.OffsetCommitResponse]{w: w, what: "commit"}
	w.machine.commitOffsets(req, c.takeBoth)
	resp := c.now()
	if c.err != nil {
		return c.err
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

// committed is what the group has of partition 0 of t; -1: nothing, -2: it is unstable.
func (w *world) committed(stable bool) int64 {
	w.Helper()
	req := kmsg.NewOffsetFetchRequestGroup()
	req.Group, req.Topics = "g", []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{0}}}
	resp, err := w.machine.fetchOffsets(&req, stable)
	if err != nil {
		w.Fatal(err)
	}
	p := resp.Topics[0].Partitions[0]
	if p.ErrorCode == kerr.UnstableOffsetCommit.Code {
		return -2
	}
	return p.Offset
}

func (w *world) code(what string, got int16, want *kerr.Error) {
	w.Helper()
	if want == nil && got != 0 || want != nil && got != want.Code {
		w.Errorf("%s: %v, want %v", what, kerr.ErrorForCode(got), want)
	}
}

func (w *world) fails(what string, got error, want *kerr.Error) {
	w.Helper()
	if got == nil && want != nil || got != nil && got != error(want) {
		w.Errorf("%s: %v, want %v", what, got, want)
	}
}

func (w *world) state(want state) {
	w.Helper()
	if got := w.machine.classic("g").state; got != want {
		w.Fatalf("the group is %s, want %s", got, want)
	}
}

// stableGroup is a group of n members of one generation; the first leads, and each is assigned its own id.
func (w *world) stableGroup(n int) (ids []string, generation int32) {
	w.Helper()
	for range n {
		ids = append(ids, w.newMember())
	}
	var joins []*call[*kmsg.JoinGroupResponse]
	for _, id := range ids {
		joins = append(joins, w.join(id))
	}
	w.begin()
	var assignments []string
	for i, j := range joins {
		w.code("join", j.now().ErrorCode, nil)
		if j.answer.LeaderID != ids[0] {
			w.Fatalf("%s leads, want %s", j.answer.LeaderID, ids[0])
		}
		generation = j.answer.Generation
		assignments = append(assignments, ids[i], ids[i])
	}
	w.syncAll(ids, generation, assignments)
	return ids, generation
}

// syncAll has the followers and then the leader, the first, sync.
func (w *world) syncAll(ids []string, generation int32, assignments []string) {
	w.Helper()
	var syncs []*call[*kmsg.SyncGroupResponse]
	for _, id := range ids[1:] {
		syncs = append(syncs, w.sync(id, generation))
	}
	syncs = append(syncs, w.sync(ids[0], generation, assignments...))
	for _, s := range syncs {
		w.code("sync", s.now().ErrorCode, nil)
	}
	w.state(stable)
}

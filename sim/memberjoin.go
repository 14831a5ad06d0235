package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// assignor is the protocol that all members know.
const assignor = "turns"

// joinGrace is how much longer than the rebalance timeout a client waits for the answer to JoinGroup, as Kafka's.
const joinGrace = 5 * time.Second

// join asks to be in the group's next generation.
func (m *member) join() {
	m.become(joining)
	if m.coordinator == nil {
		m.seek(m.join)
		return
	}
	if m.native != nil {
		m.joinNative()
		return
	}
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID = int16(m.o.Version), groupID(m.group), m.id, m.instance
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(m.o.Session.Milliseconds()), int32(m.o.Rebalance.Milliseconds())
	req.ProtocolType = "consumer"
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = assignor, m.subscription()
	req.Protocols = append(req.Protocols, p)
	if m.newcomer = m.id == ""; m.newcomer {
		m.run.joining(m)
	}
	m.ask(req, m.o.Rebalance+joinGrace, m.onJoined)
}

func (m *member) subscription() []byte {
	s := kmsg.NewConsumerMemberMetadata()
	s.Topics = m.o.topics(&m.run.schedule.Options)
	return s.AppendTo(nil)
}

func (m *member) onJoined(msg kmsg.Response, err error) {
	if err != nil {
		m.onTrouble(err)
		return
	}
	resp := msg.(*kmsg.JoinGroupResponse)
	err = kerr.ErrorForCode(resp.ErrorCode)
	if m.newcomer && !isCoordinatorLost(err) {
		m.run.joined(m)
	}
	switch err {
	case nil:
		m.id, m.generation = strings.Clone(resp.MemberID), resp.Generation
		m.sync(m.assign(resp))
	case kerr.MemberIDRequired:
		m.id = strings.Clone(resp.MemberID)
		m.join()
	default:
		m.onTrouble(err)
	}
}

// assign is what the leader of the group decides: partitions go round, and another one begins in each generation. Others assign nothing.
func (m *member) assign(resp *kmsg.JoinGroupResponse) (given []kmsg.SyncGroupRequestGroupAssignment) {
	if resp.LeaderID != m.id || resp.SkipAssignment {
		return nil
	}
	var ids []string
	for i := range resp.Members {
		ids = append(ids, strings.Clone(resp.Members[i].MemberID))
	}
	slices.Sort(ids)
	shares := make([][]*share, len(ids))
	at := int(resp.Generation)
	for _, s := range m.shares {
		if s.subscribed && len(ids) > 0 {
			shares[at%len(ids)] = append(shares[at%len(ids)], s)
			at++
		}
	}
	for i, id := range ids {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = id, assignment(shares[i])
		given = append(given, a)
	}
	return given
}

// assignment is a member's share in the form that consumers give it.
func assignment(shares []*share) []byte {
	a := kmsg.NewConsumerMemberAssignment()
	for _, s := range shares {
		if n := len(a.Topics); n == 0 || a.Topics[n-1].Topic != s.part.topic.name {
			t := kmsg.NewConsumerMemberAssignmentTopic()
			t.Topic = s.part.topic.name
			a.Topics = append(a.Topics, t)
		}
		t := &a.Topics[len(a.Topics)-1]
		t.Partitions = append(t.Partitions, s.part.id.Index)
	}
	return a.AppendTo(nil)
}

// sync asks for the member's share.
func (m *member) sync(assignments []kmsg.SyncGroupRequestGroupAssignment) {
	m.become(syncing)
	m.asked = m.run.world.Now()
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID, req.Generation = m.syncVersion(), groupID(m.group), m.id, m.instance, m.generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr(assignor)
	req.GroupAssignment = assignments
	m.ask(req, m.o.Rebalance+joinGrace, m.onSynced)
}

func (m *member) syncVersion() int16 {
	switch {
	case m.o.Version >= 9:
		return 5
	case m.o.Version >= firstStaticVersion:
		return 3
	}
	return 2
}

func (m *member) onSynced(msg kmsg.Response, err error) {
	if err == nil {
		err = kerr.ErrorForCode(msg.(*kmsg.SyncGroupResponse).ErrorCode)
	}
	if err != nil {
		m.onTrouble(err)
		return
	}
	owned := m.parse(msg.(*kmsg.SyncGroupResponse).MemberAssignment)
	m.hold(owned)
	m.run.synced(m, owned)
	if m.copier != nil {
		m.copier.renounce()
	}
	m.become(starting)
	m.beatLater()
	m.fetchOffsets(owned, m.begin)
}

// parse reads an assignment, which is empty if the leader had nothing for the member.
func (m *member) parse(b []byte) (owned []*share) {
	a := kmsg.NewConsumerMemberAssignment()
	if len(b) == 0 {
		return nil
	}
	if err := a.ReadFrom(b); err != nil {
		panic(harnessError("an assignment that cannot be read: " + err.Error()))
	}
	for i := range a.Topics {
		for _, index := range a.Topics[i].Partitions {
			known := m.topic(a.Topics[i].Topic).partitions
			if int(index) >= len(known) {
				continue // an operator has added it: brokers assign it, members of the classic protocol do not
			}
			part := known[index]
			at := slices.IndexFunc(m.shares, func(s *share) bool { return s.part == part })
			owned = append(owned, m.shares[at])
		}
	}
	return owned
}

// begin reads on where the group has come to.
func (m *member) begin(told []fetchedOffset) {
	m.become(steady)
	if m.coordinator == nil { // lost meanwhile, and what was to find the next one is of no interest any more
		m.seek(func() {})
	}
	for _, t := range told {
		t.share.begin(t)
	}
	m.commitLater()
	m.pollAll()
}

func (s *share) begin(t fetchedOffset) {
	s.lease++
	s.epochs, s.valid = s.epochs[:0], -1
	if t.offset < 0 {
		s.phase = needsOffset
		s.prepare()
		return
	}
	s.offset, s.committed = t.offset, t.offset
	if t.epoch >= 0 && t.offset > 0 {
		s.epochs = append(s.epochs, epochRead{t.epoch, t.offset - 1})
	}
	s.phase = needsValidation
	s.prepare()
}

// beatLater has the next heartbeat come in time: also to hear of a rebalance before that is over.
func (m *member) beatLater() {
	m.beatIn(min(m.o.Session, m.o.Rebalance) / 3)
}

func (m *member) beatIn(d time.Duration) {
	if m.beat == nil {
		m.beat = m.loop.AfterFunc(d, m.onBeat)
		return
	}
	m.beat.Reset(d)
}

func (m *member) onBeat() {
	if m.state != steady && m.state != starting {
		return
	}
	m.beatLater()
	if m.stalled || m.coordinator == nil {
		return
	}
	if m.native != nil {
		m.beatNative()
	} else {
		m.sendBeat()
	}
	if m.beats++; m.beats%recheckEvery == 0 {
		m.recheck(false, func(bool) {})
	}
}

func (m *member) sendBeat() {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID, req.Generation = m.beatVersion(), groupID(m.group), m.id, m.instance, m.generation
	sent := m.run.world.Now()
	m.ask(req, m.timeout, func(resp kmsg.Response, err error) { m.onBeatAnswer(sent, resp, err) })
}

func (m *member) beatVersion() int16 {
	switch {
	case m.o.Version >= 9:
		return 4
	case m.o.Version >= firstStaticVersion:
		return 3
	}
	return 1
}

// onBeatAnswer: when the others join again the member commits and joins too. A coordinator that is gone has a successor, which knows the group.
func (m *member) onBeatAnswer(sent scheduler.Instant, resp kmsg.Response, err error) {
	if err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.HeartbeatResponse).ErrorCode)
	}
	switch {
	case err == nil:
		if m.run.judge.loads.since(m.run.schedule.Options.offsetsPartition(m.group), sent) {
			m.run.has(m, sent)
		}
	case m.stalled:
	case isCoordinatorLost(err):
		m.loseCoordinator()
	case err == kerr.RebalanceInProgress:
		m.commit()
		m.disown()
		m.join()
	default:
		m.onTrouble(err)
	}
}

// loseCoordinator looks for the new one; until then the member goes on.
func (m *member) loseCoordinator() {
	if m.coordinator == nil {
		return
	}
	m.coordinator = nil
	m.later(func() { m.seek(func() {}) })
}

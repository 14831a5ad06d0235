package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// nativeSide is what a member has that speaks the consumer protocol (KIP-848): it tells the coordinator by heartbeats what it has, is told what it is to
// have, gives up what it has too much, and reads what is new. Its generation is its epoch.
type nativeSide struct {
	lives  int
	flying bool // a heartbeat has no answer
	all    bool // the next one says all: an answer may have been lost
}

// renew draws no lot: names of a member's lives are its own.
func (n *nativeSide) renew(m *member) {
	n.lives++
	m.id, m.generation = fmt.Sprintf("%s-%d", m.name, n.lives), 0
}

// isKnown reports whether an error of the membership is one after which a member joins again under its name.
func (n *nativeSide) isKnown(err error) bool {
	switch err {
	case kerr.FencedMemberEpoch, kerr.UnknownMemberID, kerr.UnreleasedInstanceID, kerr.GroupIDNotFound:
		return true
	}
	return false
}

// nativeProperties are what brokers must know of groups with such members. There is one session for all of them.
func nativeProperties(o *Options) (props []config.Property) {
	session := time.Duration(0)
	for i := range o.Groups {
		if g := &o.Groups[i]; g.hasNatives() {
			session = max(session, g.Session)
		}
	}
	ms := func(d time.Duration) string { return fmt.Sprint(max(d.Milliseconds(), 1)) }
	for _, p := range [][2]string{
		{"group.coordinator.rebalance.protocols", "classic,consumer"},
		{"group.consumer.session.timeout.ms", ms(session)},
		{"group.consumer.min.session.timeout.ms", ms(session)},
		{"group.consumer.heartbeat.interval.ms", ms(session / 3)},
		{"group.consumer.min.heartbeat.interval.ms", "1"},
		{"group.consumer.assignment.interval.ms", "200"},
	} {
		props = append(props, config.Property{Key: p[0], Value: p[1], Origin: "sim"})
	}
	return props
}

// joinNative joins with epoch 0, or joins again with nothing in its hands.
func (m *member) joinNative() {
	m.generation = 0
	m.native.flying, m.native.all = false, true
	if m.newcomer = true; m.instance != nil {
		m.run.joining(m)
	}
	m.sendNative()
}

// beatNative sends the next heartbeat, unless the last one has no answer yet.
func (m *member) beatNative() {
	if !m.native.flying {
		m.sendNative()
	}
}

func (m *member) sendNative() {
	m.native.flying = true
	sent := m.run.world.Now()
	m.ask(m.nativeHeartbeat(), m.timeout, func(resp kmsg.Response, err error) {
		m.native.flying = false
		m.onNative(sent, resp, err)
	})
}

// nativeHeartbeat says what the member has, and all about it if an answer may have been lost.
func (m *member) nativeHeartbeat() *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch, req.InstanceID = 1, groupID(m.group), m.id, m.generation, m.instance
	req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	if m.native.all {
		req.RebalanceTimeoutMillis = int32(m.o.Rebalance.Milliseconds())
		req.SubscribedTopicNames = m.o.topics(&m.run.schedule.Options)
	}
	for _, s := range m.shares {
		if !s.held {
			continue
		}
		if n := len(req.Topics); n == 0 || req.Topics[n-1].TopicID != s.part.topic.id {
			req.Topics = append(req.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: s.part.topic.id})
		}
		t := &req.Topics[len(req.Topics)-1]
		t.Partitions = append(t.Partitions, s.part.id.Index)
	}
	return req
}

func (m *member) onNative(sent scheduler.Instant, msg kmsg.Response, err error) {
	var resp *kmsg.ConsumerGroupHeartbeatResponse
	if err == nil {
		resp = msg.(*kmsg.ConsumerGroupHeartbeatResponse)
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if m.newcomer && !isCoordinatorLost(err) {
		m.run.joined(m)
		m.newcomer = false
	}
	deaf := m.stalled && m.state != joining // what a zombie is told it does not hear, unless an error made it join meanwhile
	m.native.all = m.native.all || err != nil || deaf
	switch {
	case deaf:
	case err == nil:
		m.onNativeTold(sent, resp)
	case m.state == joining:
		m.onTrouble(err)
	case isCoordinatorLost(err):
		m.loseCoordinator()
	case err == kerr.CoordinatorLoadInProgress:
	default:
		m.onTrouble(err)
	}
}

// onNativeTold takes the epoch and what the member is to have.
func (m *member) onNativeTold(sent scheduler.Instant, resp *kmsg.ConsumerGroupHeartbeatResponse) {
	m.generation, m.native.all = resp.MemberEpoch, false
	if m.state == joining {
		m.become(steady)
		m.beatLater()
		m.commitLater()
	}
	if resp.Assignment == nil {
		m.run.has(m, sent)
		return
	}
	told, known := m.toldShares(resp.Assignment)
	if !known {
		m.native.all = true // so that it is told again
		m.refresh()
	}
	m.reconcile(sent, told)
}

// toldShares are the member's shares of an assignment. It does not know of topics of which it has no metadata, nor of partitions that came later.
func (m *member) toldShares(a *kmsg.ConsumerGroupHeartbeatResponseAssignment) (told []*share, known bool) {
	known = true
	for i := range a.Topics {
		at := slices.IndexFunc(m.topics, func(t *topic) bool { return t.id == a.Topics[i].TopicID })
		if known = known && at >= 0; at < 0 {
			continue
		}
		for _, s := range m.shares {
			if s.part.topic == m.topics[at] && slices.Contains(a.Topics[i].Partitions, s.part.id.Index) {
				told = append(told, s)
			}
		}
	}
	return told, known
}

// reconcile gives up what the member is not to have, after it has committed how far it has read, and takes what is new. The coordinator is to
// hear of either soon.
func (m *member) reconcile(sent scheduler.Instant, told []*share) {
	var gained []*share
	var lost bool
	for _, s := range m.shares {
		switch has := slices.Contains(told, s); {
		case has && !s.held:
			gained = append(gained, s)
		case !has && s.held:
			lost = true
		}
	}
	if lost {
		m.commit()
	}
	for _, s := range m.shares {
		if s.held && !slices.Contains(told, s) {
			s.release()
		}
	}
	m.run.has(m, sent)
	m.hold(gained)
	m.asked = sent
	m.run.synced(m, told)
	if lost || len(gained) > 0 {
		m.beatIn(time.Millisecond)
	}
	if len(gained) > 0 {
		m.startReading(gained)
	}
}

// startReading asks how far the group has come in partitions, and reads on there those that are still the member's then.
func (m *member) startReading(gained []*share) {
	leases := make(map[*share]int, len(gained))
	for _, s := range gained {
		leases[s] = s.lease
	}
	m.fetchOffsets(gained, func(told []fetchedOffset) {
		for _, t := range told {
			if t.share.held && t.share.lease == leases[t.share] {
				t.share.begin(t)
			}
		}
		m.pollAll()
	})
}

// leaveNative says goodbye. Every other time a static member says that it will be back.
func (m *member) leaveNative() {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch, req.InstanceID = 1, groupID(m.group), m.id, -1, m.instance
	if m.instance != nil && m.native.lives%2 == 1 {
		req.MemberEpoch = -2
	}
	m.disown()
	m.become(out)
	m.ask(req, m.timeout, func(kmsg.Response, error) {})
}

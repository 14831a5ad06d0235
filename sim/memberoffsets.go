package sim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/sim/check"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchedOffset is how far the group has come, as a member was told.
type fetchedOffset struct {
	share    *share
	offset   int64 // -1: nobody has committed
	epoch    int32
	metadata string
}

// recheckEvery is how many heartbeats pass until the member asks for all offsets of the group, to see that they are still there.
const recheckEvery = 8

// fetchOffsets asks how far the group has come, until it is told or has to join again.
func (m *member) fetchOffsets(shares []*share, told func([]fetchedOffset)) {
	if len(shares) == 0 {
		told(nil)
		return
	}
	if m.coordinator == nil {
		m.seek(func() { m.fetchOffsets(shares, told) })
		return
	}
	asked, broker := m.loop.Now(), m.coordinator.broker
	m.ask(m.offsetsRequest(shares), m.timeout, func(resp kmsg.Response, err error) {
		offsets, err := m.readOffsets(shares, resp, err)
		switch {
		case err == nil:
			m.run.fetchedOffsets(m, offsets, m.hearsTheLatest(broker), asked)
			told(offsets)
		case isCoordinatorLost(err):
			m.coordinator = nil
			m.later(func() { m.fetchOffsets(shares, told) })
		case err == kerr.CoordinatorLoadInProgress, err == kerr.UnstableOffsetCommit, err == kerr.StaleMemberEpoch: // of the last a heartbeat tells more
			m.later(func() { m.fetchOffsets(shares, told) })
		default:
			m.onTrouble(err)
		}
	})
}

// hearsTheLatest reports whether a coordinator has no successor yet. A member that copies commits by another connection, to the successor perhaps; when it
// begins anew where the group has come to, one that leads nothing any more, and does not know, sends it back behind that, and it copies some twice. In
// Kafka, too.
func (m *member) hearsTheLatest(broker int32) bool {
	leader := m.run.cluster.leader(m.run.schedule.Options.offsetsPartition(m.group))
	if m.copier == nil || leader == nil || leader.id == broker {
		return true
	}
	if h := m.run.judge.history; h != nil {
		h.Misled(groupID(m.group))
	}
	return false
}

func (m *member) offsetsRequest(shares []*share) *kmsg.OffsetFetchRequest {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.Group = 5, groupID(m.group)
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = groupID(m.group)
	for _, s := range shares {
		if n := len(g.Topics); n == 0 || g.Topics[n-1].Topic != s.part.topic.name {
			t := kmsg.NewOffsetFetchRequestGroupTopic()
			t.Topic = s.part.topic.name
			g.Topics = append(g.Topics, t)
		}
		t := &g.Topics[len(g.Topics)-1]
		t.Partitions = append(t.Partitions, s.part.id.Index)
	}
	if m.native != nil {
		req.Version, g.MemberID, g.MemberEpoch = 9, &m.id, m.generation
		req.Groups = append(req.Groups, g)
		return req
	}
	if m.o.Version >= 9 {
		req.Version, req.Groups, req.RequireStable = 8, append(req.Groups, g), m.o.copies()
		return req
	}
	for _, t := range g.Topics {
		req.Topics = append(req.Topics, kmsg.OffsetFetchRequestTopic{Topic: t.Topic, Partitions: t.Partitions})
	}
	return req
}

// readOffsets are an answer's offsets, or why there are none. All partitions have the group's error, if it has one.
func (m *member) readOffsets(shares []*share, msg kmsg.Response, err error) (told []fetchedOffset, _ error) {
	if err != nil {
		return nil, err
	}
	resp := msg.(*kmsg.OffsetFetchResponse)
	take := func(topic string, partition int32, offset int64, epoch int32, metadata *string, code int16) {
		at := slices.IndexFunc(shares, func(s *share) bool { return s.part.topic.name == topic && s.part.id.Index == partition })
		t := fetchedOffset{shares[at], offset, epoch, ""}
		if metadata != nil {
			t.metadata = strings.Clone(*metadata)
		}
		told = append(told, t)
		if e := kerr.ErrorForCode(code); e != nil && err == nil {
			err = e
		}
	}
	if resp.Version >= 8 {
		err = kerr.ErrorForCode(resp.Groups[0].ErrorCode)
		for _, t := range resp.Groups[0].Topics {
			for _, p := range t.Partitions {
				take(t.Topic, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode)
			}
		}
		return told, err
	}
	err = kerr.ErrorForCode(resp.ErrorCode)
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			take(t.Topic, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode)
		}
	}
	return told, err
}

// recheck asks how far all have read, for the checkers: what others have committed is told without waiting for their answers. Unless it is the
// latest that is wanted, a coordinator that has a successor and does not know may tell what was true once.
func (m *member) recheck(latest bool, done func(ok bool)) {
	var all []*share
	for _, s := range m.shares {
		if s.subscribed {
			all = append(all, s)
		}
	}
	asked := m.loop.Now()
	m.sendOn(m.coordinator, m.offsetsRequest(all), m.timeout, askerFunc(func(resp kmsg.Response, err error) {
		offsets, err := m.readOffsets(all, resp, err)
		if err == nil {
			m.run.fetchedOffsets(m, offsets, latest, asked)
		}
		done(err == nil)
	}), false)
}

// commitLater has the next commit come in time.
func (m *member) commitLater() {
	if m.saving == nil {
		m.saving = m.loop.AfterFunc(m.o.Commit, m.onSave)
		return
	}
	m.saving.Reset(m.o.Commit)
}

func (m *member) onSave() {
	if m.state != steady {
		return
	}
	m.commitLater()
	if !m.stalled {
		m.commit()
	}
}

// saved is a commit of one partition under way.
type saved struct {
	share  *share
	lease  int
	offset int64
	epoch  int32 // of the record before it; in a transaction
	commit check.Commit
}

// commit commits how far the member has read, where it has read on.
func (m *member) commit() {
	if m.copier != nil {
		m.copier.pump()
		return
	}
	if m.coordinator == nil || m.state != steady {
		return
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation, req.MemberID, req.InstanceID = m.commitVersion(), groupID(m.group), m.generation, m.id, m.instance
	if req.RetentionTimeMillis = -1; m.o.Retention > 0 {
		req.RetentionTimeMillis = m.o.Retention.Milliseconds()
	}
	var all []saved
	for i, s := range m.shares {
		if s.phase == fetching && s.offset != s.committed {
			all = append(all, saved{share: s, lease: s.lease, offset: s.offset, commit: m.run.committing(m, i, s.offset)})
			addCommit(req, s, all[len(all)-1].commit.Metadata)
		}
	}
	if len(all) == 0 {
		return
	}
	turn := m.turn
	m.sendOn(m.coordinator, req, m.timeout, askerFunc(func(resp kmsg.Response, err error) {
		err = m.onCommitted(all, resp, err)
		if err != nil && m.turn == turn && !m.stalled {
			m.onCommitTrouble(err)
		}
	}), false)
}

// lastRetentionVersion is the last of OffsetCommit that says how long an offset is to stay.
const lastRetentionVersion = 4

func (m *member) commitVersion() int16 {
	switch {
	case m.native != nil:
		return 9
	case m.o.Retention > 0:
		return lastRetentionVersion
	case m.o.Version >= 9:
		return 8
	case m.o.Version >= firstStaticVersion:
		return 7
	}
	return 5
}

func addCommit(req *kmsg.OffsetCommitRequest, s *share, metadata string) {
	if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != s.part.topic.name {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic = s.part.topic.name
		req.Topics = append(req.Topics, t)
	}
	t := &req.Topics[len(req.Topics)-1]
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = s.part.id.Index, s.offset, s.epoch(), &metadata
	t.Partitions = append(t.Partitions, p)
}

// onCommitted takes what became of the commits of a request, whoever the member is by now.
func (m *member) onCommitted(all []saved, msg kmsg.Response, err error) (first error) {
	for _, c := range all {
		e := err
		if err == nil {
			e = kerr.ErrorForCode(codeOf(msg.(*kmsg.OffsetCommitResponse), c.share))
		}
		m.run.committed(m, c.commit, fateOf(e))
		if e == nil && c.share.lease == c.lease {
			c.share.committed = c.offset
		}
		if first == nil {
			first = e
		}
	}
	return first
}

func codeOf(resp *kmsg.OffsetCommitResponse, s *share) int16 {
	for i := range resp.Topics {
		for _, p := range resp.Topics[i].Partitions {
			if resp.Topics[i].Topic == s.part.topic.name && p.Partition == s.part.id.Index {
				return p.ErrorCode
			}
		}
	}
	panic(harnessError("a commit to " + s.part.id.String() + " was not answered"))
}

// fateOf is what an answer says of a commit. Those that name the member or its generation were written before anything was.
func fateOf(err error) check.Fate {
	switch err {
	case nil:
		return check.Acknowledged
	case kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.FencedInstanceID, kerr.RebalanceInProgress, kerr.StaleMemberEpoch, kerr.GroupIDNotFound:
		return check.Refused
	}
	return check.Unknown
}

// onCommitTrouble goes on after a commit that failed.
func (m *member) onCommitTrouble(err error) {
	switch {
	case isCoordinatorLost(err):
		m.loseCoordinator()
	case err == kerr.CoordinatorLoadInProgress, err == kerr.UnknownTopicOrPartition: // a broker may not have heard of the topic yet
	case err == kerr.StaleMemberEpoch: // the next heartbeat tells of the new one
	default:
		m.onTrouble(err)
	}
}

// What members report.

func (r *run) joining(m *member) {
	if g := r.judge.groups; g != nil && m.instance != nil {
		g.Joining(m.group, *m.instance)
	}
}

func (r *run) joined(m *member) {
	if g := r.judge.groups; g != nil && m.instance != nil {
		g.Joined(m.group, *m.instance)
	}
}

func (r *run) fenced(m *member) {
	if g := r.judge.groups; g != nil {
		r.reportAll(g.Fenced(m.group, *m.instance, m.id, r.world.Now()))
	}
}

func (r *run) synced(m *member, owned []*share) {
	g := r.judge.groups
	if g == nil {
		return
	}
	var partitions []int
	for _, s := range owned {
		partitions = append(partitions, s.ordinal)
	}
	if m.instance != nil {
		g.Synced(m.group, *m.instance, m.id)
	}
	r.reportAll(g.Owns(m.group, m.generation, m.owner(), partitions, m.asked, r.world.Now()))
}

// owner is whom the checkers know the member as.
func (m *member) owner() string {
	if m.instance != nil {
		return *m.instance
	}
	return m.id
}

// has says that a heartbeat was answered well, of which those partitions are still the member's that it had when it was sent.
func (r *run) has(m *member, sent scheduler.Instant) {
	g := r.judge.groups
	if g == nil || !m.o.hasNatives() {
		return
	}
	for _, s := range m.shares {
		if s.held && s.since < sent {
			r.reportAll(g.Has(m.group, s.ordinal, m.owner(), s.since, sent, r.world.Now()))
		}
	}
}

func (r *run) committing(m *member, ordinal int, offset int64) check.Commit {
	if g := r.judge.groups; g != nil {
		return g.Sent(m.group, ordinal, offset, m.generation, m.owner(), m.shares[ordinal].since, r.world.Now())
	}
	return check.Commit{Metadata: m.unchecked(ordinal, m.generation)}
}

// unchecked is as many bytes as a commit's name has in a run that is checked: what is measured without checkers is the same run.
func (m *member) unchecked(ordinal int, generation int32) string {
	key := [2]int{m.group, ordinal}
	n := m.run.commits[key]
	if m.run.commits == nil {
		m.run.commits = map[[2]int]int{}
	}
	m.run.commits[key]++
	return fmt.Sprintf("%d/%d", generation, n)
}

func (r *run) committed(m *member, c check.Commit, f check.Fate) {
	if g := r.judge.groups; g != nil {
		r.reportAll(g.Answered(m.group, c, f, r.world.Now()))
	}
}

func (r *run) fetchedOffsets(m *member, told []fetchedOffset, latest bool, asked scheduler.Instant) {
	g := r.judge.groups
	if g == nil {
		return
	}
	for _, t := range told {
		r.reportAll(g.Fetched(m.group, t.share.ordinal, t.offset, t.metadata, latest, asked, r.world.Now()))
	}
}

func (r *run) reportAll(found []Violation) {
	for _, v := range found {
		v.Seq = r.world.Cause()
		r.report(v)
	}
}

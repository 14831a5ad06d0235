package group

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Timing is how a consumer group is paced: the broker's values, or the group's own.
type Timing struct {
	Session            time.Duration
	Heartbeat          time.Duration
	AssignmentInterval time.Duration // shortest time between two assignments (KIP-1263)
}

func (c *Coordinator) timing(group string) Timing { return c.cfg.Timing(group) }

// ConsumerGroupHeartbeat lets a member into a consumer group, keeps it there, tells it what it is to have and hears what it has (key 68).
// What done gets names an error by its code; nothing of the request is kept but strings.
func (c *Coordinator) ConsumerGroupHeartbeat(req *kmsg.ConsumerGroupHeartbeatRequest, client Client, done func(*kmsg.ConsumerGroupHeartbeatResponse)) {
	err := c.checkConsumerHeartbeat(req)
	var m *machine
	if err == nil {
		m, err = c.machineOf(req.Group)
	}
	if err != nil {
		done(consumerHeartbeatError(err))
		return
	}
	m.consumerHeartbeat(req, client, done)
}

func consumerHeartbeatError(err error) *kmsg.ConsumerGroupHeartbeatResponse {
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.ErrorCode, resp.ErrorMessage = codeOf(err), kmsg.StringPtr(textOf(err))
	return resp
}

// clientGeneratedIDs is the version from which members choose their ids (KIP-1082).
const clientGeneratedIDs = 1

// checkConsumerHeartbeat is what is wrong with a request whatever the group.
func (c *Coordinator) checkConsumerHeartbeat(req *kmsg.ConsumerGroupHeartbeatRequest) error {
	needsID := req.Version >= clientGeneratedIDs || req.MemberEpoch > 0 || req.MemberEpoch == leaveEpoch
	switch {
	case needsID && isBlank(&req.MemberID):
		return invalid("MemberId must not be empty")
	case isBlank(&req.Group):
		return invalid("GroupId must not be empty")
	case isBlank(req.InstanceID):
		return invalid("InstanceId must not be empty")
	case isBlank(req.RackID):
		return invalid("RackId must not be empty")
	case req.MemberEpoch < leaveStaticEpoch:
		return invalid("MemberEpoch %d makes no sense", req.MemberEpoch)
	case req.MemberEpoch == leaveStaticEpoch && req.InstanceID == nil:
		return invalid("only a member with an InstanceId can leave for a while")
	case len(req.Group) > math.MaxInt16 || len(req.MemberID) > math.MaxInt16 || req.SubscribedTopicRegex != nil && len(*req.SubscribedTopicRegex) > math.MaxInt16:
		return invalid("a key of a record cannot be as long as that")
	case req.MemberEpoch == 0:
		if err := checkJoin(req); err != nil {
			return err
		}
	}
	if req.ServerAssignor != nil && !slices.Contains(c.cfg.Assignors, *req.ServerAssignor) {
		return refusal{kerr.UnsupportedAssignor, fmt.Sprintf("there is no assignor %q, but %s", *req.ServerAssignor, strings.Join(c.cfg.Assignors, ", "))}
	}
	return nil
}

// checkJoin is what is wrong with the request of a member that joins.
func checkJoin(req *kmsg.ConsumerGroupHeartbeatRequest) error {
	switch {
	case req.RebalanceTimeoutMillis == -1:
		return invalid("who joins must give RebalanceTimeoutMs")
	case req.Topics == nil || len(req.Topics) > 0:
		return invalid("who joins must say that it has no TopicPartitions")
	case req.SubscribedTopicNames == nil && req.SubscribedTopicRegex == nil:
		return invalid("who joins must give SubscribedTopicNames or SubscribedTopicRegex")
	}
	return nil
}

func invalid(format string, args ...any) error {
	return refusal{kerr.InvalidRequest, fmt.Sprintf(format, args...)}
}

func isBlank(s *string) bool { return s != nil && strings.TrimSpace(*s) == "" }

func (m *machine) consumerHeartbeat(req *kmsg.ConsumerGroupHeartbeatRequest, client Client, done func(*kmsg.ConsumerGroupHeartbeatResponse)) {
	answer := func(resp *kmsg.ConsumerGroupHeartbeatResponse, err error) {
		if err != nil {
			resp = consumerHeartbeatError(err)
		}
		done(resp)
	}
	var resp *kmsg.ConsumerGroupHeartbeatResponse
	committed := func(err error) { answer(resp, appendError(err)) }
	var err error
	if req.MemberEpoch < 0 {
		resp, err = m.consumerLeave(req, committed)
	} else {
		h := &beat{machine: m, req: req, client: client}
		resp, err = h.run(committed)
	}
	if err != nil {
		answer(nil, err)
	}
}

// beat is a heartbeat of a member of the consumer protocol being worked on. All that it decides becomes records, which are appended at once or not
// at all.
type beat struct {
	*machine
	req     *kmsg.ConsumerGroupHeartbeatRequest
	client  Client
	group   *consumerGroup // one that is not there yet if it is new or has been of another kind
	records []coordinator.Record
	move
}

// move is a member of a consumer group on its way from what it was to what it is.
type move struct {
	was      *consumerMember
	is       *consumerMember
	replaces *consumerMember // the static member whose place it takes, or nil
	epoch    int32           // the group's
	regex    regexChange
	checked  bool // topics were compared with the group's hash
}

// run appends what the heartbeat decides, has committed called when that is committed, and returns the answer to be given then.
func (b *beat) run(committed func(error)) (*kmsg.ConsumerGroupHeartbeatResponse, error) {
	if err := b.find(); err != nil {
		return nil, err
	}
	b.is = b.was.said(b.req, b.client)
	if err := b.subscribe(); err != nil {
		return nil, err
	}
	if err := b.reconcile(b.group, ownedPartitions(b.req.Topics), &b.records); err != nil {
		return nil, err
	}
	if old := b.classic(b.req.Group); old != nil {
		old.interrupt()
	}
	if err := b.log.Append(b.records, committed); err != nil {
		return nil, appendError(err)
	}
	b.after()
	return b.answer(), nil
}

// find looks up the group and the member.
func (b *beat) find() (err error) {
	joins := b.req.MemberEpoch == 0
	if b.group, err = b.consumerFor(b.req.Group, joins, &b.records); err != nil {
		return err
	}
	if b.req.MemberID == "" {
		b.req.MemberID = b.coordinator.newKafkaUUID()
	}
	if err := b.group.checkRoom(b.req.MemberID, b.req.InstanceID); err != nil {
		return err
	}
	if b.req.InstanceID == nil {
		b.was, err = b.group.dynamicMember(b.req.MemberID, joins)
	} else {
		b.was, b.replaces, err = b.group.staticMemberFor(b.req.MemberID, *b.req.InstanceID, joins, false)
	}
	if err != nil {
		return err
	}
	if b.replaces != nil {
		b.records = append(b.records, b.group.replacement(b.replaces, b.was)...)
	}
	return b.was.checkEpoch(b.req)
}

// consumerFor is the consumer group of that id. For a member that joins it is made, from a classic one if there is such; then records get what
// deletes that, and more that the caller does not store yet is in the group that is returned.
func (m *machine) consumerFor(id string, joins bool, records *[]coordinator.Record) (*consumerGroup, error) {
	g := m.groups[id]
	switch {
	case g == nil && !joins:
		return nil, refusal{kerr.GroupIDNotFound, fmt.Sprintf("there is no group %q", id)}
	case g == nil:
		return newConsumerGroup(m, &Group{id: id}), nil
	}
	switch members := g.members.(type) {
	case *consumerGroup:
		return members, nil
	case *classic:
		if !joins {
			break
		}
		if members.isEmpty() {
			*records = append(*records, members.tombstones()...)
			return newConsumerGroup(m, &Group{id: id}), nil
		}
		return m.upgrade(members, records)
	}
	return nil, refusal{kerr.GroupIDNotFound, fmt.Sprintf("group %q is not one of the consumer protocol", id)}
}

// checkRoom is why a member may not join with regard to group.consumer.max.size. Who takes a static member's place needs none.
func (c *consumerGroup) checkRoom(id string, instanceID *string) error {
	limit := c.machine.coordinator.cfg.ConsumerMaxSize
	if c.staticMember(instanceID) == nil && len(c.members) >= limit && c.members[id] == nil {
		return refusal{kerr.GroupMaxSizeReached, fmt.Sprintf("the group has its %d members", limit)}
	}
	return nil
}

// dynamicMember is the member of that id; a new one if it joins.
func (c *consumerGroup) dynamicMember(id string, joins bool) (*consumerMember, error) {
	switch mb := c.members[id]; {
	case mb != nil:
		return mb, nil
	case joins:
		return newConsumerMember(id), nil
	}
	return nil, refusal{kerr.UnknownMemberID, fmt.Sprintf("%s is not a member of group %s", id, c.group.id)}
}

// staticMemberFor is the member of an instance id. One that joins takes the place of the one before it, which must have left, unless one of
// them speaks the classic protocol, where the newer one is always right.
func (c *consumerGroup) staticMemberFor(id, instanceID string, joins, isClassic bool) (mb, replaces *consumerMember, err error) {
	old := c.staticMember(&instanceID)
	switch {
	case joins && old == nil:
		mb, err = c.dynamicMember(id, true)
		return mb, nil, err
	case joins && !isClassic && !old.isClassic() && old.epoch != leaveStaticEpoch:
		return nil, nil, refusal{kerr.UnreleasedInstanceID, fmt.Sprintf("instance id %s is that of member %s, which has not left", instanceID, old.id)}
	case joins:
		return old.as(id), old, nil
	case old == nil:
		return nil, nil, refusal{kerr.UnknownMemberID, fmt.Sprintf("instance id %s is unknown", instanceID)}
	case old.id != id:
		return nil, nil, fencedInstance(instanceID, old)
	}
	return old, nil, nil
}

func fencedInstance(instanceID string, by *consumerMember) error {
	return refusal{kerr.FencedInstanceID, fmt.Sprintf("instance id %s is that of member %s now", instanceID, by.id)}
}

// replacement are the records that put a static member in the place of the one that it was.
func (c *consumerGroup) replacement(old, mb *consumerMember) []coordinator.Record {
	return append(c.memberTombstones(old), c.memberRecord(mb), c.targetRecord(mb.id, c.target[old.id]), c.currentRecord(mb))
}

func (c *consumerGroup) memberTombstones(mb *consumerMember) []coordinator.Record {
	return []coordinator.Record{
		tombstone(memberKey(keyCurrentAssignment, c.group.id, mb.id)), tombstone(memberKey(keyTargetAssignmentMember, c.group.id, mb.id)),
		tombstone(memberKey(keyMemberMetadata, c.group.id, mb.id)),
	}
}

// checkEpoch is why a member is fenced that comes with another epoch than its own. The one before may be: the answer with the new one
// was lost. Then it has at most what it has been given in it.
func (mb *consumerMember) checkEpoch(req *kmsg.ConsumerGroupHeartbeatRequest) error {
	switch got := req.MemberEpoch; {
	case got == 0 || got == mb.epoch:
		return nil
	case got > mb.epoch:
		return fencedEpoch(got, mb.epoch)
	case got != mb.previousEpoch || !mb.hasAll(req.Topics):
		return fencedEpoch(got, mb.epoch)
	}
	return nil
}

func fencedEpoch(got, want int32) error {
	return refusal{kerr.FencedMemberEpoch, fmt.Sprintf("the member's epoch is %d, not %d: it must give up all partitions and join anew", want, got)}
}

// hasAll reports whether all the partitions named are assigned to the member; nil names none that it could be asked for.
func (mb *consumerMember) hasAll(topics []kmsg.ConsumerGroupHeartbeatRequestTopic) bool {
	if topics == nil {
		return false
	}
	for p := range ownedPartitions(topics) { // order: all are looked up
		if !mb.assigned.has(p) {
			return false
		}
	}
	return true
}

// ownedPartitions is a request's list as a set; nil stays nil.
func ownedPartitions(topics []kmsg.ConsumerGroupHeartbeatRequestTopic) partitionSet {
	if topics == nil {
		return nil
	}
	owned := partitionSet{}
	for _, t := range topics {
		for _, p := range t.Partitions {
			owned[topicPartition{t.TopicID, p}] = 0
		}
	}
	return owned
}

// subscribe stores what the member says about itself, and raises the group's epoch if it wants other topics, or if topics have changed.
func (b *beat) subscribe() (err error) {
	b.wants(b.group, &b.records)
	if b.regex, err = b.group.changeRegex(b.was.regex, b.is.regex); err != nil {
		return err
	}
	if b.regex.gone != "" {
		b.records = append(b.records, tombstone(memberKey(keyRegularExpression, b.group.group.id, b.regex.gone)))
	}
	bump := !slices.Equal(b.was.topics, b.is.topics) || b.regex.resolved || b.assignorChanged()
	b.maybeRaise(b.group, bump, &b.records)
	return nil
}

// wants stores what the member says about itself, if it is news.
func (v *move) wants(c *consumerGroup, records *[]coordinator.Record) {
	if v.was.previousEpoch == -1 && c.members[v.was.id] == nil || !v.is.sameMetadata(v.was) {
		*records = append(*records, c.memberRecord(v.is))
	}
}

// assignorChanged reports whether the group is to be assigned by another assignor than before.
func (b *beat) assignorChanged() bool {
	if sameString(b.was.assignor, b.is.assignor) {
		return false
	}
	fallback := b.coordinator.cfg.Assignors[0]
	return b.group.subscriptions(nil).preferredAssignor(fallback) != b.group.subscriptions(b.is, b.replaces).preferredAssignor(fallback)
}

// maybeRaise raises the group's epoch if bump says so, or if the topics that members want are not what they were.
func (v *move) maybeRaise(c *consumerGroup, bump bool, records *[]coordinator.Record) {
	v.epoch = c.epoch
	if !bump && c.checkedAt == c.machine.coordinator.topicsAt {
		return
	}
	v.checked = true
	s := c.subscriptions(v.is, v.replaces)
	if v.regex.gone != "" {
		s.regexes = without(s.regexes, v.regex.gone)
	}
	hash := s.hash()
	if bump || hash != c.metadataHash {
		v.epoch++
		*records = append(*records, c.epochRecord(v.epoch, hash))
	}
	if c.oldMetadata {
		*records = append(*records, tombstone(consumerKey(keyPartitionMetadata, c.group.id)))
	}
}

func without(regexes map[string]*resolvedRegex, gone string) map[string]*resolvedRegex {
	rest := make(map[string]*resolvedRegex, len(regexes))
	for regex, r := range regexes { // order: a map
		if regex != gone {
			rest[regex] = r
		}
	}
	return rest
}

// reconcile computes a new target assignment if one is due, and moves the member a step towards it.
func (v *move) reconcile(c *consumerGroup, owned partitionSet, records *[]coordinator.Record) error {
	epoch, target := c.assignmentEpoch, v.oldTarget(c, v.is.id)
	if c.assignmentEpoch < v.epoch && c.mayAssign() {
		epoch = v.epoch
		target = v.assign(c, records)[v.is.id]
	}
	return v.step(c, epoch, target, owned, records)
}

// mayAssign: the last assignment was not a moment ago (KIP-1263). A time that lies ahead tells nothing: a clock was set back.
func (c *consumerGroup) mayAssign() bool {
	interval := c.machine.coordinator.timing(c.group.id).AssignmentInterval.Milliseconds()
	now := c.machine.now()
	return c.assignedAt == 0 || c.assignedAt > now || now >= c.assignedAt+interval
}

// oldTarget is a member's target until now; who takes a static member's place takes its target.
func (v *move) oldTarget(c *consumerGroup, id string) partitionSet {
	if v.replaces != nil && id == v.is.id {
		id = v.replaces.id
	}
	return c.target[id]
}

// assign computes the target assignment of the group's epoch and stores what has changed.
func (v *move) assign(c *consumerGroup, records *[]coordinator.Record) map[string]partitionSet {
	s := c.subscriptions(v.is, v.replaces)
	a := s.assignment(func(id string) partitionSet { return v.oldTarget(c, id) })
	target := a.assign(s.preferredAssignor(c.machine.coordinator.cfg.Assignors[0]))
	for _, mb := range s.members {
		old, had := c.target[mb.id]
		if v.replaces != nil && mb.id == v.is.id {
			old, had = v.oldTarget(c, mb.id), true // replacement has stored it
		}
		if !had || !old.samePartitions(target[mb.id]) {
			*records = append(*records, c.targetRecord(mb.id, target[mb.id]))
		}
	}
	*records = append(*records, c.targetMetadataRecord(v.epoch, c.machine.now()))
	return target
}

// step moves the member towards a target.
func (v *move) step(c *consumerGroup, epoch int32, target, owned partitionSet, records *[]coordinator.Record) error {
	resubscribed := !slices.Equal(v.was.topics, v.is.topics) || v.regex.changed
	if !resubscribed && v.is.isReconciledTo(epoch) {
		return nil
	}
	s := c.subscriptions(v.is, v.replaces)
	wanted := s.ids(v.is)
	r := &reconciliation{
		member: v.is, epoch: epoch, target: target, owned: owned, resubscribed: resubscribed,
		subscribed: func(topic [16]byte) bool { return wanted[topic] },
		isFree: func(p topicPartition) bool {
			owner, owned := c.owners[p]
			return !owned || owner == v.is.id || v.replaces != nil && owner == v.replaces.id
		},
	}
	next, err := r.next()
	if err != nil {
		return err
	}
	if !next.sameAssignment(v.is) {
		*records = append(*records, c.currentRecord(next))
	}
	v.is = next
	return nil
}

// after does what is in no record. The group that was decided upon may have been made by replaying the records, and be another value.
func (b *beat) after() {
	c := b.consumer(b.req.Group)
	if b.group != c {
		c.load() // the members that a classic group has left it
	}
	c.heard(b.is.id, c.sessionTimeout(b.is))
	if !b.is.sameAssignment(b.was) {
		stopAll(c.timersOf(b.is.id).rebalance)
		if b.is.state == unrevoked {
			c.expectRevocation(b.is)
		}
	}
	if b.checked {
		c.checkedAt = b.coordinator.topicsAt
	}
	if len(b.regex.resolve) > 0 && !c.resolving {
		c.resolve(b.regex.resolve)
	}
}

// answer tells the member what it is to have, if that has changed, or if it has said all about itself: then it has missed something.
func (b *beat) answer() *kmsg.ConsumerGroupHeartbeatResponse {
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.MemberID, resp.MemberEpoch = &b.is.id, b.is.epoch
	resp.HeartbeatIntervalMillis = int32(b.coordinator.timing(b.req.Group).Heartbeat.Milliseconds())
	saysAll := b.req.RebalanceTimeoutMillis != -1 && (b.req.SubscribedTopicNames != nil || b.req.SubscribedTopicRegex != nil) && b.req.Topics != nil
	if b.req.MemberEpoch == 0 || saysAll || !b.is.assigned.equal(b.was.assigned) {
		resp.Assignment = tellAssignment(b.is.assigned)
	}
	return resp
}

func tellAssignment(assigned partitionSet) *kmsg.ConsumerGroupHeartbeatResponseAssignment {
	told := kmsg.NewConsumerGroupHeartbeatResponseAssignment()
	told.Topics = []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{}
	for _, t := range assigned.byTopic() {
		told.Topics = append(told.Topics, kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{TopicID: t.topic, Partitions: t.partitions})
	}
	return &told
}

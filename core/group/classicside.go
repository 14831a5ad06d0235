package group

import (
	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// This file is how members of the classic protocol live in a consumer group: each joins and syncs on its own, its generation is its epoch, and
// REBALANCE_IN_PROGRESS has it join again when there is something to be revoked or to be had. None of them leads.

// classicJoin is a JoinGroup to a consumer group being worked on.
type classicJoin struct {
	*consumerGroup
	req     *kmsg.JoinGroupRequest
	client  Client
	records []coordinator.Record
	move
}

// joinGroup lets a member of the classic protocol in, or moves it on.
func (c *consumerGroup) joinGroup(req *kmsg.JoinGroupRequest, client Client, done func(*kmsg.JoinGroupResponse)) {
	if req.MemberID == "" && req.Version >= 4 && req.InstanceID == nil {
		if err := c.checkJoin(req, ""); err != nil {
			done(joinError("", err))
			return
		}
		done(joinError(c.machine.coordinator.newKafkaUUID(), kerr.MemberIDRequired))
		return
	}
	j := &classicJoin{consumerGroup: c, req: req, client: client}
	if err := j.run(done); err != nil {
		done(joinError("", err))
	}
}

// checkJoin is why a member of the classic protocol may not join, or nil.
func (c *consumerGroup) checkJoin(req *kmsg.JoinGroupRequest, id string) error {
	if c.machine.coordinator.cfg.MigrationPolicy.isDisabled() {
		return kerr.InconsistentGroupProtocol
	}
	if err := c.checkRoom(id, req.InstanceID); err != nil {
		return err
	}
	if req.ProtocolType != consumerType || !c.supports(protocolsOf(req)) {
		return kerr.InconsistentGroupProtocol
	}
	return nil
}

// supports reports whether all members of the classic protocol know one of those.
func (c *consumerGroup) supports(protocols []protocol) bool {
	known, classic := map[string]int{}, 0
	for _, mb := range c.members { // order: counts
		if mb.isClassic() {
			classic++
			for _, p := range mb.classic.protocols {
				known[p.name]++
			}
		}
	}
	for _, p := range protocols {
		if known[p.name] == classic {
			return true
		}
	}
	return false
}

func (j *classicJoin) run(done func(*kmsg.JoinGroupResponse)) error {
	id := j.req.MemberID
	if id == "" {
		id = j.machine.coordinator.newKafkaUUID()
	}
	if err := j.checkJoin(j.req, id); err != nil {
		return err
	}
	if err := j.find(id); err != nil {
		return err
	}
	said, err := j.says()
	if err != nil {
		return err
	}
	j.wants(j.consumerGroup, &j.records)
	if j.regex, err = j.changeRegex(j.was.regex, ""); err != nil {
		return err
	}
	if j.regex.gone != "" {
		j.records = append(j.records, tombstone(memberKey(keyRegularExpression, j.group.id, j.regex.gone)))
	}
	j.maybeRaise(j.consumerGroup, j.regex.changed || !sameTopics(j.was, j.is), &j.records)
	owned := ownedByName(said.OwnedPartitions, j.image())
	if j.mayDowngradeFor(j.replaces) {
		return j.joinAndDowngrade(owned, done)
	}
	if err := j.reconcile(j.consumerGroup, owned, &j.records); err != nil {
		return err
	}
	if err := j.machine.log.Append(j.records, j.answer(done)); err != nil {
		return appendError(err)
	}
	j.after()
	return nil
}

func sameTopics(a, b *consumerMember) bool {
	return (&subscriptions{members: []*consumerMember{a, b}}).sameAsBefore(1)
}

func (j *classicJoin) find(id string) (err error) {
	if j.req.InstanceID == nil {
		j.was, err = j.dynamicMember(id, true)
		return err
	}
	j.was, j.replaces, err = j.staticMemberFor(id, *j.req.InstanceID, j.req.MemberID == "", true)
	if err == nil && j.replaces != nil {
		j.records = append(j.records, j.replacement(j.replaces, j.was)...)
	}
	return err
}

// says takes what the member says about itself.
func (j *classicJoin) says() (*kmsg.ConsumerMemberMetadata, error) {
	protocols := protocolsOf(j.req)
	said, ok := readConsumer(protocols[0].metadata)
	if !ok {
		return nil, kerr.InconsistentGroupProtocol
	}
	u := *j.was
	u.client, u.regex, u.topics = j.client, "", distinct(said.Topics)
	u.instanceID, u.rackID = orString(j.req.InstanceID, u.instanceID), orString(notEmpty(said.Rack), u.rackID)
	if timeout := rebalanceTimeoutAsked(j.req); timeout != -1 {
		u.rebalanceTimeout = timeout
	}
	u.classic = &classicSide{sessionTimeout: j.req.SessionTimeoutMillis, protocols: protocols}
	j.is = &u
	return said, nil
}

func ownedByName(owned []kmsg.ConsumerMemberMetadataOwnedPartition, image *metadata.Image) partitionSet {
	s := partitionSet{}
	for _, t := range owned {
		if topic := image.Topic(t.Topic); topic != nil {
			for _, p := range t.Partitions {
				s[topicPartition{topic.ID, p}] = 0
			}
		}
	}
	return s
}

// joinAndDowngrade is for a static member that was the last one of the consumer protocol and is back with the classic one.
func (j *classicJoin) joinAndDowngrade(owned partitionSet, done func(*kmsg.JoinGroupResponse)) error {
	rebalance := j.assignmentEpoch < j.move.epoch
	if !rebalance {
		if err := j.step(j.consumerGroup, j.assignmentEpoch, j.oldTarget(j.consumerGroup, j.is.id), owned, &j.records); err != nil {
			return err
		}
	}
	return appendError(j.downgrade([]*consumerMember{j.replaces}, j.is, rebalance, j.answer(done)))
}

// answer tells a member its generation. It gets its partitions with SyncGroup.
func (j *classicJoin) answer(done func(*kmsg.JoinGroupResponse)) func(error) {
	return func(err error) {
		resp := kmsg.NewPtrJoinGroupResponse()
		resp.MemberID, resp.Generation = j.is.id, j.is.epoch
		resp.ProtocolType, resp.Protocol = kmsg.StringPtr(consumerType), &j.is.classic.protocols[0].name
		if err != nil {
			resp = joinError("", appendError(err))
		}
		done(resp)
	}
}

func (j *classicJoin) after() {
	id := j.is.id
	t := j.timersOf(id)
	stopAll(t.join, t.sync, t.rebalance)
	j.heard(id, millis(j.req.SessionTimeoutMillis))
	t.join, t.sync = nil, j.machine.after(millis(j.is.rebalanceTimeout), func() { j.fence(id) })
	if j.checked {
		j.checkedAt = j.machine.coordinator.topicsAt
	}
	if len(j.regex.resolve) > 0 && !j.resolving {
		j.resolve(j.regex.resolve)
	}
}

// classicMember is the member of the classic protocol that a request is of, in its generation.
func (c *consumerGroup) classicMember(id string, instanceID *string, generation int32) (*consumerMember, error) {
	mb := c.members[id]
	if instanceID != nil {
		if mb = c.staticMember(instanceID); mb != nil && mb.id != id {
			return nil, kerr.FencedInstanceID
		}
	}
	switch {
	case mb == nil || !mb.isClassic():
		return nil, kerr.UnknownMemberID
	case mb.epoch != generation:
		return nil, kerr.IllegalGeneration
	}
	return mb, nil
}

// syncGroup gives a member of the classic protocol what it has in its epoch.
func (c *consumerGroup) syncGroup(req *kmsg.SyncGroupRequest, done func(*kmsg.SyncGroupResponse)) {
	mb, err := c.classicMember(req.MemberID, req.InstanceID, req.Generation)
	if err == nil {
		err = c.checkSync(mb, req)
	}
	if err != nil {
		done(syncError(err))
		return
	}
	t := c.timersOf(mb.id)
	stopAll(t.sync)
	c.heard(mb.id, millis(mb.classic.sessionTimeout))
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ProtocolType, resp.Protocol = req.ProtocolType, req.Protocol
	resp.MemberAssignment = c.writeAssignment(mb.assigned, mb.classic.protocols[0].metadata)
	c.machine.log.WhenCommitted(func(err error) {
		if err != nil {
			resp = syncError(err)
		}
		done(resp)
	})
}

func (c *consumerGroup) checkSync(mb *consumerMember, req *kmsg.SyncGroupRequest) error {
	switch {
	case req.ProtocolType != nil && *req.ProtocolType != consumerType, req.Protocol != nil && *req.Protocol != mb.classic.protocols[0].name:
		return kerr.InconsistentGroupProtocol
	case c.assignmentEpoch > mb.epoch && mb.state != unrevoked: // who is revoking has joined already, and will be told to join again
		c.expectJoin(mb)
		return kerr.RebalanceInProgress
	}
	return nil
}

// heartbeat keeps the session of a member of the classic protocol going, and has it join again if that gets it further.
func (c *consumerGroup) heartbeat(req *kmsg.HeartbeatRequest) error {
	mb, err := c.classicMember(req.MemberID, req.InstanceID, req.Generation)
	if err != nil {
		return err
	}
	c.heard(mb.id, millis(mb.classic.sessionTimeout))
	if mb.epoch < c.assignmentEpoch || mb.state == unrevoked || mb.state == unreleased && !c.isWaiting(mb) || c.isUnassigned() {
		c.expectJoin(mb)
		return kerr.RebalanceInProgress
	}
	return nil
}

// isUnassigned: an assignment is due, and there is no member of the consumer protocol left whose next heartbeat brings it. So it is where
// the policy forbids the group to become a classic one again.
func (c *consumerGroup) isUnassigned() bool {
	return c.epoch > c.assignmentEpoch && c.numClassic() == len(c.members) && c.mayAssign()
}

// isWaiting reports whether somebody else still has what a member is to have.
func (c *consumerGroup) isWaiting(mb *consumerMember) bool {
	for p := range c.target[mb.id] { // order: any will do
		if owner, owned := c.owners[p]; owned && owner != mb.id {
			return true
		}
	}
	return false
}

// expectJoin takes a member out that does not join again in time.
func (c *consumerGroup) expectJoin(mb *consumerMember) {
	t, id := c.timersOf(mb.id), mb.id
	if t.join == nil {
		t.join = c.machine.after(millis(mb.rebalanceTimeout), func() { c.fence(id) })
	}
}

// leaveGroup takes members out, of whichever protocol: an administrator may name any.
func (c *consumerGroup) leaveGroup(leaving []kmsg.LeaveGroupRequestMember, answer func(error)) (errs []error, err error) {
	var gone []*consumerMember
	seen := map[string]bool{}
	for _, l := range leaving {
		mb, err := c.named(l.MemberID, l.InstanceID)
		errs = append(errs, err)
		if err == nil && !seen[mb.id] {
			seen[mb.id] = true
			gone = append(gone, mb)
		}
	}
	return errs, c.remove(gone, answer)
}

// named is the member of an id, or of an instance id with which an id need not come.
func (c *consumerGroup) named(id string, instanceID *string) (*consumerMember, error) {
	mb := c.members[id]
	if instanceID != nil {
		if mb = c.staticMember(instanceID); mb != nil && id != "" && mb.id != id {
			return nil, kerr.FencedInstanceID
		}
	}
	if mb == nil {
		return nil, kerr.UnknownMemberID
	}
	return mb, nil
}

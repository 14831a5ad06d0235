package group

import (
	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DeleteOffsets forgets how far a group has read partitions that its members do not subscribe to (key 47); the partitions exist.
// An error is for the request.
func (c *Coordinator) DeleteOffsets(req *kmsg.OffsetDeleteRequest, done func(*kmsg.OffsetDeleteResponse, error)) {
	m, err := c.machineOf(req.Group)
	if req.Group == "" {
		err = kerr.InvalidGroupID
	}
	if err != nil {
		done(nil, err)
		return
	}
	m.deleteOffsets(req, done)
}

func (m *machine) deleteOffsets(req *kmsg.OffsetDeleteRequest, done func(*kmsg.OffsetDeleteResponse, error)) {
	g := m.groups[req.Group]
	if g == nil {
		done(nil, kerr.GroupIDNotFound)
		return
	}
	if err := g.members.checkDeleteOffsets(); err != nil {
		done(nil, err)
		return
	}
	resp := kmsg.NewPtrOffsetDeleteResponse()
	var records []coordinator.Record
	for _, t := range req.Topics {
		told := kmsg.NewOffsetDeleteResponseTopic()
		told.Topic = t.Topic
		subscribed := g.members.isSubscribed(t.Topic)
		for _, p := range t.Partitions {
			part, at := kmsg.NewOffsetDeleteResponseTopicPartition(), offsetKey{t.Topic, p.Partition}
			part.Partition = p.Partition
			if subscribed {
				part.ErrorCode = kerr.GroupSubscribedToTopic.Code
			} else if g.offsets[at] != nil || g.isPending(at) {
				records = append(records, offsetTombstone(g.id, at))
			}
			told.Partitions = append(told.Partitions, part)
		}
		resp.Topics = append(resp.Topics, told)
	}
	err := m.log.Append(records, func(err error) { done(resp, appendError(err)) })
	if err != nil {
		done(nil, appendError(err))
	}
}

// DeleteGroup deletes a group without members, and its offsets (key 42, of which this is one group).
func (c *Coordinator) DeleteGroup(id string, done func(error)) {
	m, err := c.machineOf(id)
	if err != nil {
		done(err)
		return
	}
	m.deleteGroup(id, done)
}

func (m *machine) deleteGroup(id string, done func(error)) {
	g := m.groups[id]
	switch {
	case g == nil:
		done(kerr.GroupIDNotFound)
		return
	case !g.members.isEmpty():
		done(kerr.NonEmptyGroup)
		return
	}
	records := append(g.offsetTombstones(), g.members.tombstones()...)
	m.appendInPieces(records, func(err error) { done(appendError(err)) })
}

// offsetTombstones delete all offsets, also those that are pending.
func (g *Group) offsetTombstones() (records []coordinator.Record) {
	for _, at := range g.offsets.sorted() {
		records = append(records, offsetTombstone(g.id, at))
	}
	for _, at := range g.sortedPending() {
		if g.offsets[at] == nil {
			records = append(records, offsetTombstone(g.id, at))
		}
	}
	return records
}

// maxPiece is the most bytes of records that are appended at once, far below what a batch may have.
const maxPiece = 256 << 10

// appendInPieces appends records that need not come together; done runs when all are committed, or with the error of the first
// piece that could not be appended: what was before it stays.
func (m *machine) appendInPieces(records []coordinator.Record, done func(error)) {
	for len(records) > 0 {
		n := pieceOf(records)
		if err := m.log.Append(records[:n], nil); err != nil {
			done(err)
			return
		}
		records = records[n:]
	}
	m.log.WhenCommitted(done)
}

// pieceOf is how many of the records are one piece: at least one.
func pieceOf(records []coordinator.Record) int {
	bytes := 0
	for i, r := range records {
		if bytes += len(r.Key) + len(r.Value); bytes > maxPiece {
			return max(i, 1)
		}
	}
	return len(records)
}

// checkDeleteOffsets implements members: of other members than consumers it is not known what they read.
func (c *classic) checkDeleteOffsets() error {
	if c.state != empty && c.typ != consumerType {
		return kerr.NonEmptyGroup
	}
	return nil
}

// isSubscribed implements members. Consumers that do not say what they want may want anything.
func (c *classic) isSubscribed(topic string) bool {
	if c.topics == nil {
		return c.typ == consumerType
	}
	return c.topics[topic]
}

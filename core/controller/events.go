package controller

import (
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
)

// emitRecord says what a record of ours did, partition changes apart.
func (c *Controller) emitRecord(r metadata.Record) {
	switch r := r.(type) {
	case *metadata.RegisterBrokerRecord:
		c.env.Event.Emit(&event.Event{Kind: event.BrokerRegistered, Peer: r.BrokerID, Epoch: -1, Offset: r.BrokerEpoch})
	case *metadata.BrokerRegistrationChangeRecord:
		c.emitFencing(r)
	case *metadata.PartitionRecord:
		c.emitPartition(c.img.TopicByID(r.TopicID).Partition(r.PartitionID))
	}
}

func (c *Controller) emitFencing(r *metadata.BrokerRegistrationChangeRecord) {
	switch r.Fenced {
	case metadata.Fence:
		c.env.Event.Emit(&event.Event{Kind: event.BrokerFenced, Peer: r.BrokerID, Epoch: -1, Offset: -1})
	case metadata.Unfence:
		c.env.Event.Emit(&event.Event{Kind: event.BrokerUnfenced, Peer: r.BrokerID, Epoch: -1, Offset: -1})
	}
}

func (c *Controller) emitPartitionChange(old *metadata.Partition, r *metadata.PartitionChangeRecord) {
	p := c.img.TopicByID(r.TopicID).Partition(r.PartitionID)
	if by := uncleanly(old, p, r); by != metadata.NoLeader {
		note := ""
		if slices.Equal(old.LastKnownELR, []int32{by}) && !c.uncleanElection(p.Topic) {
			note = "last known leader"
		}
		c.env.Event.Emit(&event.Event{
			Kind: event.UncleanElection, Partition: p.Key(), TopicID: p.TopicID, Peer: by, Epoch: p.LeaderEpoch, Offset: -1, Note: note,
		})
	}
	c.emitPartition(p)
}

// uncleanly is who came to have all that counts of the partition though it may lack what is committed; NoLeader if nobody did. It need not be
// there to lead yet: a reassignment that is cancelled may leave nobody else. A leader that is not recovering joined the ISR with this very
// change, which ended a reassignment.
func uncleanly(old, p *metadata.Partition, r *metadata.PartitionChangeRecord) int32 {
	switch {
	case !p.Recovering:
		return metadata.NoLeader
	case r.Leader < 0 && !old.Recovering && len(p.ISR) == 1:
		return p.ISR[0]
	case r.Leader >= 0 && !slices.Contains(old.ISR, r.Leader) && !slices.Contains(old.ELR, r.Leader):
		return r.Leader
	}
	return metadata.NoLeader
}

// emitCleared says of partitions that had an ELR how they are without.
func (c *Controller) emitCleared(old []*metadata.Partition) {
	for _, p := range old {
		c.emitPartition(c.img.TopicByID(p.TopicID).Partition(p.Index))
	}
}

func (c *Controller) emitPartition(p *metadata.Partition) {
	c.env.Event.Emit(&event.Event{
		Kind: event.PartitionChanged, Partition: p.Key(), TopicID: p.TopicID, Peer: p.Leader, Epoch: p.LeaderEpoch,
		Offset: int64(p.PartitionEpoch), Note: partitionNote(p),
	})
}

// partitionNote is "isr=1,2 elr=3", with " recovering" while the leader is.
func partitionNote(p *metadata.Partition) string {
	var b strings.Builder
	writeIDs(&b, "isr=", p.ISR)
	writeIDs(&b, " elr=", p.ELR)
	if p.Recovering {
		b.WriteString(" recovering")
	}
	return b.String()
}

func writeIDs(b *strings.Builder, label string, ids []int32) {
	b.WriteString(label)
	for n, id := range ids {
		if n > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(id)))
	}
}

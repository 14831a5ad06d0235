package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/metadata"
)

// AlterPartition lets the leader of a partition change its ISR (KIP-497), if every member may be in
// it: registered in the epoch the leader knows (KIP-903), unfenced, not shutting down (KIP-841).
func (c *Controller) AlterPartition(req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse)) {
	if !c.Active() {
		done(alterPartitionError(kerr.NotController))
		return
	}
	if err := c.checkBrokerEpoch(req.BrokerID, req.BrokerEpoch); err != nil {
		answer(c, nil, alterPartitionError(err), alterPartitionError, done)
		return
	}
	var records []metadata.Record
	resp := kmsg.NewPtrAlterPartitionResponse()
	for _, t := range req.Topics {
		rt := kmsg.NewAlterPartitionResponseTopic()
		rt.TopidID = t.TopicID // so kmsg spells it
		topic := c.img.TopicByID(t.TopicID)
		for n := range t.Partitions {
			rp, record := c.alterPartition(req, topic, &t.Partitions[n])
			rt.Partitions = append(rt.Partitions, rp)
			if record != nil {
				records = append(records, record)
			}
		}
		resp.Topics = append(resp.Topics, rt)
	}
	answerInParts(c, records, resp, alterPartitionError, done)
}

func alterPartitionError(err *kerr.Error) *kmsg.AlterPartitionResponse {
	resp := kmsg.NewPtrAlterPartitionResponse()
	resp.ErrorCode = err.Code
	return resp
}

// alterPartition decides one partition. topic is nil if the id is unknown.
func (c *Controller) alterPartition(req *kmsg.AlterPartitionRequest, topic *metadata.Topic, want *kmsg.AlterPartitionRequestTopicPartition) (kmsg.AlterPartitionResponseTopicPartition, metadata.Record) {
	if topic == nil {
		return alterPartitionRefused(want, kerr.UnknownTopicID), nil
	}
	p := topic.Partition(want.Partition)
	if p == nil {
		return alterPartitionRefused(want, kerr.UnknownTopicOrPartition), nil
	}
	isr := requestedISR(req.Version, want)
	if c.isRetry(req.BrokerID, p, want, isr) {
		return alterPartitionDone(p), nil
	}
	if err := c.checkAlterPartition(req.BrokerID, p, want, isr); err != nil {
		return alterPartitionRefused(want, err), nil
	}
	b := c.changeOf(p)
	b.targetISR, b.recovering = isrIDs(isr), want.LeaderRecoveryState == metadata.Recovering
	r := b.build()
	if r == nil {
		return alterPartitionDone(p), nil
	}
	if r.Leader != metadata.NoLeaderChange && r.Leader != req.BrokerID { // a reassignment ended, and the sender's part in it
		return alterPartitionRefused(want, kerr.NewLeaderElected), r
	}
	return alterPartitionDone(after(p, r)), r
}

// after is what the response tells of a partition once the record is replayed.
func after(p *metadata.Partition, r *metadata.PartitionChangeRecord) *metadata.Partition {
	n := *p
	n.PartitionEpoch++
	if r.Isr != nil {
		n.ISR = r.Isr
	}
	if r.Leader != metadata.NoLeaderChange {
		n.Leader = r.Leader
		n.LeaderEpoch++
	}
	if r.LeaderRecoveryState != metadata.RecoveryNoChange {
		n.Recovering = r.LeaderRecoveryState == metadata.Recovering
	}
	return &n
}

func alterPartitionDone(p *metadata.Partition) kmsg.AlterPartitionResponseTopicPartition {
	rp := kmsg.NewAlterPartitionResponseTopicPartition()
	rp.Partition, rp.LeaderID, rp.LeaderEpoch, rp.PartitionEpoch = p.Index, p.Leader, p.LeaderEpoch, p.PartitionEpoch
	rp.ISR, rp.LeaderRecoveryState = p.ISR, recoveryState(p.Recovering)
	return rp
}

func alterPartitionRefused(want *kmsg.AlterPartitionRequestTopicPartition, err *kerr.Error) kmsg.AlterPartitionResponseTopicPartition {
	rp := kmsg.NewAlterPartitionResponseTopicPartition()
	rp.Partition, rp.ErrorCode = want.Partition, err.Code
	return rp
}

// isrMember is a proposed member; epoch -1 stands for any incarnation.
type isrMember = kmsg.AlterPartitionRequestTopicPartitionNewEpochISR

func requestedISR(version int16, want *kmsg.AlterPartitionRequestTopicPartition) []isrMember {
	if version >= 3 {
		return want.NewEpochISR
	}
	isr := make([]isrMember, len(want.NewISR))
	for n, id := range want.NewISR {
		isr[n] = isrMember{BrokerID: id, BrokerEpoch: -1}
	}
	return isr
}

func isrIDs(isr []isrMember) []int32 {
	ids := make([]int32, len(isr))
	for n, m := range isr {
		ids[n] = m.BrokerID
	}
	return ids
}

// isRetry reports whether the request asks, with an old partition epoch, for what already is: its
// answer was lost (KAFKA-14144). Refusing it would make the leader ask for ever.
func (c *Controller) isRetry(sender int32, p *metadata.Partition, want *kmsg.AlterPartitionRequestTopicPartition, isr []isrMember) bool {
	return sender == p.Leader && want.LeaderEpoch == p.LeaderEpoch && want.PartitionEpoch < p.PartitionEpoch &&
		(want.LeaderRecoveryState == metadata.Recovering) == p.Recovering && slices.Equal(isrIDs(isr), p.ISR)
}

// checkAlterPartition answers why a proposal is refused, or nil. The order is Kafka's: a sender that
// knows more than we do tells us that we are no longer the controller.
func (c *Controller) checkAlterPartition(sender int32, p *metadata.Partition, want *kmsg.AlterPartitionRequestTopicPartition, isr []isrMember) *kerr.Error {
	switch {
	case want.LeaderEpoch > p.LeaderEpoch, want.PartitionEpoch > p.PartitionEpoch:
		return kerr.NotController
	case want.LeaderEpoch < p.LeaderEpoch:
		return kerr.FencedLeaderEpoch
	case sender != p.Leader:
		return kerr.InvalidRequest
	case want.PartitionEpoch < p.PartitionEpoch:
		return kerr.InvalidUpdateVersion
	case !validISR(p, isrIDs(isr)):
		return kerr.InvalidRequest
	case want.LeaderRecoveryState != metadata.Recovered && want.LeaderRecoveryState != metadata.Recovering:
		return kerr.InvalidRequest
	case want.LeaderRecoveryState == metadata.Recovering && (len(isr) > 1 || !p.Recovering):
		return kerr.InvalidRequest
	case slices.ContainsFunc(isr, c.ineligible):
		return kerr.IneligibleReplica
	}
	return nil
}

// validISR reports whether an ISR has the leader, replicas only, and each once.
func validISR(p *metadata.Partition, isr []int32) bool {
	for n, id := range isr {
		if !p.HasReplica(id) || slices.Contains(isr[:n], id) {
			return false
		}
	}
	return slices.Contains(isr, p.Leader)
}

// ineligible reports whether a broker may not be in an ISR: not active (KIP-841), or not the
// incarnation that the leader saw catch up (KIP-903).
func (c *Controller) ineligible(m isrMember) bool {
	b := c.img.Broker(m.BrokerID)
	return b == nil || !b.Active() || m.BrokerEpoch != -1 && m.BrokerEpoch != b.Epoch
}

package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
)

// AlterPartitionReassignments moves partitions to other brokers, or takes a move under way back (KIP-455). It answers
// when the reassignment has begun; it ends by itself, with the ISR change that makes it safe. A request of version 1 can
// forbid that the number of replicas changes (KIP-860).
func (c *Controller) AlterPartitionReassignments(req *kmsg.AlterPartitionAssignmentsRequest, done func(*kmsg.AlterPartitionAssignmentsResponse)) {
	if !c.Active() {
		done(reassignmentsError(kerr.NotController))
		return
	}
	var records []metadata.Record
	named := map[event.Partition]bool{}
	resp := kmsg.NewPtrAlterPartitionAssignmentsResponse()
	if len(req.Topics) > 0 {
		resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
	}
	for _, t := range req.Topics {
		rt := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		rt.Topic = t.Topic
		for n := range t.Partitions {
			p := event.Partition{Topic: t.Topic, Index: t.Partitions[n].Partition}
			r, f := c.alterReassignment(p, t.Partitions[n].Replicas, req.AllowReplicationFactorChange, named[p])
			named[p] = true
			if r != nil {
				records = append(records, r)
			}
			rt.Partitions = append(rt.Partitions, reassignmentResult(p.Index, f))
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if len(records) > maxPartitionsPerRequest {
		records, resp = nil, reassignmentsError(kerr.PolicyViolation)
	}
	answer(c, records, resp, reassignmentsError, done)
}

func reassignmentsError(err *kerr.Error) *kmsg.AlterPartitionAssignmentsResponse {
	resp := kmsg.NewPtrAlterPartitionAssignmentsResponse()
	resp.ErrorCode, resp.ErrorMessage = err.Code, &err.Description
	return resp
}

func reassignmentResult(index int32, f *fault) kmsg.AlterPartitionAssignmentsResponseTopicPartition {
	rp := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
	rp.Partition = index
	if f != nil {
		rp.ErrorCode, rp.ErrorMessage = f.err.Code, f.told()
	}
	return rp
}

// alterReassignment is the change of one partition; nil without a fault if its replicas are as wanted. A nil target
// cancels. again says that the request named the partition before.
func (c *Controller) alterReassignment(id event.Partition, target []int32, mayResize, again bool) (metadata.Record, *fault) {
	p := c.img.Partition(id)
	switch {
	case p == nil:
		return nil, refuse(kerr.UnknownTopicOrPartition, "there is no partition "+id.String())
	case again:
		return nil, refuse(kerr.InvalidRequest, "the partition is named more than once")
	}
	b := c.changeOf(p)
	var f *fault
	if target == nil {
		f = c.cancelReassignment(p, b)
	} else {
		f = c.beginReassignment(p, b, target, mayResize)
	}
	if f != nil {
		return nil, f
	}
	if r := b.build(); r != nil {
		return r, nil
	}
	return nil, nil
}

func (c *Controller) beginReassignment(p *metadata.Partition, b *partitionChange, target []int32, mayResize bool) *fault {
	if f := c.checkAssignment(target, len(target)); f != nil {
		return f
	}
	if !mayResize && len(target) != len(b.target.aim()) {
		return refuse(kerr.InvalidReplicationFactor, "the replication factor would change")
	}
	b.election = electOnline
	b.target = b.target.to(slices.Clone(target))
	return nil
}

// cancelReassignment goes back to the replicas of before. If only new ones are in the ISR, what they alone have is lost:
// that takes the topic's leave for unclean elections.
func (c *Controller) cancelReassignment(p *metadata.Partition, b *partitionChange) *fault {
	if !b.target.isReassigning() {
		return refuse(kerr.NoReassignmentInProgress, "") // as Kafka, which has no words for it
	}
	original, isr := b.target.original(), minus(p.ISR, p.Adding)
	switch {
	case len(original) == 0:
		return refuse(kerr.InvalidReplicaAssignment, "all replicas are new")
	case len(isr) == 0 && !c.uncleanElection(p.Topic):
		return refuse(kerr.InvalidReplicaAssignment, "going back would take an unclean election")
	case len(isr) == 0 && !b.elrEnabled: // an ISR needs somebody; with ELR the election finds who is there
		isr, b.recovering = original[:1], true
	}
	b.target, b.targetISR = assignment{replicas: original}, isr
	return nil
}

// ListPartitionReassignments lists the reassignments under way: those of the named partitions, or all.
func (c *Controller) ListPartitionReassignments(req *kmsg.ListPartitionReassignmentsRequest, done func(*kmsg.ListPartitionReassignmentsResponse)) {
	if !c.Active() {
		done(listReassignmentsError(kerr.NotController))
		return
	}
	resp := kmsg.NewPtrListPartitionReassignmentsResponse()
	if req.Topics == nil {
		c.img.Topics(func(t *metadata.Topic) bool {
			addReassigning(resp, t, t.Partitions)
			return true
		})
	}
	for _, rt := range req.Topics {
		if t := c.img.Topic(rt.Topic); t != nil {
			addReassigning(resp, t, partitionsOf(t, rt.Partitions))
		}
	}
	answer(c, nil, resp, listReassignmentsError, done)
}

func partitionsOf(t *metadata.Topic, indexes []int32) (partitions []*metadata.Partition) {
	for _, index := range indexes {
		if p := t.Partition(index); p != nil {
			partitions = append(partitions, p)
		}
	}
	return partitions
}

func listReassignmentsError(err *kerr.Error) *kmsg.ListPartitionReassignmentsResponse {
	resp := kmsg.NewPtrListPartitionReassignmentsResponse()
	resp.ErrorCode, resp.ErrorMessage = err.Code, &err.Description
	return resp
}

// addReassigning adds those of a topic's partitions that are being reassigned, and the topic if there are any.
func addReassigning(resp *kmsg.ListPartitionReassignmentsResponse, t *metadata.Topic, partitions []*metadata.Partition) {
	rt := kmsg.NewListPartitionReassignmentsResponseTopic()
	rt.Topic = t.Name
	for _, p := range partitions {
		if assignmentOf(p).isReassigning() {
			rp := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
			rp.Partition, rp.Replicas, rp.AddingReplicas, rp.RemovingReplicas = p.Index, p.Replicas, p.Adding, p.Removing
			rt.Partitions = append(rt.Partitions, rp)
		}
	}
	if len(rt.Partitions) > 0 {
		resp.Topics = append(resp.Topics, rt)
	}
}

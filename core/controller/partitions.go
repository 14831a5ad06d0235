package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/metadata"
)

// CreatePartitions raises the number of partitions of topics, each on its own (KIP-195).
func (c *Controller) CreatePartitions(req *kmsg.CreatePartitionsRequest, charge Charge, done func(*kmsg.CreatePartitionsResponse)) {
	failed := func(err *kerr.Error) *kmsg.CreatePartitionsResponse { return createPartitionsError(req, err) }
	if !c.Active() {
		done(failed(kerr.NotController))
		return
	}
	var records []metadata.Record
	resp := kmsg.NewPtrCreatePartitionsResponse()
	resp.Topics = []kmsg.CreatePartitionsResponseTopic{}
	left := maxPartitionsPerRequest
	named := make(map[string]int, len(req.Topics))
	for n := range req.Topics {
		named[req.Topics[n].Topic]++
	}
	for n := range req.Topics {
		t := &req.Topics[n]
		times := named[t.Topic]
		if named[t.Topic] = 0; times == 0 {
			continue // one answer is enough
		}
		rt := kmsg.NewCreatePartitionsResponseTopic()
		rt.Topic = t.Topic
		added, f := c.createPartitions(t, times, left)
		if f == nil {
			f = charge.take(len(added))
		}
		if f != nil {
			added = nil
			rt.ErrorCode, rt.ErrorMessage = f.err.Code, f.told()
		}
		left -= len(added)
		for _, p := range added {
			records = append(records, p)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if req.ValidateOnly {
		records = nil
	}
	answer(c, records, resp, failed, done)
}

func createPartitionsError(req *kmsg.CreatePartitionsRequest, err *kerr.Error) *kmsg.CreatePartitionsResponse {
	resp := kmsg.NewPtrCreatePartitionsResponse()
	for _, t := range req.Topics {
		rt := kmsg.NewCreatePartitionsResponseTopic()
		rt.Topic, rt.ErrorCode, rt.ErrorMessage = t.Topic, err.Code, &err.Description
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// createPartitions checks a topic that a request names so many times.
func (c *Controller) createPartitions(t *kmsg.CreatePartitionsRequestTopic, times, left int) ([]*metadata.PartitionRecord, *fault) {
	topic := c.img.Topic(t.Topic)
	switch {
	case times > 1:
		return nil, refuse(kerr.InvalidRequest, "duplicate topic name")
	case topic == nil:
		return nil, refuse(kerr.UnknownTopicOrPartition, "") // as Kafka, which has no words for it
	}
	now, added := len(topic.Partitions), int(t.Count)-len(topic.Partitions)
	switch {
	case added <= 0:
		return nil, refuse(kerr.InvalidPartitions, "the new number of partitions must be more than there are")
	case added > left:
		return nil, refuse(kerr.PolicyViolation, "too many partitions in one request")
	case t.Assignment != nil && len(t.Assignment) != added:
		return nil, refuse(kerr.InvalidReplicaAssignment, "there must be one assignment for each new partition")
	}
	replicas, f := c.addedAssignment(t, added, len(topic.Partitions[0].Replicas))
	if f != nil {
		return nil, f
	}
	return c.newPartitions(topic.ID, int32(now), replicas, t.Assignment != nil)
}

func (c *Controller) addedAssignment(t *kmsg.CreatePartitionsRequestTopic, n, factor int) ([][]int32, *fault) {
	if t.Assignment == nil {
		return c.placeReplicas(n, factor)
	}
	replicas := make([][]int32, n)
	for i := range t.Assignment {
		if f := c.checkAssignment(t.Assignment[i].Replicas, factor); f != nil {
			return nil, f
		}
		replicas[i] = slices.Clone(t.Assignment[i].Replicas)
	}
	return replicas, nil
}

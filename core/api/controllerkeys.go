package api

import (
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// answerAsController hands a request to this node's controller.
func (k *call) answerAsController() {
	c := k.server.Controller
	if c == nil {
		k.reply(errorResponse(k.req.Body, kerr.NotController))
		return
	}
	if growsMetadata(k.req.Key) && k.server.DiskFull() {
		k.reply(errorResponse(k.req.Body, kerr.KafkaStorageError))
		return
	}
	switch req := k.req.Body.(type) {
	case *kmsg.CreateTopicsRequest:
		charged := k.mutations(6)
		c.CreateTopics(req, charged.take, func(resp *kmsg.CreateTopicsResponse) {
			k.server.addConfigs(req, resp)
			charged.answer(k, resp)
		})
	case *kmsg.DeleteTopicsRequest:
		charged := k.mutations(5)
		c.DeleteTopics(req, charged.take, func(resp *kmsg.DeleteTopicsResponse) { charged.answer(k, resp) })
	case *kmsg.CreatePartitionsRequest:
		charged := k.mutations(3)
		c.CreatePartitions(req, charged.take, func(resp *kmsg.CreatePartitionsResponse) { charged.answer(k, resp) })
	case *kmsg.AlterConfigsRequest:
		c.AlterConfigs(req, replyTo[*kmsg.AlterConfigsResponse](k))
	case *kmsg.IncrementalAlterConfigsRequest:
		c.IncrementalAlterConfigs(req, replyTo[*kmsg.IncrementalAlterConfigsResponse](k))
	case *kmsg.ElectLeadersRequest:
		c.ElectLeaders(req, replyTo[*kmsg.ElectLeadersResponse](k))
	case *kmsg.AlterPartitionAssignmentsRequest:
		c.AlterPartitionReassignments(req, replyTo[*kmsg.AlterPartitionAssignmentsResponse](k))
	case *kmsg.ListPartitionReassignmentsRequest:
		c.ListPartitionReassignments(req, replyTo[*kmsg.ListPartitionReassignmentsResponse](k))
	case *kmsg.AlterClientQuotasRequest:
		c.AlterClientQuotas(req, replyTo[*kmsg.AlterClientQuotasResponse](k))
	case *kmsg.AlterUserSCRAMCredentialsRequest:
		c.AlterUserScramCredentials(req, replyTo[*kmsg.AlterUserSCRAMCredentialsResponse](k))
	case *kmsg.UpdateFeaturesRequest:
		c.UpdateFeatures(req, replyTo[*kmsg.UpdateFeaturesResponse](k))
	case *kmsg.UnregisterBrokerRequest:
		c.UnregisterBroker(req, replyTo[*kmsg.UnregisterBrokerResponse](k))
	case *kmsg.AssignReplicasToDirsRequest:
		c.AssignReplicasToDirs(req, replyTo[*kmsg.AssignReplicasToDirsResponse](k))
	case *kmsg.AlterPartitionRequest:
		c.AlterPartition(req, replyTo[*kmsg.AlterPartitionResponse](k))
	case *kmsg.BrokerRegistrationRequest:
		c.RegisterBroker(req, replyTo[*kmsg.BrokerRegistrationResponse](k))
	case *kmsg.BrokerHeartbeatRequest:
		c.BrokerHeartbeat(req, replyTo[*kmsg.BrokerHeartbeatResponse](k))
	case *kmsg.AllocateProducerIDsRequest:
		c.AllocateProducerIds(req, replyTo[*kmsg.AllocateProducerIDsResponse](k))
	default:
		panic("api: no controller handler for " + kmsg.NameForKey(k.req.Key))
	}
}

// growsMetadata reports whether clients can have as much written by a request of this key as they like.
func growsMetadata(key int16) bool {
	switch kmsg.Key(key) {
	case kmsg.CreateTopics, kmsg.CreatePartitions, kmsg.AlterConfigs, kmsg.IncrementalAlterConfigs, kmsg.AlterClientQuotas, kmsg.AlterUserSCRAMCredentials,
		kmsg.AlterPartitionAssignments:
		return true
	}
	return false
}

func replyTo[R kmsg.Response](k *call) func(R) {
	return func(resp R) {
		resp.SetVersion(k.req.Version)
		k.reply(resp)
	}
}

// errorResponse is the answer to a request that failed as a whole: the error goes where that
// request's answer has room for it, at the top or in each item.
func errorResponse(req kmsg.Request, err error) kmsg.Response {
	code, message := wire.Code(err), messageOf(err)
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	switch r := resp.(type) {
	case *kmsg.CreateTopicsResponse:
		for _, t := range req.(*kmsg.CreateTopicsRequest).Topics {
			item := kmsg.NewCreateTopicsResponseTopic()
			item.Topic, item.ErrorCode, item.ErrorMessage = t.Topic, code, message
			r.Topics = append(r.Topics, item)
		}
	case *kmsg.DeleteTopicsResponse:
		r.Topics = failedDeletes(req.(*kmsg.DeleteTopicsRequest), code, message)
	case *kmsg.CreatePartitionsResponse:
		for _, t := range req.(*kmsg.CreatePartitionsRequest).Topics {
			item := kmsg.NewCreatePartitionsResponseTopic()
			item.Topic, item.ErrorCode, item.ErrorMessage = t.Topic, code, message
			r.Topics = append(r.Topics, item)
		}
	case *kmsg.AlterConfigsResponse:
		for _, t := range req.(*kmsg.AlterConfigsRequest).Resources {
			item := kmsg.NewAlterConfigsResponseResource()
			item.ResourceType, item.ResourceName, item.ErrorCode, item.ErrorMessage = t.ResourceType, t.ResourceName, code, message
			r.Resources = append(r.Resources, item)
		}
	case *kmsg.IncrementalAlterConfigsResponse:
		for _, t := range req.(*kmsg.IncrementalAlterConfigsRequest).Resources {
			item := kmsg.NewIncrementalAlterConfigsResponseResource()
			item.ResourceType, item.ResourceName, item.ErrorCode, item.ErrorMessage = t.ResourceType, t.ResourceName, code, message
			r.Resources = append(r.Resources, item)
		}
	case *kmsg.ElectLeadersResponse:
		r.ErrorCode, r.Topics = code, failedElections(req.(*kmsg.ElectLeadersRequest), code, message)
	case *kmsg.AlterPartitionAssignmentsResponse:
		r.ErrorCode, r.ErrorMessage = code, message
	case *kmsg.ListPartitionReassignmentsResponse:
		r.ErrorCode, r.ErrorMessage = code, message
	case *kmsg.AlterClientQuotasResponse:
		for _, e := range req.(*kmsg.AlterClientQuotasRequest).Entries {
			item := kmsg.NewAlterClientQuotasResponseEntry()
			item.ErrorCode, item.ErrorMessage = code, message
			for _, part := range e.Entity {
				item.Entity = append(item.Entity, kmsg.AlterClientQuotasResponseEntryEntity{Type: part.Type, Name: part.Name})
			}
			r.Entries = append(r.Entries, item)
		}
	case *kmsg.AlterUserSCRAMCredentialsResponse:
		r.Results = failedScram(req.(*kmsg.AlterUserSCRAMCredentialsRequest), code, message)
	case *kmsg.UpdateFeaturesResponse:
		r.ErrorCode, r.ErrorMessage = code, message
	case *kmsg.UnregisterBrokerResponse:
		r.ErrorCode, r.ErrorMessage = code, message
	case *kmsg.AlterPartitionResponse:
		r.ErrorCode = code
	case *kmsg.AssignReplicasToDirsResponse:
		r.ErrorCode = code
	case *kmsg.BrokerRegistrationResponse:
		r.ErrorCode, r.BrokerEpoch = code, -1
	case *kmsg.BrokerHeartbeatResponse:
		r.ErrorCode = code
	case *kmsg.AllocateProducerIDsResponse:
		r.ErrorCode = code
	case *kmsg.DescribeQuorumResponse:
		r.ErrorCode, r.ErrorMessage = code, message
	case *kmsg.AddRaftVoterResponse:
		r.ErrorCode, r.ErrorMessage = code, message
	case *kmsg.RemoveRaftVoterResponse:
		r.ErrorCode, r.ErrorMessage = code, message
	default:
		panic("api: no error answer for " + kmsg.NameForKey(req.Key()))
	}
	return resp
}

func failedScram(req *kmsg.AlterUserSCRAMCredentialsRequest, code int16, message *string) (items []kmsg.AlterUserSCRAMCredentialsResponseResult) {
	add := func(user string) {
		item := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		item.User, item.ErrorCode, item.ErrorMessage = user, code, message
		items = append(items, item)
	}
	for _, d := range req.Deletions {
		add(d.Name)
	}
	for _, u := range req.Upsertions {
		add(u.Name)
	}
	return items
}

// failedElections tells each partition too: version 0 of the answer has no other place.
func failedElections(req *kmsg.ElectLeadersRequest, code int16, message *string) (items []kmsg.ElectLeadersResponseTopic) {
	for _, t := range req.Topics {
		item := kmsg.NewElectLeadersResponseTopic()
		item.Topic = t.Topic
		for _, index := range t.Partitions {
			p := kmsg.NewElectLeadersResponseTopicPartition()
			p.Partition, p.ErrorCode, p.ErrorMessage = index, code, message
			item.Partitions = append(item.Partitions, p)
		}
		items = append(items, item)
	}
	return items
}

func failedDeletes(req *kmsg.DeleteTopicsRequest, code int16, message *string) (items []kmsg.DeleteTopicsResponseTopic) {
	for i := range req.TopicNames {
		item := kmsg.NewDeleteTopicsResponseTopic()
		item.Topic, item.ErrorCode, item.ErrorMessage = &req.TopicNames[i], code, message
		items = append(items, item)
	}
	for i := range req.Topics {
		item := kmsg.NewDeleteTopicsResponseTopic()
		item.Topic, item.TopicID, item.ErrorCode, item.ErrorMessage = req.Topics[i].Topic, req.Topics[i].TopicID, code, message
		items = append(items, item)
	}
	return items
}

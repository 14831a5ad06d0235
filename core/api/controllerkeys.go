package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// answerAsController hands a request to this node's controller.
func (k *call) answerAsController() {
	c := k.server.Controller
	if c == nil {
		k.reply(errorResponse(k.req.Body, kerr.NotController.Code))
		return
	}
	switch req := k.req.Body.(type) {
	case *kmsg.CreateTopicsRequest:
		c.CreateTopics(req, replyTo[*kmsg.CreateTopicsResponse](k))
	case *kmsg.DeleteTopicsRequest:
		c.DeleteTopics(req, replyTo[*kmsg.DeleteTopicsResponse](k))
	case *kmsg.CreatePartitionsRequest:
		c.CreatePartitions(req, replyTo[*kmsg.CreatePartitionsResponse](k))
	case *kmsg.IncrementalAlterConfigsRequest:
		c.IncrementalAlterConfigs(req, replyTo[*kmsg.IncrementalAlterConfigsResponse](k))
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

func replyTo[R kmsg.Response](k *call) func(R) {
	return func(resp R) {
		resp.SetVersion(k.req.Version)
		k.reply(resp)
	}
}

// errorResponse is the answer to a request that failed as a whole: the code goes where that
// request's answer has room for it, at the top or in each item.
func errorResponse(req kmsg.Request, code int16) kmsg.Response {
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	switch r := resp.(type) {
	case *kmsg.CreateTopicsResponse:
		for _, t := range req.(*kmsg.CreateTopicsRequest).Topics {
			item := kmsg.NewCreateTopicsResponseTopic()
			item.Topic, item.ErrorCode = t.Topic, code
			r.Topics = append(r.Topics, item)
		}
	case *kmsg.DeleteTopicsResponse:
		r.Topics = failedDeletes(req.(*kmsg.DeleteTopicsRequest), code)
	case *kmsg.CreatePartitionsResponse:
		for _, t := range req.(*kmsg.CreatePartitionsRequest).Topics {
			item := kmsg.NewCreatePartitionsResponseTopic()
			item.Topic, item.ErrorCode = t.Topic, code
			r.Topics = append(r.Topics, item)
		}
	case *kmsg.IncrementalAlterConfigsResponse:
		for _, t := range req.(*kmsg.IncrementalAlterConfigsRequest).Resources {
			item := kmsg.NewIncrementalAlterConfigsResponseResource()
			item.ResourceType, item.ResourceName, item.ErrorCode = t.ResourceType, t.ResourceName, code
			r.Resources = append(r.Resources, item)
		}
	case *kmsg.AlterPartitionResponse:
		r.ErrorCode = code
	case *kmsg.BrokerRegistrationResponse:
		r.ErrorCode, r.BrokerEpoch = code, -1
	case *kmsg.BrokerHeartbeatResponse:
		r.ErrorCode = code
	case *kmsg.AllocateProducerIDsResponse:
		r.ErrorCode = code
	case *kmsg.DescribeQuorumResponse:
		r.ErrorCode = code
	default:
		panic("api: no error answer for " + kmsg.NameForKey(req.Key()))
	}
	return resp
}

func failedDeletes(req *kmsg.DeleteTopicsRequest, code int16) (items []kmsg.DeleteTopicsResponseTopic) {
	for i := range req.TopicNames {
		item := kmsg.NewDeleteTopicsResponseTopic()
		item.Topic, item.ErrorCode = &req.TopicNames[i], code
		items = append(items, item)
	}
	for i := range req.Topics {
		item := kmsg.NewDeleteTopicsResponseTopic()
		item.Topic, item.TopicID, item.ErrorCode = req.Topics[i].Topic, req.Topics[i].TopicID, code
		items = append(items, item)
	}
	return items
}

package api

import (
	"slices"

	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const unknownOperations = -1 << 31 // "authorized operations were not asked for"

// Metadata (key 3), versions 0 to 13, from the committed image. A null list of topics asks for all; in
// version 0 an empty one does. A missing topic is created if both the broker's and the request's
// settings allow it, and answered as unknown until it exists. The controller id is a live broker's: with KRaft
// clients send controller requests to any broker, which forwards them. Addresses are those of
// the listener that the client came in on.
func (k *call) metadata() {
	req := k.req.Body.(*kmsg.MetadataRequest)
	resp := kmsg.NewPtrMetadataResponse()
	resp.Version = req.Version
	resp.ClusterID = &k.server.ClusterID
	resp.ControllerID = k.server.anyBroker()
	resp.Brokers = k.metadataBrokers()
	if req.Topics == nil || req.Version == 0 && len(req.Topics) == 0 {
		k.server.Image().Topics(func(t *metadata.Topic) bool {
			resp.Topics = append(resp.Topics, k.metadataTopic(t))
			return true
		})
		k.reply(resp)
		return
	}
	var missing []string
	for i := range req.Topics {
		topic, absent := k.metadataOf(&req.Topics[i])
		resp.Topics = append(resp.Topics, topic)
		if absent {
			missing = append(missing, *req.Topics[i].Topic)
		}
	}
	if len(missing) > 0 && k.server.Config.AutoCreateTopics && (req.Version < 4 || req.AllowAutoTopicCreation) {
		k.server.autoCreate(missing)
	}
	k.reply(resp)
}

func (k *call) metadataBrokers() (brokers []kmsg.MetadataResponseBroker) {
	k.server.Image().Brokers(func(b *metadata.Broker) bool {
		if at, ok := b.Endpoint(k.listener); ok && !b.Fenced {
			brokers = append(brokers, kmsg.MetadataResponseBroker{NodeID: b.ID, Host: at.Host, Port: int32(at.Port), Rack: rackOf(b)})
		}
		return true
	})
	return brokers
}

// anyBroker picks a live broker to be named as controller: this one, if it is registered.
func (s *Server) anyBroker() int32 {
	if b := s.Image().Broker(s.Config.NodeID); b != nil && !b.Fenced {
		return b.ID
	}
	id := int32(-1)
	s.Image().Brokers(func(b *metadata.Broker) bool {
		if !b.Fenced {
			id = b.ID
		}
		return id < 0
	})
	return id
}

// metadataOf answers for one topic of the request; absent: it was named and does not exist.
func (k *call) metadataOf(asked *kmsg.MetadataRequestTopic) (answer kmsg.MetadataResponseTopic, absent bool) {
	image := k.server.Image()
	if asked.Topic == nil {
		if t := image.TopicByID(asked.TopicID); t != nil {
			return k.metadataTopic(t), false
		}
		answer = missingTopic(nil, kerr.UnknownTopicID)
		answer.TopicID = asked.TopicID
		return answer, false
	}
	if t := image.Topic(*asked.Topic); t != nil {
		return k.metadataTopic(t), false
	}
	if !metadata.ValidTopicName(*asked.Topic) {
		return missingTopic(asked.Topic, kerr.InvalidTopicException), false
	}
	return missingTopic(asked.Topic, kerr.UnknownTopicOrPartition), true
}

func missingTopic(name *string, err *kerr.Error) kmsg.MetadataResponseTopic {
	t := kmsg.NewMetadataResponseTopic()
	t.Topic, t.ErrorCode = name, err.Code
	t.AuthorizedOperations = unknownOperations
	return t
}

func (k *call) metadataTopic(t *metadata.Topic) kmsg.MetadataResponseTopic {
	answer := kmsg.NewMetadataResponseTopic()
	answer.Topic, answer.TopicID = &t.Name, t.ID
	answer.AuthorizedOperations = unknownOperations
	answer.Partitions = make([]kmsg.MetadataResponseTopicPartition, 0, len(t.Partitions))
	for _, p := range t.Partitions {
		if p != nil {
			answer.Partitions = append(answer.Partitions, k.metadataPartition(p))
		}
	}
	return answer
}

func (k *call) metadataPartition(p *metadata.Partition) kmsg.MetadataResponseTopicPartition {
	answer := kmsg.NewMetadataResponseTopicPartition()
	answer.Partition = p.Index
	answer.Leader, answer.LeaderEpoch = p.Leader, p.LeaderEpoch
	answer.Replicas, answer.ISR = slices.Clone(p.Replicas), slices.Clone(p.ISR)
	answer.OfflineReplicas = k.server.offline(p.Replicas)
	if p.Leader < 0 || slices.Contains(answer.OfflineReplicas, p.Leader) {
		answer.Leader = -1
		answer.ErrorCode = kerr.LeaderNotAvailable.Code
	}
	return answer
}

// offline lists the replicas whose broker is fenced or gone.
func (s *Server) offline(replicas []int32) []int32 {
	offline := []int32{}
	for _, id := range replicas {
		if b := s.Image().Broker(id); b == nil || b.Fenced {
			offline = append(offline, id)
		}
	}
	return offline
}

// autoCreate asks the controller for topics with the broker's defaults. Nobody waits for the result:
// the client asks again.
func (s *Server) autoCreate(names []string) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30_000
	for _, name := range names {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, -1, -1
		req.Topics = append(req.Topics, t)
	}
	_, version, _ := versionsOf(req.Key())
	req.SetVersion(version)
	s.forward(req, s.Config.InterBrokerListener, func(kmsg.Response, error) {})
}

func versionsOf(key int16) (least, most int16, known bool) {
	a, known := wire.Lookup(key)
	return a.Min, a.Max, known
}

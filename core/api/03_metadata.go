package api

import (
	"github.com/lockstep/lockstep/core/config"
	"slices"
	"time"

	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Metadata (key 3), versions 0 to 13, from the committed image. A null list of topics asks for all; in
// version 0 an empty one does. From version 12 topics may be named by id. A missing topic is created if both the
// broker's and the request's settings allow it, and answered as unknown until it exists. The controller id is a live broker's:
// with KRaft clients send controller requests to any broker, which forwards them. Addresses are those of
// the listener that the client came in on.
func (k *call) metadata() {
	req := k.req.Body.(*kmsg.MetadataRequest)
	if req.Version < 12 && slices.ContainsFunc(req.Topics, isNameless) {
		k.reply(metadataRefused(req, kerr.InvalidRequest)) // versions 10 and 11 have the fields, but no meaning for them
		return
	}
	resp := kmsg.NewPtrMetadataResponse()
	resp.ClusterID = &k.server.ClusterID
	resp.ControllerID = k.server.anyBroker()
	resp.Brokers = k.metadataBrokers()
	resp.AuthorizedOperations = operations(req.IncludeClusterAuthorizedOperations, clusterOperations)
	v := metadataView{call: k, req: req}
	if req.Topics == nil || req.Version == 0 && len(req.Topics) == 0 {
		resp.Topics = v.all()
	} else {
		resp.Topics = v.named()
	}
	k.reply(resp)
}

// isNameless reports whether a topic has an id, or no name.
func isNameless(t kmsg.MetadataRequestTopic) bool { return t.Topic == nil || t.TopicID != [16]byte{} }

// metadataRefused has the error in each topic, and nothing else.
func metadataRefused(req *kmsg.MetadataRequest, err *kerr.Error) *kmsg.MetadataResponse {
	resp := kmsg.NewPtrMetadataResponse()
	resp.ControllerID, resp.ErrorCode = -1, err.Code
	for i := range req.Topics {
		ref := topicRef{id: req.Topics[i].TopicID} // the answer has no room for null
		if req.Topics[i].Topic != nil {
			ref.name = *req.Topics[i].Topic
		}
		resp.Topics = append(resp.Topics, absentTopic(ref, err))
	}
	return resp
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

// metadataView answers for the topics of one request.
type metadataView struct {
	*call
	req     *kmsg.MetadataRequest
	missing []string // topics that were named and do not exist
}

func (v *metadataView) all() (topics []kmsg.MetadataResponseTopic) {
	v.server.Image().Topics(func(t *metadata.Topic) bool {
		topics = append(topics, v.topic(t))
		return true
	})
	return topics
}

// named answers for each topic once, however often it is named: an answer is many times the size of a name. Where an id is given, only
// those with one are answered for, as Kafka does.
func (v *metadataView) named() []kmsg.MetadataResponseTopic {
	topics := make([]kmsg.MetadataResponseTopic, 0, len(v.req.Topics))
	seen := make(map[topicRef]bool, len(v.req.Topics))
	ids := slices.ContainsFunc(v.req.Topics, func(t kmsg.MetadataRequestTopic) bool { return t.TopicID != [16]byte{} })
	for i := range v.req.Topics {
		ref := refOf(&v.req.Topics[i])
		if ids && ref.id == [16]byte{} {
			continue
		}
		if !seen[ref] {
			seen[ref] = true
			topics = append(topics, v.find(ref))
		}
	}
	if len(v.missing) > 0 && v.server.Config.AutoCreateTopics && (v.req.Version < 4 || v.req.AllowAutoTopicCreation) {
		v.server.autoCreate(v.missing, clientIDOf(v.call))
	}
	return topics
}

// topicRef is a topic as a request names it: by its id if there is one.
type topicRef struct {
	id   [16]byte
	name string
	null bool // there is no name
}

func refOf(asked *kmsg.MetadataRequestTopic) topicRef {
	ref := topicRef{id: asked.TopicID, null: asked.Topic == nil || asked.TopicID != [16]byte{}}
	if !ref.null {
		ref.name = *asked.Topic
	}
	return ref
}

func (v *metadataView) find(ref topicRef) kmsg.MetadataResponseTopic {
	image := v.server.Image()
	byID := ref.id != [16]byte{}
	switch {
	case byID || ref.null:
		if t := image.TopicByID(ref.id); t != nil {
			return v.topic(t)
		}
		return absentTopic(topicRef{id: ref.id, null: true}, kerr.UnknownTopicID)
	}
	if t := image.Topic(ref.name); t != nil {
		return v.topic(t)
	}
	if !metadata.ValidTopicName(ref.name) {
		return absentTopic(ref, kerr.InvalidTopicException)
	}
	v.missing = append(v.missing, ref.name)
	return absentTopic(ref, kerr.UnknownTopicOrPartition)
}

func absentTopic(ref topicRef, err *kerr.Error) kmsg.MetadataResponseTopic {
	t := kmsg.NewMetadataResponseTopic()
	t.TopicID, t.ErrorCode = ref.id, err.Code
	if !ref.null {
		t.Topic = &ref.name
	}
	return t
}

func (v *metadataView) topic(t *metadata.Topic) kmsg.MetadataResponseTopic {
	answer := kmsg.NewMetadataResponseTopic()
	answer.Topic, answer.TopicID, answer.IsInternal = &t.Name, t.ID, config.IsInternal(t.Name)
	answer.AuthorizedOperations = operations(v.req.IncludeTopicAuthorizedOperations, topicOperations)
	answer.Partitions = make([]kmsg.MetadataResponseTopicPartition, 0, len(t.Partitions))
	for _, p := range t.Partitions {
		if p != nil {
			answer.Partitions = append(answer.Partitions, v.partition(p))
		}
	}
	return answer
}

// partition answers for one partition. In version 0 replicas that are offline are left out, and that is an error.
func (v *metadataView) partition(p *metadata.Partition) kmsg.MetadataResponseTopicPartition {
	answer := kmsg.NewMetadataResponseTopicPartition()
	answer.Partition, answer.LeaderEpoch = p.Index, p.LeaderEpoch
	answer.Replicas, answer.ISR = p.Replicas, p.ISR
	answer.OfflineReplicas = v.offline(p)
	var err *kerr.Error
	if answer.Leader, err = v.leader(p); err != nil {
		answer.ErrorCode = err.Code
		if v.req.Version < 6 {
			answer.ErrorCode = kerr.LeaderNotAvailable.Code
		}
	}
	if v.req.Version == 0 && len(answer.OfflineReplicas) > 0 {
		answer.Replicas, answer.ISR = without(p.Replicas, answer.OfflineReplicas), without(p.ISR, answer.OfflineReplicas)
		if err == nil {
			answer.ErrorCode = kerr.ReplicaNotAvailable.Code
		}
	}
	return answer
}

// leader is a partition's leader, if a client on this listener can reach it.
func (k *call) leader(p *metadata.Partition) (int32, *kerr.Error) {
	b := k.server.Image().Broker(p.Leader)
	if b == nil || b.Fenced {
		return -1, kerr.LeaderNotAvailable
	}
	if _, ok := b.Endpoint(k.listener); !ok {
		return -1, kerr.ListenerNotFound
	}
	return b.ID, nil
}

// offline lists the replicas whose broker is fenced, gone or not on this listener, or whose log directory failed.
func (k *call) offline(p *metadata.Partition) (offline []int32) {
	for _, id := range p.Replicas {
		if b := k.server.Image().Broker(id); b == nil || b.Fenced || !hasListener(b, k.listener) || !b.HasOnlineDir(p.Dir(id)) {
			offline = append(offline, id)
		}
	}
	return offline
}

func hasListener(b *metadata.Broker, name string) bool {
	_, ok := b.Endpoint(name)
	return ok
}

func without(ids, gone []int32) (rest []int32) {
	for _, id := range ids {
		if !slices.Contains(gone, id) {
			rest = append(rest, id)
		}
	}
	return rest
}

// maxAutoCreate bounds the topics that one Metadata request creates.
const maxAutoCreate = 1000

// autoCreate asks the controller for topics with the broker's defaults, unless that is under way. Nobody waits for the
// result: the client asks again, also for those that were too many.
func (s *Server) autoCreate(names []string, clientID string) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = int32(forwardPatience / time.Millisecond)
	for _, name := range names[:min(len(names), maxAutoCreate)] {
		if s.creating[name] {
			continue
		}
		s.creating[name] = true
		req.Topics = append(req.Topics, s.creatable(name))
	}
	if len(req.Topics) == 0 {
		return
	}
	a, _ := wire.Lookup(req.Key())
	req.SetVersion(a.Max)
	f := &forwarding{server: s, clientID: clientID, req: req, deadline: s.Env.Loop.Now().Add(forwardPatience)}
	f.done = func(kmsg.Response, error) {
		for i := range req.Topics {
			delete(s.creating, req.Topics[i].Topic)
		}
	}
	f.try()
}

// creatable is a topic as a broker asks for it: one of a coordinator as its keys say, any other with the defaults.
func (s *Server) creatable(name string) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, -1, -1
	internal := s.Config.Internal(name)
	if internal == nil {
		return t
	}
	t.NumPartitions, t.ReplicationFactor = internal.Partitions, internal.ReplicationFactor
	for _, o := range internal.Overrides {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = o.Key, &o.Value
		t.Configs = append(t.Configs, c)
	}
	return t
}

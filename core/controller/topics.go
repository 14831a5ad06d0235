package controller

import (
	"encoding/binary"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
)

// maxPartitionsPerRequest bounds what one request may create: it becomes one batch.
const maxPartitionsPerRequest = 10_000

// fault is an error with what to tell the client.
type fault struct {
	err     *kerr.Error
	message string
}

// told is the message for the client; nil: there is none.
func (f *fault) told() *string {
	if f.message == "" {
		return nil
	}
	return &f.message
}

func refuse(err *kerr.Error, message string) *fault { return &fault{err, message} }

// CreateTopics creates topics, each on its own: one that is refused does not keep the others
// (KIP-4). With ValidateOnly it answers the same and creates nothing.
func (c *Controller) CreateTopics(req *kmsg.CreateTopicsRequest, charge Charge, done func(*kmsg.CreateTopicsResponse)) {
	failed := func(err *kerr.Error) *kmsg.CreateTopicsResponse { return createTopicsError(req, err) }
	if !c.Active() {
		done(failed(kerr.NotController))
		return
	}
	var records []metadata.Record
	resp := kmsg.NewPtrCreateTopicsResponse()
	left := maxPartitionsPerRequest
	named := timesNamed(req.Topics)
	for n := range req.Topics {
		t := &req.Topics[n]
		if times := named[t.Topic]; times != 1 {
			named[t.Topic] = 0 // one answer is enough
			if times > 1 {
				resp.Topics = append(resp.Topics, topicRefused(t.Topic, refuse(kerr.InvalidRequest, "duplicate topic name")))
			}
			continue
		}
		created, err := c.createTopic(t, &left)
		if err == nil {
			err = charge.take(len(created.partitions))
		}
		if err != nil {
			resp.Topics = append(resp.Topics, topicRefused(t.Topic, err))
			continue
		}
		resp.Topics = append(resp.Topics, created.response())
		records = append(records, created.records()...)
	}
	if req.ValidateOnly {
		records = nil
	}
	answer(c, records, resp, failed, done)
}

// timesNamed counts how often each topic is named. A request can have half a million, so they are not compared in pairs.
func timesNamed(topics []kmsg.CreateTopicsRequestTopic) map[string]int {
	named := make(map[string]int, len(topics))
	for i := range topics {
		named[topics[i].Topic]++
	}
	return named
}

func createTopicsError(req *kmsg.CreateTopicsRequest, err *kerr.Error) *kmsg.CreateTopicsResponse {
	resp := kmsg.NewPtrCreateTopicsResponse()
	for _, t := range req.Topics {
		resp.Topics = append(resp.Topics, topicRefused(t.Topic, refuse(err, err.Description)))
	}
	return resp
}

func topicRefused(name string, f *fault) kmsg.CreateTopicsResponseTopic {
	rt := kmsg.NewCreateTopicsResponseTopic()
	rt.Topic, rt.ErrorCode, rt.ErrorMessage = name, f.err.Code, f.told()
	rt.Configs = []kmsg.CreateTopicsResponseTopicConfig{} // null is for who may not see them
	return rt
}

// newTopic is a topic that passed all checks.
type newTopic struct {
	name       string
	id         [16]byte
	configs    []metadata.Record
	partitions []*metadata.PartitionRecord
}

func (t *newTopic) response() kmsg.CreateTopicsResponseTopic {
	rt := kmsg.NewCreateTopicsResponseTopic()
	rt.Topic, rt.TopicID = t.name, t.id
	rt.NumPartitions, rt.ReplicationFactor = int32(len(t.partitions)), int16(len(t.partitions[0].Replicas))
	return rt
}

// records are the topic, its configs, and its partitions, in Kafka's order.
func (t *newTopic) records() []metadata.Record {
	records := append([]metadata.Record{&metadata.TopicRecord{Name: t.name, TopicID: t.id}}, t.configs...)
	for _, p := range t.partitions {
		records = append(records, p)
	}
	return records
}

// createTopic checks one topic. left is how many partitions the request may still create.
func (c *Controller) createTopic(t *kmsg.CreateTopicsRequestTopic, left *int) (*newTopic, *fault) {
	if f := c.checkNewName(t.Topic); f != nil {
		return nil, f
	}
	configs, f := c.creationConfigs(t)
	if f != nil {
		return nil, f
	}
	replicas, f := c.newAssignment(t, *left)
	if f != nil {
		return nil, f
	}
	*left -= len(replicas)
	nt := &newTopic{name: t.Topic, id: c.newID(), configs: configs}
	nt.partitions, f = c.newPartitions(nt.id, 0, replicas, len(t.ReplicaAssignment) > 0)
	return nt, f
}

func (c *Controller) checkNewName(name string) *fault {
	if why := metadata.TopicNameFault(name); why != "" {
		return refuse(kerr.InvalidTopicException, why)
	}
	if name == event.MetadataPartition.Topic {
		return refuse(kerr.InvalidRequest, "the cluster metadata log cannot be created as a topic")
	}
	if c.img.Topic(name) != nil {
		return refuse(kerr.TopicAlreadyExists, "topic '"+name+"' already exists")
	}
	if t := c.img.TopicWithCollision(name); t != nil {
		return refuse(kerr.InvalidTopicException, "topic '"+name+"' collides with existing topic: "+t.Name)
	}
	return nil
}

// newAssignment is the replicas of each new partition: given by the client, or placed. Counts and an
// assignment exclude each other.
func (c *Controller) newAssignment(t *kmsg.CreateTopicsRequestTopic, left int) ([][]int32, *fault) {
	if len(t.ReplicaAssignment) > 0 {
		return c.manualAssignment(t, left)
	}
	n, factor := t.NumPartitions, t.ReplicationFactor
	switch {
	case factor < -1 || factor == 0:
		return nil, refuse(kerr.InvalidReplicationFactor, "the replication factor must be positive, or -1 for the default")
	case n < -1 || n == 0:
		return nil, refuse(kerr.InvalidPartitions, "the number of partitions must be positive, or -1 for the default")
	}
	if n == -1 {
		n = c.cfg.NumPartitions
	}
	if factor == -1 {
		factor = c.cfg.DefaultReplicationFactor
	}
	if int(n) > left {
		return nil, refuse(kerr.PolicyViolation, "too many partitions in one request")
	}
	return c.placeReplicas(int(n), int(factor))
}

func (c *Controller) placeReplicas(n, factor int) ([][]int32, *fault) {
	replicas, err := place(c.rand, c.usableBrokers(), n, factor)
	if err != nil {
		return nil, refuse(err, "there are too few brokers for the replication factor, or all are fenced")
	}
	return replicas, nil
}

// usableBrokers are those that may get new replicas: not shutting down, with a directory that is not
// cordoned.
func (c *Controller) usableBrokers() []usableBroker {
	var out []usableBroker
	c.img.Brokers(func(b *metadata.Broker) bool {
		if !b.InControlledShutdown && hasUncordonedDir(b) {
			out = append(out, usableBroker{b.ID, b.Rack, b.Fenced})
		}
		return true
	})
	return out
}

func hasUncordonedDir(b *metadata.Broker) bool {
	return len(b.Dirs) == 0 || slices.ContainsFunc(b.Dirs, func(d [16]byte) bool { return !slices.Contains(b.CordonedDirs, d) })
}

// manualAssignment is the client's own: each partition from 0 on once, all of one size.
func (c *Controller) manualAssignment(t *kmsg.CreateTopicsRequestTopic, left int) ([][]int32, *fault) {
	switch {
	case t.ReplicationFactor != -1 || t.NumPartitions != -1:
		return nil, refuse(kerr.InvalidRequest, "with a replica assignment, partitions and replication factor must be -1")
	case len(t.ReplicaAssignment) > left:
		return nil, refuse(kerr.PolicyViolation, "too many partitions in one request")
	}
	replicas := make([][]int32, len(t.ReplicaAssignment))
	for _, a := range t.ReplicaAssignment {
		if a.Partition < 0 || int(a.Partition) >= len(replicas) || replicas[a.Partition] != nil {
			return nil, refuse(kerr.InvalidReplicaAssignment, "partitions must be 0, 1, … without a gap or a duplicate")
		}
		if f := c.checkAssignment(a.Replicas, len(t.ReplicaAssignment[0].Replicas)); f != nil {
			return nil, f
		}
		replicas[a.Partition] = slices.Clone(a.Replicas)
	}
	return replicas, nil
}

// checkAssignment checks the replicas of one partition that a client gave.
func (c *Controller) checkAssignment(replicas []int32, factor int) *fault {
	if len(replicas) == 0 || len(replicas) != factor {
		return refuse(kerr.InvalidReplicaAssignment, "every partition must have the same number of replicas, at least one")
	}
	for n, id := range replicas {
		b := c.img.Broker(id)
		if b == nil || !hasUncordonedDir(b) || slices.Contains(replicas[:n], id) {
			return refuse(kerr.InvalidReplicaAssignment, "the assignment names a broker twice, or one that is not registered or takes no replicas")
		}
	}
	return nil
}

// newPartitions are the records of partitions from index first on. The ISR is the active replicas;
// its first leads.
func (c *Controller) newPartitions(topicID [16]byte, first int32, replicas [][]int32, manual bool) ([]*metadata.PartitionRecord, *fault) {
	out := make([]*metadata.PartitionRecord, len(replicas))
	for n, ids := range replicas {
		isr := slices.DeleteFunc(slices.Clone(ids), func(id int32) bool { return !c.img.Broker(id).Active() })
		if len(isr) == 0 {
			if manual {
				return nil, refuse(kerr.InvalidReplicaAssignment, "all brokers of a partition are fenced or shutting down")
			}
			return nil, refuse(kerr.InvalidReplicationFactor, "all brokers are fenced or shutting down")
		}
		out[n] = &metadata.PartitionRecord{
			PartitionID: first + int32(n), TopicID: topicID, Replicas: ids, Isr: isr, Leader: isr[0],
			Directories: c.defaultDirs(ids),
		}
	}
	return out, nil
}

func (c *Controller) defaultDirs(ids []int32) [][16]byte {
	dirs := make([][16]byte, len(ids))
	for n, id := range ids {
		dirs[n] = c.defaultDir(id)
	}
	return dirs
}

// defaultDir is the directory of a new replica: the only one the broker has, or its own choice (KIP-858).
func (c *Controller) defaultDir(id int32) [16]byte {
	if b := c.img.Broker(id); b != nil && len(b.Dirs) == 1 {
		return b.Dirs[0]
	}
	return metadata.DirUnassigned
}

// base64Dash is the six bits that url-safe base64 writes as a dash.
const base64Dash = 62

// newID draws a version 4 uuid that Kafka would draw too: none of the reserved ones, none whose text
// begins with a dash, which tools would take for an option.
func (c *Controller) newID() (id [16]byte) {
	for {
		binary.BigEndian.PutUint64(id[:8], c.rand.Uint64())
		binary.BigEndian.PutUint64(id[8:], c.rand.Uint64())
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
		if id[0]>>2 != base64Dash {
			return id
		}
	}
}

// DeleteTopics deletes topics by name or, from version 6 on, by id.
func (c *Controller) DeleteTopics(req *kmsg.DeleteTopicsRequest, charge Charge, done func(*kmsg.DeleteTopicsResponse)) {
	refs := topicRefs(req)
	failed := func(err *kerr.Error) *kmsg.DeleteTopicsResponse { return deleteTopicsError(refs, err) }
	if !c.Active() {
		done(failed(kerr.NotController))
		return
	}
	if c.cfg.NoDeletion {
		done(failed(deletionDisabled(req.Version)))
		return
	}
	var records []metadata.Record
	named := make(map[topicKey]int, len(refs))
	for _, ref := range refs {
		named[c.refKey(ref)]++
	}
	resp := kmsg.NewPtrDeleteTopicsResponse()
	for _, ref := range refs {
		key := c.refKey(ref)
		times := named[key]
		if named[key] = 0; times == 0 {
			continue // one answer is enough
		}
		t, err := c.findTopic(ref)
		if times > 1 {
			err = kerr.InvalidRequest
		}
		if err == nil && charge != nil {
			err = charge(len(t.Partitions))
		}
		if err != nil {
			resp.Topics = append(resp.Topics, deleteRefused(ref, err))
			continue
		}
		records = append(records, &metadata.RemoveTopicRecord{TopicID: t.ID})
		rt := kmsg.NewDeleteTopicsResponseTopic()
		rt.Topic, rt.TopicID = &t.Name, t.ID
		resp.Topics = append(resp.Topics, rt)
	}
	answer(c, records, resp, failed, done)
}

// deletionDisabled is the error of delete.topic.enable=false; old clients do not know the newer one.
func deletionDisabled(version int16) *kerr.Error {
	if version < 3 {
		return kerr.InvalidRequest
	}
	return kerr.TopicDeletionDisabled
}

// topicKey tells the topics of a request apart: by their id, if they are known.
type topicKey struct {
	id    [16]byte
	name  string
	named bool
}

func (c *Controller) refKey(ref kmsg.DeleteTopicsRequestTopic) topicKey {
	if t, err := c.findTopic(ref); err == nil {
		return topicKey{id: t.ID}
	}
	if ref.Topic == nil {
		return topicKey{id: ref.TopicID}
	}
	return topicKey{ref.TopicID, *ref.Topic, true}
}

// topicRefs are the topics of a request of any version.
func topicRefs(req *kmsg.DeleteTopicsRequest) []kmsg.DeleteTopicsRequestTopic {
	refs := slices.Clone(req.Topics)
	for _, name := range req.TopicNames {
		refs = append(refs, kmsg.DeleteTopicsRequestTopic{Topic: &name})
	}
	return refs
}

func (c *Controller) findTopic(ref kmsg.DeleteTopicsRequestTopic) (*metadata.Topic, *kerr.Error) {
	byID := ref.TopicID != [16]byte{}
	switch {
	case byID == (ref.Topic != nil):
		return nil, kerr.InvalidRequest
	case byID:
		if t := c.img.TopicByID(ref.TopicID); t != nil {
			return t, nil
		}
		return nil, kerr.UnknownTopicID
	}
	if t := c.img.Topic(*ref.Topic); t != nil {
		return t, nil
	}
	return nil, kerr.UnknownTopicOrPartition
}

func deleteTopicsError(refs []kmsg.DeleteTopicsRequestTopic, err *kerr.Error) *kmsg.DeleteTopicsResponse {
	resp := kmsg.NewPtrDeleteTopicsResponse()
	for _, ref := range refs {
		resp.Topics = append(resp.Topics, deleteRefused(ref, err))
	}
	return resp
}

func deleteRefused(ref kmsg.DeleteTopicsRequestTopic, err *kerr.Error) kmsg.DeleteTopicsResponseTopic {
	rt := kmsg.NewDeleteTopicsResponseTopic()
	rt.Topic, rt.TopicID, rt.ErrorCode, rt.ErrorMessage = ref.Topic, ref.TopicID, err.Code, &err.Description
	return rt
}

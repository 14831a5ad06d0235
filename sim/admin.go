package sim

import (
	"strconv"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/txn"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// admin is the client that creates the topics.
type admin struct{ *client }

const adminNode = clientNode - 1

func newAdmin(r *run) *admin { return &admin{newClient(r, "admin", adminNode)} }

// createTopics asks until all topics exist. It starts before the cluster does.
func (a *admin) createTopics() {
	if len(a.run.schedule.Options.Topics) > 0 {
		a.loop.After(500*time.Millisecond, a.ask)
	}
}

func (a *admin) ask() {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, int32(a.timeout.Milliseconds())
	for _, t := range a.run.schedule.Options.topicPointers() {
		req.Topics = append(req.Topics, newTopicRequest(t))
	}
	a.send(a.anyBroker(), req, a.timeout, askerFunc(a.onCreated), false)
}

func newTopicRequest(o *TopicOptions) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = o.Name, int32(o.Partitions), int16(o.RF)
	if o.Replicas != "" {
		t.NumPartitions, t.ReplicationFactor, t.ReplicaAssignment = -1, -1, assignments(o.Replicas)
	}
	set := func(key, value string) {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = key, &value
		t.Configs = append(t.Configs, c)
	}
	set("min.insync.replicas", strconv.Itoa(o.MinISR))
	set("unclean.leader.election.enable", strconv.FormatBool(o.Unclean))
	if o.SegmentBytes > 0 {
		set("segment.bytes", strconv.FormatInt(o.SegmentBytes, 10))
		set("index.interval.bytes", strconv.FormatInt(min(o.SegmentBytes/8, 4096), 10))
	}
	if o.Retention > 0 {
		set("retention.ms", strconv.FormatInt(o.Retention.Milliseconds(), 10))
	}
	if o.RetentionBytes > 0 {
		set("retention.bytes", strconv.FormatInt(o.RetentionBytes, 10))
	}
	if o.Compact {
		set("cleanup.policy", o.cleanupPolicy())
		set("delete.retention.ms", "2000")
	}
	if o.FlushMessages > 0 {
		set("flush.messages", strconv.FormatInt(o.FlushMessages, 10))
	}
	return t
}

// cleanupPolicy is compact, with delete if the topic has a retention.
func (o *TopicOptions) cleanupPolicy() string {
	if o.Retention > 0 || o.RetentionBytes > 0 {
		return "compact,delete"
	}
	return "compact"
}

// assignments reads "1,2,3/2,3,1". What is not a number is no broker, and the controller says so.
func assignments(s string) (list []kmsg.CreateTopicsRequestTopicReplicaAssignment) {
	for i, replicas := range strings.Split(s, "/") {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition = int32(i)
		for _, id := range strings.Split(replicas, ",") {
			n, _ := strconv.Atoi(id)
			a.Replicas = append(a.Replicas, int32(n))
		}
		list = append(list, a)
	}
	return list
}

// agreeOnTransactions has the cluster speak the transaction.version that the run is to have, until it does.
func (a *admin) agreeOnTransactions() {
	t := &a.run.schedule.Options.Transactions
	if !a.run.schedule.Options.hasTransactions() || t.Version == newestTxnVersion {
		return
	}
	req, code := featureRequest(txn.Version, int16(t.Version), unsafeDowngrade)
	a.send(a.anyBroker(), req, a.timeout, askerFunc(func(resp kmsg.Response, err error) {
		if err != nil || code(resp) != 0 {
			a.loop.After(500*time.Millisecond, a.agreeOnTransactions)
		}
	}), false)
}

func (a *admin) onCreated(resp kmsg.Response, err error) {
	done := err == nil
	if err == nil {
		for _, t := range resp.(*kmsg.CreateTopicsResponse).Topics {
			if err := kerr.ErrorForCode(t.ErrorCode); err != nil && err != kerr.TopicAlreadyExists {
				done = false
				a.run.note(adminNode, "create-topics", t.Topic+": "+err.Error())
			}
		}
	}
	if !done {
		a.loop.After(500*time.Millisecond, a.ask)
		return
	}
	a.agreeOnTransactions()
}

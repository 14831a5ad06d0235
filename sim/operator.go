package sim

import (
	"cmp"
	"strconv"
	"time"

	"github.com/lockstep/lockstep/core/controller"
	"github.com/lockstep/lockstep/core/event"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// operator is the client through which operators' faults are done: over the wire, by whatever broker answers.
type operator struct{ *client }

const operatorNode = adminNode - 1

func newOperator(r *run) *operator { return &operator{newClient(r, "operator", operatorNode)} }

// verdict is what an operator makes of an answer.
type verdict int

const (
	granted verdict = iota
	refused         // it was answered, and asking again is of no use
	unsure
)

// wish is what the operator asks for until it is granted or refused.
type wish struct {
	req   kmsg.Request
	over  func() bool               // nobody wants it any more; nil: for ever wanted
	error func(kmsg.Response) int16 // what was answered
	done  func(granted bool)        // once; may be nil
	to    func() int32              // whom to ask; nil: any broker
}

// ask asks, and asks again after a while when nothing was heard or something stood in the way.
func (o *operator) ask(w wish) {
	if w.over != nil && w.over() {
		w.end(false)
		return
	}
	to := o.anyBroker()
	if w.to != nil {
		to = w.to()
	}
	o.send(to, w.req, o.timeout, askerFunc(func(resp kmsg.Response, err error) {
		v, why := w.judge(resp, err)
		if why != nil {
			o.run.note(operatorNode, "not-granted", why.Error())
		}
		switch v {
		case unsure:
			o.loop.After(retryBackoff, func() { o.ask(w) })
		default:
			w.end(v == granted)
		}
	}), false)
}

func (w *wish) judge(resp kmsg.Response, err error) (verdict, error) {
	if err == nil {
		err = kerr.ErrorForCode(w.error(resp))
	}
	switch {
	case err == nil:
		return granted, nil
	case isSilence(err) || kerr.IsRetriable(err) || err == kerr.UnknownServerError:
		return unsure, err
	}
	return refused, err
}

func (w *wish) end(ok bool) {
	if w.done != nil {
		w.done(ok)
	}
}

// The requests, and how their answers say that they were not granted.

func reassignRequest(p event.Partition, replicas []int32) (kmsg.Request, func(kmsg.Response) int16) {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	t.Topic = p.Topic
	tp := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	tp.Partition, tp.Replicas = p.Index, replicas
	t.Partitions = append(t.Partitions, tp)
	req.Topics = append(req.Topics, t)
	return req, func(resp kmsg.Response) int16 {
		r := resp.(*kmsg.AlterPartitionAssignmentsResponse)
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				return cmp.Or(r.ErrorCode, r.Topics[i].Partitions[j].ErrorCode)
			}
		}
		return r.ErrorCode
	}
}

func electRequest(p event.Partition, unclean bool) (kmsg.Request, func(kmsg.Response) int16) {
	req := kmsg.NewPtrElectLeadersRequest()
	req.Version = 2
	if unclean {
		req.ElectionType = 1
	}
	t := kmsg.NewElectLeadersRequestTopic()
	t.Topic, t.Partitions = p.Topic, []int32{p.Index}
	req.Topics = append(req.Topics, t)
	return req, func(resp kmsg.Response) int16 {
		r := resp.(*kmsg.ElectLeadersResponse)
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				return cmp.Or(r.ErrorCode, r.Topics[i].Partitions[j].ErrorCode)
			}
		}
		return r.ErrorCode
	}
}

// configRequest sets a topic's key, or takes its value back if it is empty.
func configRequest(topic, key, value string) (kmsg.Request, func(kmsg.Response) int16) {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Op = key, kmsg.IncrementalAlterConfigOpDelete
	if value != "" {
		c.Op, c.Value = kmsg.IncrementalAlterConfigOpSet, &value
	}
	r.Configs = append(r.Configs, c)
	req.Resources = append(req.Resources, r)
	return req, func(resp kmsg.Response) int16 {
		return resp.(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode
	}
}

func partitionsRequest(topic string, count int, d time.Duration) (kmsg.Request, func(kmsg.Response) int16) {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version, req.TimeoutMillis = 3, int32(d.Milliseconds())
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = topic, int32(count)
	req.Topics = append(req.Topics, t)
	return req, func(resp kmsg.Response) int16 { return resp.(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode }
}

func createRequest(o *TopicOptions, d time.Duration) (kmsg.Request, func(kmsg.Response) int16) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, int32(d.Milliseconds())
	req.Topics = append(req.Topics, newTopicRequest(o))
	return req, func(resp kmsg.Response) int16 { return resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode }
}

func deleteRequest(topic string, d time.Duration) (kmsg.Request, func(kmsg.Response) int16) {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis = 6, int32(d.Milliseconds())
	t := kmsg.NewDeleteTopicsRequestTopic()
	t.Topic = &topic
	req.Topics = append(req.Topics, t)
	return req, func(resp kmsg.Response) int16 { return resp.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode }
}

// The ways of UpdateFeatures to a level.
const (
	upgrade         = 1
	unsafeDowngrade = 3
)

// elrRequest finalizes a level of eligible.leader.replicas.version.
func elrRequest(level int16, way int8) (kmsg.Request, func(kmsg.Response) int16) {
	return featureRequest(controller.FeatureELR, level, way)
}

// featureRequest finalizes a level of a feature.
func featureRequest(name string, level int16, way int8) (kmsg.Request, func(kmsg.Response) int16) {
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.Version = 1
	f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	f.Feature, f.MaxVersionLevel, f.UpgradeType = name, level, way
	req.FeatureUpdates = append(req.FeatureUpdates, f)
	return req, func(resp kmsg.Response) int16 {
		r := resp.(*kmsg.UpdateFeaturesResponse)
		for i := range r.Results {
			return cmp.Or(r.ErrorCode, r.Results[i].ErrorCode)
		}
		return r.ErrorCode
	}
}

func unregisterRequest(id int32) (kmsg.Request, func(kmsg.Response) int16) {
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = id
	return req, func(resp kmsg.Response) int16 { return resp.(*kmsg.UnregisterBrokerResponse).ErrorCode }
}

// setting is a topic's setting that an operator changes without taking from what the topic promises.
type setting struct {
	key           string
	value, normal func(t *TopicOptions) int64 // normal 0: not set
}

var settings = []setting{
	{"min.insync.replicas", func(t *TopicOptions) int64 { return int64(t.RF) }, func(t *TopicOptions) int64 { return int64(t.MinISR) }},
	{"flush.messages", func(*TopicOptions) int64 { return 1 }, func(t *TopicOptions) int64 { return t.FlushMessages }},
	{"segment.bytes", func(t *TopicOptions) int64 { return 3 * max(t.SegmentBytes, 4<<10) }, func(t *TopicOptions) int64 { return t.SegmentBytes }},
	{"retention.bytes", func(*TopicOptions) int64 { return 8 << 10 }, func(t *TopicOptions) int64 { return t.RetentionBytes }},
	{"retention.ms", func(*TopicOptions) int64 { return 3000 }, func(t *TopicOptions) int64 { return t.Retention.Milliseconds() }},
}

// text is a setting's value as it is sent; empty: not set.
func (s *setting) text(v int64) string {
	if v == 0 {
		return ""
	}
	return strconv.FormatInt(v, 10)
}

func moveLogDirRequest(p event.Partition, dir string) (kmsg.Request, func(kmsg.Response) int16) {
	req := kmsg.NewPtrAlterReplicaLogDirsRequest()
	req.Version = 2
	d := kmsg.NewAlterReplicaLogDirsRequestDir()
	d.Dir = dir
	d.Topics = append(d.Topics, kmsg.AlterReplicaLogDirsRequestDirTopic{Topic: p.Topic, Partitions: []int32{p.Index}})
	req.Dirs = append(req.Dirs, d)
	return req, func(resp kmsg.Response) int16 {
		return resp.(*kmsg.AlterReplicaLogDirsResponse).Topics[0].Partitions[0].ErrorCode
	}
}

package api

import (
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetFetch (key 9), versions 1 to 10: how far groups have read. From version 2 a null list of topics asks for all; from 7 the client may insist on offsets
// for which no transaction is under way (KIP-447); from 8 there are many groups in a request (KIP-709); from 10 topics are named by id.
func (k *call) offsetFetch() {
	req := k.req.Body.(*kmsg.OffsetFetchRequest)
	groups := fetchedGroups(req)
	answers := make([]kmsg.OffsetFetchResponseGroup, len(groups))
	left := len(groups)
	if left == 0 {
		k.reply(fetchAnswer(req, answers))
		return
	}
	for i := range groups {
		k.fetchGroup(req, &groups[i], func(g kmsg.OffsetFetchResponseGroup) {
			answers[i] = g
			if left--; left == 0 {
				k.reply(fetchAnswer(req, answers))
			}
		})
	}
}

// fetchedGroups are the groups of a request of any version.
func fetchedGroups(req *kmsg.OffsetFetchRequest) []kmsg.OffsetFetchRequestGroup {
	if req.Version >= 8 {
		return req.Groups
	}
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = req.Group
	if req.Topics != nil {
		g.Topics = make([]kmsg.OffsetFetchRequestGroupTopic, 0, len(req.Topics))
	}
	for i := range req.Topics {
		g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: req.Topics[i].Topic, Partitions: req.Topics[i].Partitions})
	}
	return []kmsg.OffsetFetchRequestGroup{g}
}

func (k *call) fetchGroup(req *kmsg.OffsetFetchRequest, asked *kmsg.OffsetFetchRequestGroup, done func(kmsg.OffsetFetchResponseGroup)) {
	byID := req.Version >= 10
	if !byID {
		k.identify(asked.Topics)
	}
	known, unknown := asked, []kmsg.OffsetFetchResponseGroupTopic(nil)
	if byID && asked.Topics != nil {
		known, unknown = k.splitFetch(asked)
	}
	k.server.Groups.FetchOffsets(known, req.RequireStable, func(told *kmsg.OffsetFetchResponseGroup, err error) {
		switch {
		case err != nil:
			done(fetchError(req.Version, asked, err))
		case byID && asked.Topics == nil:
			k.addTopicIDs(told)
			done(*told)
		default:
			told.Topics = append(told.Topics, unknown...)
			done(*told)
		}
	})
}

// identify gives topics their ids: what was committed for a topic before them that had the name is not theirs.
func (k *call) identify(topics []kmsg.OffsetFetchRequestGroupTopic) {
	for i := range topics {
		if topic := k.server.topicByName(topics[i].Topic); topic != nil {
			topics[i].TopicID = topic.ID
		}
	}
}

// splitFetch gives topics their names, and answers for the ids that are unknown.
func (k *call) splitFetch(asked *kmsg.OffsetFetchRequestGroup) (*kmsg.OffsetFetchRequestGroup, []kmsg.OffsetFetchResponseGroupTopic) {
	known := *asked
	known.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
	var unknown []kmsg.OffsetFetchResponseGroupTopic
	for _, t := range asked.Topics {
		if topic := k.server.topicByID(t.TopicID); topic != nil {
			t.Topic = topic.Name
			known.Topics = append(known.Topics, t)
			continue
		}
		told := kmsg.NewOffsetFetchResponseGroupTopic()
		told.TopicID = t.TopicID
		told.Partitions = refusedOffsets(t.Partitions, kerr.UnknownTopicID)
		unknown = append(unknown, told)
	}
	return &known, unknown
}

func refusedOffsets(partitions []int32, err error) (told []kmsg.OffsetFetchResponseGroupTopicPartition) {
	for _, index := range partitions {
		p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode = index, -1, -1, kmsg.StringPtr(""), wire.Code(err)
		told = append(told, p)
	}
	return told
}

// addTopicIDs leaves out the topics that are gone: without an id they cannot be named.
func (k *call) addTopicIDs(told *kmsg.OffsetFetchResponseGroup) {
	named := told.Topics[:0]
	for _, t := range told.Topics {
		if topic := k.server.topicByName(t.Topic); topic != nil {
			t.TopicID = topic.ID
			named = append(named, t)
		}
	}
	told.Topics = named
}

// fetchError is a group's error; in version 1 only partitions have errors.
func fetchError(version int16, asked *kmsg.OffsetFetchRequestGroup, err error) kmsg.OffsetFetchResponseGroup {
	told := kmsg.NewOffsetFetchResponseGroup()
	told.Group = asked.Group
	if version >= 2 {
		told.ErrorCode = wire.Code(err)
		return told
	}
	for _, t := range asked.Topics {
		told.Topics = append(told.Topics, kmsg.OffsetFetchResponseGroupTopic{Topic: t.Topic, Partitions: refusedOffsets(t.Partitions, err)})
	}
	return told
}

// fetchAnswer is the answer in the form of the request's version.
func fetchAnswer(req *kmsg.OffsetFetchRequest, groups []kmsg.OffsetFetchResponseGroup) *kmsg.OffsetFetchResponse {
	resp := kmsg.NewPtrOffsetFetchResponse()
	if req.Version >= 8 {
		resp.Groups = groups
		return resp
	}
	resp.ErrorCode = groups[0].ErrorCode
	for _, t := range groups[0].Topics {
		told := kmsg.NewOffsetFetchResponseTopic()
		told.Topic = t.Topic
		for _, p := range t.Partitions {
			told.Partitions = append(told.Partitions, kmsg.OffsetFetchResponseTopicPartition{
				Partition: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata, ErrorCode: p.ErrorCode,
			})
		}
		resp.Topics = append(resp.Topics, told)
	}
	return resp
}

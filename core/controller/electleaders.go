package controller

import (
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/metadata"
)

// The election types of the protocol.
const (
	preferredElection int8 = 0
	uncleanElection   int8 = 1
)

// ElectLeaders elects the preferred leader of partitions, or, uncleanly if need be, any leader for
// those that have none (KIP-183, KIP-460). Without topics it does so for all partitions.
func (c *Controller) ElectLeaders(req *kmsg.ElectLeadersRequest, done func(*kmsg.ElectLeadersResponse)) {
	if !c.Active() {
		done(electLeadersError(kerr.NotController))
		return
	}
	if req.ElectionType != preferredElection && req.ElectionType != uncleanElection {
		answer(c, nil, electionsRefused(req, kerr.InvalidRequest), electLeadersError, done)
		return
	}
	resp, records := c.electLeaders(req)
	answerInParts(c, records, resp, electLeadersError, done)
}

func electLeadersError(err *kerr.Error) *kmsg.ElectLeadersResponse {
	resp := kmsg.NewPtrElectLeadersResponse()
	resp.ErrorCode = err.Code
	return resp
}

// electionsRefused has the error for each partition that is named, too.
func electionsRefused(req *kmsg.ElectLeadersRequest, err *kerr.Error) *kmsg.ElectLeadersResponse {
	resp := electLeadersError(err)
	for _, t := range req.Topics {
		rt := kmsg.NewElectLeadersResponseTopic()
		rt.Topic = t.Topic
		for _, index := range t.Partitions {
			rt.Partitions = append(rt.Partitions, electionResult(index, err))
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func (c *Controller) electLeaders(req *kmsg.ElectLeadersRequest) (*kmsg.ElectLeadersResponse, []metadata.Record) {
	var records []metadata.Record
	resp := kmsg.NewPtrElectLeadersResponse()
	topics, all := req.Topics, req.Topics == nil
	if all {
		topics = c.allPartitions()
	}
	for _, t := range topics {
		rt := kmsg.NewElectLeadersResponseTopic()
		rt.Topic = t.Topic
		for _, index := range t.Partitions {
			r, err := c.electLeader(t.Topic, index, req.ElectionType)
			if r != nil {
				records = append(records, r)
			}
			if !all || err != kerr.ElectionNotNeeded {
				rt.Partitions = append(rt.Partitions, electionResult(index, err))
			}
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, records
}

func (c *Controller) allPartitions() []kmsg.ElectLeadersRequestTopic {
	var out []kmsg.ElectLeadersRequestTopic
	c.img.Topics(func(t *metadata.Topic) bool {
		rt := kmsg.NewElectLeadersRequestTopic()
		rt.Topic = t.Name
		for _, p := range t.Partitions {
			rt.Partitions = append(rt.Partitions, p.Index)
		}
		out = append(out, rt)
		return true
	})
	return out
}

func electionResult(index int32, err *kerr.Error) kmsg.ElectLeadersResponseTopicPartition {
	rp := kmsg.NewElectLeadersResponseTopicPartition()
	rp.Partition = index
	if err != nil {
		rp.ErrorCode, rp.ErrorMessage = err.Code, &err.Description
	}
	return rp
}

func (c *Controller) electLeader(topic string, index int32, kind int8) (metadata.Record, *kerr.Error) {
	t := c.img.Topic(topic)
	if t == nil || t.Partition(index) == nil {
		return nil, kerr.UnknownTopicOrPartition
	}
	p := t.Partition(index)
	b := c.changeOf(p)
	b.election = electPreferred
	needed, unavailable := p.Leader != p.Replicas[0], kerr.PreferredLeaderNotAvailable
	if kind == uncleanElection {
		b.election = electUnclean
		needed, unavailable = p.Leader == metadata.NoLeader, kerr.EligibleLeadersNotAvailable
	}
	if !needed {
		return nil, kerr.ElectionNotNeeded
	}
	if r := b.build(); r != nil {
		return r, nil
	}
	return nil, unavailable
}

// maxElectionsPerRebalance bounds one batch of returning leaders.
const maxElectionsPerRebalance = 1000

// scheduleRebalance arms the return of leaders to their preferred replicas
// (auto.leader.rebalance.enable).
func (c *Controller) scheduleRebalance() {
	interval := c.cfg.LeaderRebalanceInterval
	if x := c.env.Buggify; interval > 0 && x.Fires(buggify.RebalanceNow) {
		interval = x.Delay(buggify.RebalanceNow, min(interval, time.Second))
	}
	switch {
	case interval <= 0:
	case c.rebalance == nil:
		c.rebalance = c.env.Loop.AfterFunc(interval, c.onRebalance)
	default:
		c.rebalance.Reset(interval)
	}
}

// onRebalance elects the preferred leader wherever another leads and it is eligible, and a leader
// where there is none and one may be had.
func (c *Controller) onRebalance() {
	if !c.Active() {
		return
	}
	c.electWhere(func(p *metadata.Partition) bool { return p.Leader != p.Replicas[0] }, maxElectionsPerRebalance)
	if c.Active() {
		c.scheduleRebalance()
	}
}

// electWhere writes the elections of the partitions that want one, up to most, the preferred leader's where there
// is a leader already.
func (c *Controller) electWhere(wanted func(*metadata.Partition) bool, most int) {
	var records []metadata.Record
	c.img.Partitions(func(p *metadata.Partition) bool {
		if wanted(p) {
			b := c.changeOf(p)
			if p.Leader != metadata.NoLeader {
				b.election = electPreferred
			}
			if r := b.build(); r != nil {
				records = append(records, r)
			}
		}
		return len(records) < most
	})
	if len(records) > 0 {
		c.writeInParts(records, func(error) {})
	}
}

package replica

import (
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// alterRetry is the pause after a request failed as a whole, as in Kafka.
const alterRetry = 50 * time.Millisecond

// alterQueue sends the pending ISR changes: all that came up in a turn in one AlterPartition request, one
// request at a time. A change is sent again, with the partition epoch it was made on, until it is answered
// or superseded: if the reply of a success was lost, the retry is refused, or answered like the first, and the metadata
// log brings what was committed (KAFKA-14144).
type alterQueue struct {
	controllerQueue // of those with a pending change that is not in flight
	send            AlterPartitionSender
}

// alterItem is a change as sent.
type alterItem struct {
	p      *Partition
	change *isrChange
}

// current reports whether the change is still the pending one. It is not after an election, a newer
// partition epoch, or the partition's removal; then what the controller says of it is of no interest.
func (i alterItem) current() bool { return i.p.lead != nil && i.p.lead.isr.pending == i.change }

func (q *alterQueue) submit(p *Partition) {
	q.queue(p)
	q.schedule()
}

func (q *alterQueue) flush() {
	if !q.begin() {
		return
	}
	var sent []alterItem
	for _, p := range q.waiting {
		if p.lead != nil && p.lead.isr.pending != nil {
			sent = append(sent, alterItem{p, p.lead.isr.pending})
		}
	}
	q.waiting = q.waiting[:0]
	if len(sent) == 0 {
		return
	}
	q.inFlight = true
	q.send(q.request(sent), func(resp *kmsg.AlterPartitionResponse, err error) {
		switch x := q.m.env.Buggify; {
		case x.Fires(buggify.AlterLost):
			q.onResponse(sent, nil, kerr.RequestTimedOut)
		case x.Fires(buggify.AlterLate):
			q.m.loop.AfterFunc(x.Delay(buggify.AlterLate, time.Second), func() { q.onResponse(sent, resp, err) })
		default:
			q.onResponse(sent, resp, err)
		}
	})
}

func (q *alterQueue) request(items []alterItem) *kmsg.AlterPartitionRequest {
	req := kmsg.NewPtrAlterPartitionRequest()
	req.Version = 3
	req.BrokerID, req.BrokerEpoch = q.m.cfg.NodeID, q.m.brokerEpoch
	for _, item := range items {
		if n := len(req.Topics); n == 0 || req.Topics[n-1].TopicID != item.p.topicID {
			topic := kmsg.NewAlterPartitionRequestTopic()
			topic.TopicID = item.p.topicID
			req.Topics = append(req.Topics, topic)
		}
		topic := &req.Topics[len(req.Topics)-1]
		topic.Partitions = append(topic.Partitions, item.encode())
	}
	return req
}

func (i alterItem) encode() kmsg.AlterPartitionRequestTopicPartition {
	p := kmsg.NewAlterPartitionRequestTopicPartition()
	p.Partition, p.LeaderEpoch, p.PartitionEpoch = i.p.id.Index, i.change.leaderEpoch, i.change.partitionEpoch
	for _, member := range i.change.members {
		s := kmsg.NewAlterPartitionRequestTopicPartitionNewEpochISR()
		s.BrokerID, s.BrokerEpoch = member.id, member.epoch
		p.NewEpochISR = append(p.NewEpochISR, s)
	}
	return p
}

func (q *alterQueue) onResponse(sent []alterItem, resp *kmsg.AlterPartitionResponse, err error) {
	q.inFlight = false
	if q.stopped {
		return
	}
	if err == nil && resp.ErrorCode != 0 {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	again := false
	for _, item := range sent {
		if item.current() && (err != nil || !item.onAnswer(find(resp, item.p))) {
			q.queue(item.p)
			again = true
		}
	}
	if again {
		q.retryLater()
	} else {
		q.schedule()
	}
}

// find returns the answer for p; nil if the response has none.
func find(resp *kmsg.AlterPartitionResponse, p *Partition) *kmsg.AlterPartitionResponseTopicPartition {
	for t := range resp.Topics {
		if resp.Topics[t].TopidID != p.topicID {
			continue
		}
		for i := range resp.Topics[t].Partitions {
			if a := &resp.Topics[t].Partitions[i]; a.Partition == p.id.Index {
				return a
			}
		}
	}
	return nil
}

// onAnswer takes the controller's verdict on the pending change. False: send it again.
func (i alterItem) onAnswer(a *kmsg.AlterPartitionResponseTopicPartition) bool {
	if a == nil {
		return false
	}
	if a.ErrorCode != 0 {
		return i.onRefusal(kerr.TypedErrorForCode(a.ErrorCode))
	}
	if a.LeaderEpoch != i.p.leaderEpoch || a.PartitionEpoch < i.p.partitionEpoch {
		return true // not of our epoch: metadata is on its way
	}
	i.p.partitionEpoch = a.PartitionEpoch
	i.p.commitISR(a.ISR)
	return true
}

// onRefusal handles an error of one partition. Where it is not known whether the change was applied, by an earlier
// try perhaps, it stays pending: its expansion must be respected until the metadata log tells.
func (i alterItem) onRefusal(err *kerr.Error) bool {
	i.p.emit(event.IsrRejected, -1, int64(i.change.partitionEpoch), err.Message)
	switch err {
	case kerr.OperationNotAttempted, kerr.IneligibleReplica:
		// The controller says that our partition epoch is current and that it did not apply the change; then no
		// controller ever did or will.
		i.p.lead.isr.revert()
		i.p.onISRChanged()
		return true
	case kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.FencedLeaderEpoch, kerr.InvalidUpdateVersion,
		kerr.InvalidRequest, kerr.NewLeaderElected:
		return true // wait for metadata
	}
	return false
}

package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (n *node) fill()     { n.disk.SetCapacity(max(n.disk.Used(), 1)) }
func (n *node) makeRoom() { n.disk.SetCapacity(0) }

// storageError produces until the answer says that there is no space, and returns how many were acknowledged. The first ones may be on their way when
// the disk is found full, and time out.
func (x *client) untilStorageError(topic string, id [16]byte) (acked int) {
	x.Helper()
	x.until("the broker takes no more", func() bool {
		switch code := x.produce(13, -1, topic, id, plain(fmt.Sprint("lost? ", acked))).ErrorCode; code {
		case 0:
			acked++
		case kerr.KafkaStorageError.Code:
			return true
		case kerr.RequestTimedOut.Code:
		default:
			x.Errorf("produce: %v", kerr.ErrorForCode(code))
		}
		return false
	})
	return acked
}

// A full disk makes the broker read-only; it goes on by itself, and what it acknowledged is there.
func TestAFullDiskMakesABrokerReadOnlyForAWhile(t *testing.T) {
	for _, more := range []string{"flush.messages=1", "flush.ms=1000"} {
		c := start(t, 1)
		x, n := c.client(), c.nodes[0]
		id := x.topic("t", 1, more)
		x.code("before", x.produce(13, -1, "t", id, plain("a", "b")).ErrorCode, nil)
		n.fill()
		acked := 2 + x.untilStorageError("t", id)

		fetched := ask[*kmsg.FetchResponse](x, fetchRequest(13, "t", id, 0, 0))
		if p := fetched.Topics[0].Partitions[0]; p.ErrorCode != 0 || len(p.RecordBatches) == 0 {
			t.Errorf("fetch from a full disk: %v", kerr.ErrorForCode(p.ErrorCode))
		}
		create := kmsg.NewPtrCreateTopicsRequest()
		create.Version, create.Topics = 7, []kmsg.CreateTopicsRequestTopic{{Topic: "u", NumPartitions: 1, ReplicationFactor: 1}}
		x.code("create", ask[*kmsg.CreateTopicsResponse](x, create).Topics[0].ErrorCode, kerr.KafkaStorageError)
		x.wait(30 * time.Second)
		if !n.broker.Ready() {
			t.Fatal("the broker gave up")
		}
		n.makeRoom()
		x.until("the broker takes records again", func() bool { return x.produce(13, -1, "t", id, plain("z")).ErrorCode == 0 })
		x.code("create", ask[*kmsg.CreateTopicsResponse](x, create).Topics[0].ErrorCode, nil)
		if end := n.broker.Replicas().Partition(event.Partition{Topic: "t"}).Log().LogEndOffset(); end < int64(acked+1) {
			t.Errorf("%d records, of %d that were acknowledged", end, acked+1)
		}
		x.checkAcked("t", id, acked)
	}
}

// checkAcked reads all records and finds those that untilStorageError counted.
func (x *client) checkAcked(topic string, id [16]byte, acked int) {
	x.Helper()
	all := string(ask[*kmsg.FetchResponse](x, fetchRequest(13, topic, id, 0, 0)).Topics[0].Partitions[0].RecordBatches)
	for i := range acked - 2 {
		if !strings.Contains(all, fmt.Sprint("lost? ", i)) {
			x.Errorf("record %d was acknowledged and is gone", i)
		}
	}
}

// With one disk of three full, its partitions' records wait, the quorum has another leader, and administration goes on.
func TestAFullDiskStopsNobodyElse(t *testing.T) {
	c := start(t, 3)
	x := c.dial(c.active().id, clientPort)
	full := c.active()
	x.topicOf("t", 3, 3)
	full.fill()
	other := c.dial(full.id%3+1, clientPort)
	x.until("another controller", func() bool { return full.broker.Controller().Active() == false && c.active() != nil })
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 10_000
	req.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "u", NumPartitions: 1, ReplicationFactor: 1}}
	other.code("create", ask[*kmsg.CreateTopicsResponse](other, req).Topics[0].ErrorCode, nil)
	full.makeRoom()
	x.until("the ISR is whole again", func() bool {
		for _, p := range full.broker.Image().Topic("t").Partitions {
			if len(p.ISR) != 3 {
				return false
			}
		}
		return full.broker.Image().Topic("u") != nil
	})
}

// Old segments go although a write waits behind which they would be deleted: that makes the room it waits for.
func TestRetentionMakesRoomOnAFullDisk(t *testing.T) {
	c := start(t, 1, "log.retention.check.interval.ms=1000")
	x, n := c.client(), c.nodes[0]
	id := x.topic("t", 1, "segment.bytes=2048", "retention.ms=600000")
	for range 10 {
		x.code("produce", x.produce(13, -1, "t", id, plain(strings.Repeat("x", 1000))).ErrorCode, nil)
	}
	n.fill()
	x.untilStorageError("t", id)
	x.wait(601 * time.Second)
	x.until("the broker takes records again", func() bool { return x.produce(13, -1, "t", id, plain("z")).ErrorCode == 0 })
}

func TestAFullDiskDoesNotKeepABrokerFromStopping(t *testing.T) {
	c := start(t, 1)
	x, n := c.client(), c.nodes[0]
	id := x.topic("t", 1)
	x.code("produce", x.produce(13, -1, "t", id, plain("a")).ErrorCode, nil)
	n.fill()
	x.untilStorageError("t", id)
	stopped := false
	n.loop.After(0, func() { n.broker.Shutdown(func(error) { stopped = true }) })
	x.until("it stops", func() bool { return stopped })
}

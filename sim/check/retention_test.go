package check

import (
	"testing"

	"github.com/lockstep/lockstep/core/event"
)

// started has broker 1's log start at an offset.
func (f *fake) started(id int32, offset int64) {
	f.logs[id][orders].start = offset
	f.emit(id, event.Event{Kind: event.LogStartMoved, Partition: orders, Peer: -1, Epoch: -1, Offset: offset})
	f.turn()
}

func TestRecordsThatRetentionKeepsMayNotGo(t *testing.T) {
	f := cluster(t, Topic{RF: 3, MinISR: 2, RetentionMs: 1000, RetentionBytes: 80})
	f.started(1, 2)
	f.fires("I14", "P1", "record orders-2@1 (committed in epoch 0) was dropped by broker 1", "started its log at 2")
}

func TestOldRecordsMayGo(t *testing.T) {
	f := cluster(t, Topic{RF: 3, MinISR: 2, RetentionMs: 1000})
	f.ahead = 5000
	f.started(1, 2)
	f.ahead = 0 // the others need not be of its opinion
	f.started(2, 2)
	f.silent()
}

func TestRecordsBeyondTheSizeMayGo(t *testing.T) {
	f := cluster(t, Topic{RF: 3, MinISR: 2, RetentionBytes: 60})
	f.started(1, 2)
	f.silent()
	f.started(1, 3)
	f.fires("I14", "P1", "record orders-2@2", "was dropped by broker 1")
}

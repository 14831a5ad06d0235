package check

import (
	"fmt"
	"testing"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/storage"
)

var firstEpoch = storage.EpochEntry{Epoch: 0, Start: 0}

func TestRecoveryOfEverythingIsSilent(t *testing.T) {
	f := cluster(t, safe)
	f.crash(2, false, 3)
	f.restart(2, 3, firstEpoch)
	f.crash(2, true, 2)
	f.restart(2, 2, firstEpoch)
	f.silent()
}

func TestKillThatLosesWrittenRecordsFires(t *testing.T) {
	f := cluster(t, safe)
	f.crash(2, false, 2)
	f.restart(2, 2, firstEpoch)
	f.fires("I13", "P8", "opened orders-2 with its end at 2", "below 3 was written before it was killed")
}

func TestPowerLossThatLosesSyncedRecordsFires(t *testing.T) {
	f := cluster(t, safe)
	f.crash(2, true, 2)
	f.cutFile(2, 1)
	f.restart(2, 1, firstEpoch)
	f.fires("I13", "P8", "below 2 was synced before it lost its power")
}

func TestUnsyncedAppendWithFlushMessagesFires(t *testing.T) {
	f := cluster(t, Topic{RF: 3, MinISR: 2, FlushEveryAppend: true})
	f.crash(2, true, 2)
	f.fires("I13", "P2", "orders-2@2 was answered as written by broker 2")
}

// While a cleaner puts files in the place of others nobody can tell what is durable by their names: the next recovery shows it.
func TestUnsyncedAppendToACompactedTopicFiresAtTheRecovery(t *testing.T) {
	for _, lost := range []bool{false, true} {
		f := cluster(t, Topic{RF: 3, MinISR: 2, FlushEveryAppend: true, Compact: true})
		f.crash(2, true, 2)
		f.silent()
		if !lost {
			f.restart(2, 3, firstEpoch)
			f.silent()
			continue
		}
		f.cutFile(2, 2)
		f.restart(2, 2, firstEpoch)
		f.fires("I13", "P8", "below 3 was written with flush.messages=1 before it lost its power")
	}
}

// So it is while a log takes the place of one in another log directory.
func TestUnsyncedAppendToALogThatMovesFiresAtTheRecovery(t *testing.T) {
	for _, lost := range []bool{false, true} {
		f := cluster(t, Topic{RF: 3, MinISR: 2, FlushEveryAppend: true})
		f.logs[2][orders].moving = true
		f.crash(2, true, 0)
		f.silent()
		if !lost {
			f.disks[2] = f.disks[3]
			f.restart(2, 3, firstEpoch)
			f.silent()
			continue
		}
		f.restart(2, 0)
		f.fires("I13", "P8", "below 3 was written with flush.messages=1 before it lost its power")
	}
}

// Whoever makes a log may die before it has its topic's id. It is none yet, and may lie beside one in another log directory.
func TestDirectoryOfNoTopicIsNoLog(t *testing.T) {
	f := cluster(t, safe)
	f.crash(2, false, 3)
	f.s.Restarted(2, f.now)
	f.emit(2, event.Event{Kind: event.NodeStarting})
	for _, k := range []event.Kind{event.Recovered, event.ReplicaRemoved} {
		f.s.Observe(&Observation{Seq: f.seq, T: f.now, Node: 2, Event: &event.Event{Kind: k, Partition: orders, Peer: -1, Epoch: -1}})
	}
	f.silent()
	f.restart(2, 2, firstEpoch)
	f.fires("I13", "P8", "below 3 was written before it was killed")
}

func TestRecoveryOfStrangeRecordsFires(t *testing.T) {
	f := cluster(t, safe)
	f.crash(2, false, 3)
	name := fmt.Sprintf("%s/%020d.log", orders, 0)
	f.disks[2][name] = append(f.disks[2][name], write(0, 3, "from nowhere")...)
	f.restart(2, 4, firstEpoch)
	f.fires("I13", "P8", "recovered record orders-2@3 of epoch 0, which its log did not have")
}

func TestTruncatedRecordsMayComeBackAfterACrash(t *testing.T) {
	f := cluster(t, safe)
	f.append(write(0, 3, "tail"), 1)
	f.elect(2, 1, 1, 2, 3)
	name := fmt.Sprintf("%s/%020d.log", orders, 0)
	before := f.disks[1][name]
	f.truncate(1, 3)
	f.crash(1, false, 3)
	f.disks[1][name] = before
	f.restart(1, 4, firstEpoch)
	f.silent()
}

func TestBadCRCFires(t *testing.T) {
	f := cluster(t, safe)
	f.crash(2, false, 3)
	b := f.disks[2][fmt.Sprintf("%s/%020d.log", orders, 0)]
	b[len(b)-1] ^= 1
	f.restart(2, 3, firstEpoch)
	f.fires("I13", "P8", "has a batch with a bad CRC")
}

func TestFilesThatDifferFromTheLogFireAtTheEnd(t *testing.T) {
	f := cluster(t, safe)
	f.cutFile(3, 2)
	f.s.violations = f.s.AtEnd(f.now)
	f.fires("I13", "P8", "record orders-2@2 is in the log of broker 3, but not in its files")
}

func TestFilesThatHaveNotFollowedATruncationAreNotJudged(t *testing.T) {
	f := cluster(t, safe)
	f.disks[3][fmt.Sprintf("%s/%020d.log", orders, 0)] = write(1, 0, "another")
	f.logs[3][orders].truncating = true
	f.s.violations = f.s.AtEnd(f.now)
	f.silent()
	f.logs[3][orders].truncating = false
	f.s.violations = f.s.AtEnd(f.now)
	f.fires("I13", "P8", "the files of orders-2 on broker 3 have another record at 0 than its log")
}

func TestRestartStormKeepsWhatTheFirstCrashRequired(t *testing.T) {
	f := cluster(t, safe)
	f.crash(2, false, 3)
	f.s.Restarted(2, f.now)
	f.emit(2, event.Event{Kind: event.NodeStarting})
	f.s.Crashed(2, false, f.now)
	f.cutFile(2, 1)
	f.restart(2, 1, firstEpoch)
	f.fires("I13", "P8", "below 3 was written")
}

func TestFilesThatBeginAboveTheLogStartFire(t *testing.T) { // M37
	f := cluster(t, safe)
	delete(f.disks[1], orders.String()+"/00000000000000000000.log")
	f.disks[1][orders.String()+"/00000000000000000003.log"] = nil
	f.logs[1][orders].start = 2
	f.s.checkFirstSegment(f.s.find(1, f.s.intern(orders)), f.logs[1][orders])
	f.fires("I14", "P3", "starts at 2, but its first segment begins at 3")
}

package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lockstep/lockstep/core/controller"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/scheduler"
)

var orders = event.Partition{Topic: "orders", Index: 2}

var ordersID = [16]byte{7}

// fake is a cluster of three nodes that says what it is told to say.
type fake struct {
	t      *testing.T
	s      *State
	disks  map[int32]map[string][]byte
	synced map[int32]map[string][]byte // what Durable shows; nil: the disk
	images map[int32]*metadata.Image
	writer map[int32]*metadata.Image
	logs   map[int32]map[event.Partition]*fakeLog
	now    scheduler.Instant
	seq    uint64
	ahead  int64    // of the wall clocks, in ms
	voters []int32  // whom nodes count, if they say so
	votes  bool     // whoever becomes leader of the quorum has all votes on the disks
	elr    bool     // eligible leader replicas are kept
	topic  [16]byte // the id of orders
}

// fakeLog is an open log.
type fakeLog struct {
	start, hw, end int64
	epochs         []storage.EpochEntry
	producers      []storage.ProducerState
	stable         int64 // the last stable offset; negative: the high watermark

	truncating, moving bool
}

func (l *fakeLog) TopicID() [16]byte                  { return [16]byte{} }
func (l *fakeLog) LogStartOffset() int64              { return l.start }
func (l *fakeLog) HighWatermark() int64               { return l.hw }
func (l *fakeLog) LogEndOffset() int64                { return l.end }
func (l *fakeLog) Epochs() []storage.EpochEntry       { return l.epochs }
func (l *fakeLog) Producers() []storage.ProducerState { return l.producers }

func newFake(t *testing.T, topic Topic) *fake {
	f := &fake{
		t: t, disks: map[int32]map[string][]byte{}, synced: map[int32]map[string][]byte{}, images: map[int32]*metadata.Image{},
		writer: map[int32]*metadata.Image{}, logs: map[int32]map[event.Partition]*fakeLog{}, topic: ordersID,
	}
	f.s = NewState(f, Promises{Default: topic, Voters: []int32{1, 2, 3}})
	for _, id := range f.Nodes() {
		f.disks[id], f.logs[id] = map[string][]byte{}, map[event.Partition]*fakeLog{}
		f.emit(id, event.Event{Kind: event.NodeStarting})
	}
	return f
}

func (f *fake) Voters(int32) []int32                            { return f.voters }
func (f *fake) UnixMilli(int32) int64                           { return int64(f.now)/1e6 + f.ahead }
func (f *fake) Nodes() []int32                                  { return []int32{1, 2, 3} }
func (f *fake) Image(node int32) *metadata.Image                { return f.images[node] }
func (f *fake) ControllerImage(node int32) *metadata.Image      { return f.writer[node] }
func (f *fake) File(node int32, _ [16]byte, name string) []byte { return f.disks[node][name] }
func (f *fake) Replica(node int32, p event.Partition) Replica {
	if l := f.logs[node][p]; l != nil {
		return l
	}
	return nil
}

func (f *fake) Durable(node int32, _ [16]byte, name string) []byte {
	if f.synced[node] != nil {
		return f.synced[node][name]
	}
	return f.disks[node][name]
}

func (f *fake) Files(node int32, _ [16]byte, dir string) (names []string) {
	for name := range f.disks[node] {
		names = append(names, name)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, dir) })
	slices.Sort(names)
	return names
}

// emit observes one event.
func (f *fake) emit(node int32, e event.Event) {
	f.seq++
	f.now += 1e6
	if e.Partition == orders && e.TopicID == [16]byte{} {
		e.TopicID = f.topic
	}
	f.s.Observe(&Observation{Seq: f.seq, T: f.now, Node: node, Event: &e})
}

// open makes a new, empty log on a node.
func (f *fake) open(nodes ...int32) {
	for _, id := range nodes {
		f.logs[id][orders] = &fakeLog{stable: none}
		f.emit(id, event.Event{Kind: event.Recovered, Partition: orders, Epoch: -1})
	}
}

// register commits a registration of the partition, which every node applies.
func (f *fake) register(leader, leaderEpoch, partitionEpoch int32, isr ...int32) {
	img := f.image(leader, leaderEpoch, partitionEpoch, isr...)
	for _, id := range f.Nodes() {
		f.images[id] = img
		f.emit(id, event.Event{Kind: event.MetadataApplied, Epoch: -1, Peer: -1, Offset: img.Offset(), Len: int64(img.Hash())})
	}
	f.turn()
}

func (f *fake) image(leader, leaderEpoch, partitionEpoch int32, isr ...int32) *metadata.Image {
	img := metadata.NewImage()
	for _, id := range f.Nodes() {
		f.must(img.Apply(&metadata.RegisterBrokerRecord{BrokerID: id, BrokerEpoch: int64(id)}))
	}
	if f.elr {
		f.must(img.Apply(&metadata.FeatureLevelRecord{Name: controller.FeatureELR, FeatureLevel: 1}))
	}
	f.must(img.Apply(&metadata.TopicRecord{Name: orders.Topic, TopicID: f.topic}))
	for index := range orders.Index + 1 {
		f.must(img.Apply(&metadata.PartitionRecord{
			PartitionID: index, TopicID: f.topic, Replicas: []int32{1, 2, 3}, Isr: isr,
			Leader: leader, LeaderEpoch: leaderEpoch, PartitionEpoch: partitionEpoch,
		}))
	}
	img.SetOffset(int64(f.seq)+10, 1)
	return img
}

func (f *fake) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// elect registers a leader and has it and its followers take their roles.
func (f *fake) elect(leader, epoch int32, isr ...int32) {
	f.register(leader, epoch, epoch, isr...)
	f.become(leader, epoch)
	for _, id := range f.Nodes() {
		if id != leader && f.logs[id][orders] != nil {
			f.emit(id, event.Event{Kind: event.BecameFollower, Partition: orders, Peer: leader, Epoch: epoch, Offset: -1})
		}
	}
	f.turn()
}

func (f *fake) become(leader, epoch int32) {
	log := f.logs[leader][orders]
	if n := len(log.epochs); n > 0 && log.epochs[n-1].Start == log.end {
		log.epochs = log.epochs[:n-1]
	}
	log.epochs = append(log.epochs, storage.EpochEntry{Epoch: epoch, Start: log.end})
	f.emit(leader, event.Event{Kind: event.BecameLeader, Partition: orders, Peer: -1, Epoch: epoch, Offset: log.end})
}

// write is a batch of one record, whose value says what it is.
func write(epoch int32, base int64, value string) record.Batch {
	return produce(epoch, base, -1, -1, -1, []byte(value))
}

func produce(epoch int32, base, producer int64, producerEpoch int16, sequence int32, values ...[]byte) record.Batch {
	b := record.NewBuilder(nil, record.BatchOptions{
		BaseOffset: base, LeaderEpoch: epoch, ProducerID: producer, ProducerEpoch: producerEpoch, BaseSequence: sequence, BaseTimestamp: 1,
	})
	for _, v := range values {
		b.Append(1, nil, v)
	}
	return b.Build()
}

// append puts batches into logs, files and events.
func (f *fake) append(b record.Batch, nodes ...int32) {
	for _, id := range nodes {
		f.appendTo(id, orders, b)
	}
}

func (f *fake) appendTo(id int32, p event.Partition, b record.Batch) {
	log := f.logs[id][p]
	name := fmt.Sprintf("%s/%020d.log", p, 0)
	f.disks[id][name] = append(f.disks[id][name], b...)
	if n := len(log.epochs); n == 0 || log.epochs[n-1].Epoch != b.LeaderEpoch() {
		log.epochs = append(log.epochs, storage.EpochEntry{Epoch: b.LeaderEpoch(), Start: b.BaseOffset()})
	}
	log.end = b.NextOffset()
	f.emit(id, event.Event{Kind: event.Appended, Partition: p, Peer: -1, Epoch: b.LeaderEpoch(), Offset: b.BaseOffset(), Len: b.NextOffset() - b.BaseOffset(), Batch: b})
	f.emit(id, event.Event{Kind: event.Written, Partition: p, Peer: -1, Epoch: -1, Offset: b.NextOffset()})
}

// commit has the leader move the high watermark, and the others follow.
func (f *fake) commit(epoch int32, hw int64, nodes ...int32) {
	for _, id := range nodes {
		f.logs[id][orders].hw = hw
		f.emit(id, event.Event{Kind: event.HighWatermark, Partition: orders, Peer: -1, Epoch: epoch, Offset: hw})
		f.turn()
	}
}

// truncate cuts the log and the file of a node.
func (f *fake) truncate(id int32, offset int64) {
	log := f.logs[id][orders]
	log.end, log.hw = offset, min(log.hw, offset)
	for n := len(log.epochs); n > 0 && log.epochs[n-1].Start >= offset; n-- {
		log.epochs = log.epochs[:n-1]
	}
	f.cutFile(id, offset)
	f.emit(id, event.Event{Kind: event.Truncated, Partition: orders, Peer: -1, Epoch: -1, Offset: offset})
	f.turn()
}

func (f *fake) cutFile(id int32, offset int64) {
	name := fmt.Sprintf("%s/%020d.log", orders, 0)
	kept := 0
	for rest := f.disks[id][name]; len(rest) > 0; {
		b, next, err := record.Parse(rest)
		f.must(err)
		if b.NextOffset() > offset {
			break
		}
		kept += len(b)
		rest = next
	}
	f.disks[id][name] = slices.Clone(f.disks[id][name][:kept])
}

// crash kills a node; with its power gone it keeps only what lies below keep.
func (f *fake) crash(id int32, powerLoss bool, keep int64) {
	if powerLoss {
		whole := f.disks[id]
		f.disks[id] = map[string][]byte{}
		for name, b := range whole {
			f.disks[id][name] = b
		}
		f.cutFile(id, keep)
		f.synced[id], f.disks[id] = f.disks[id], whole
	}
	f.s.Crashed(id, powerLoss, f.now)
	f.cutFile(id, keep)
	delete(f.synced, id)
	delete(f.logs, id)
	f.logs[id] = map[event.Partition]*fakeLog{}
}

// restart opens the node's log with its end at offset.
func (f *fake) restart(id int32, end int64, epochs ...storage.EpochEntry) {
	f.s.Restarted(id, f.now)
	f.emit(id, event.Event{Kind: event.NodeStarting})
	f.logs[id][orders] = &fakeLog{end: end, epochs: epochs, stable: none}
	f.emit(id, event.Event{Kind: event.Recovered, Partition: orders, Peer: -1, Epoch: -1, Offset: end})
	f.turn()
}

// turn ends a turn; nothing may be wrong.
func (f *fake) turn() {
	f.t.Helper()
	if v := f.s.AfterTurn(1, f.now); v != nil {
		f.s.violations = append([]Violation{*v}, f.s.violations...) // for fires
	}
}

// silent fails if anything was found.
func (f *fake) silent() {
	f.t.Helper()
	f.turn()
	for _, v := range f.s.violations {
		f.t.Errorf("%s: %s", v.Checker, v.Error())
	}
}

// fires fails unless a checker found a broken promise; it returns the sentence.
func (f *fake) fires(checker, promise string, words ...string) string {
	f.t.Helper()
	f.turn()
	for _, v := range f.s.violations {
		checkSentence(f.t, &v)
		if v.Checker != checker || v.Promise != promise {
			continue
		}
		for _, w := range words {
			if !strings.Contains(v.Error(), w) {
				f.t.Errorf("%q is not in: %s", w, v.Error())
			}
		}
		return v.Error()
	}
	f.t.Fatalf("%s did not fire: %v", checker, f.s.violations)
	return ""
}

// cluster is leader 1 with followers 2 and 3, and three committed records.
func cluster(t *testing.T, topic Topic) *fake { return clusterWith(newFake(t, topic)) }

func clusterWith(f *fake) *fake {
	f.open(1, 2, 3)
	f.elect(1, 0, 1, 2, 3)
	for i := range int64(3) {
		f.append(write(0, i, fmt.Sprint("m", i)), 1, 2, 3)
	}
	f.commit(0, 3, 1, 2, 3)
	f.silent()
	return f
}

var safe = Topic{RF: 3, MinISR: 2}

func (l *fakeLog) LastStableOffset() int64 {
	if l.stable >= 0 {
		return l.stable
	}
	return l.hw
}
func (l *fakeLog) IsRebuilding() bool { return false }

func (l *fakeLog) IsTruncating() bool { return l.truncating }

func (l *fakeLog) IsMoving() bool { return l.moving }

package raft

import (
	"slices"
	"time"

	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler/virtual"
	"github.com/twmb/franz-go/pkg/kerr"
)

// platter is a fake log's device: what survives the process, and what survives a power loss.
type platter struct {
	start, durableStart int64
	written, durable    []record.Batch
}

func (p *platter) losePower() {
	p.written, p.start = slices.Clone(p.durable), p.durableStart
}

// fakeLog is a metadataLog that takes the time and the liberties of a disk, without its files.
type fakeLog struct {
	node *virtual.Node
	disk *platter
	all  []record.Batch // written ones first, then those under way
	n    int            // written
	hw   int64
	gone int // batches that the log start has passed
	cuts int // truncations so far: writes of an earlier one are void
	at   time.Duration
	dead *bool
	// reads are those under way, if a test says when they end.
	reads *[]func()
}

func newFakeLog(node *virtual.Node, p *platter, dead *bool) *fakeLog {
	return &fakeLog{node: node, disk: p, all: slices.Clone(p.written), n: len(p.written), dead: dead}
}

// later runs f in order of the calls, after a delay.
func (l *fakeLog) later(d time.Duration, f func()) {
	now := time.Duration(l.node.Now())
	l.at = max(l.at, now) + d
	l.node.After(l.at-now, func() {
		if !*l.dead {
			f()
		}
	})
}

func (l *fakeLog) end(n int) int64 {
	if n == 0 {
		return l.disk.start
	}
	return l.all[n-1].NextOffset()
}

func (l *fakeLog) LogStartOffset() int64     { return l.disk.start }
func (l *fakeLog) LogEndOffset() int64       { return l.end(l.n) }
func (l *fakeLog) NextOffset() int64         { return l.end(len(l.all)) }
func (l *fakeLog) AssignEpoch(int32, int64)  {}
func (l *fakeLog) Size() int64               { return int64(len(l.all)) * 100 }
func (l *fakeLog) Close(done func(error))    { l.later(0, func() { done(nil) }) }
func (l *fakeLog) SetHighWatermark(hw int64) { l.hw = max(l.hw, hw) }

func (l *fakeLog) append(b record.Batch, done func(error)) {
	l.all = append(l.all, b)
	count, cuts := l.gone+len(l.all), l.cuts
	l.later(50*time.Microsecond, func() {
		if cuts != l.cuts {
			done(storage.ErrTruncated)
			return
		}
		l.n = count - l.gone
		l.disk.written = slices.Clone(l.all[:l.n])
		done(nil)
	})
}

func (l *fakeLog) AppendAsLeader(b record.Batch, epoch int32, _ *network.Frame, done func(error)) (storage.AppendInfo, error) {
	b.SetBaseOffset(l.NextOffset())
	b.SetLeaderEpoch(epoch)
	l.append(b, done)
	return storage.AppendInfo{FirstOffset: b.BaseOffset(), NextOffset: l.NextOffset()}, nil
}

func (l *fakeLog) AppendAsFollower(p []byte, _ *network.Frame, done func(error)) (storage.AppendInfo, error) {
	if b, _, err := record.Parse(p); err != nil || b.BaseOffset() != l.NextOffset() {
		return storage.AppendInfo{}, storage.ErrOffsetsOutOfOrder
	}
	for len(p) > 0 {
		b, rest, _ := record.Parse(p)
		next := func(error) {}
		if len(rest) == 0 {
			next = done
		}
		l.append(slices.Clone(b), next)
		p = rest
	}
	return storage.AppendInfo{NextOffset: l.NextOffset()}, nil
}

func (l *fakeLog) EndOffsetForEpoch(epoch int32) (int32, int64) {
	found, end := int32(-1), int64(-1)
	for _, b := range l.all[:l.n] {
		if b.LeaderEpoch() > epoch {
			break
		}
		found, end = b.LeaderEpoch(), b.NextOffset()
	}
	return found, end
}

func (l *fakeLog) EpochAt(offset int64) int32 {
	for _, b := range l.all {
		if b.BaseOffset() <= offset && offset < b.NextOffset() {
			return b.LeaderEpoch()
		}
	}
	return -1
}

func (l *fakeLog) LatestEpoch() int32 {
	if len(l.all) == 0 {
		return -1
	}
	return l.all[len(l.all)-1].LeaderEpoch()
}

func (l *fakeLog) TruncateTo(offset int64, done func(error)) {
	i := slices.IndexFunc(l.all, func(b record.Batch) bool { return b.NextOffset() > offset })
	if i >= 0 {
		l.all = l.all[:i]
	}
	l.n = min(l.n, len(l.all))
	l.cuts++
	l.later(100*time.Microsecond, func() {
		l.disk.written = slices.Clone(l.all[:l.n])
		done(nil)
	})
}

func (l *fakeLog) TruncateFullyAndStartAt(offset int64, done func(error)) {
	l.all, l.n, l.disk.start = nil, 0, offset
	l.cuts++
	l.later(100*time.Microsecond, func() {
		l.disk.written, l.disk.durable, l.disk.durableStart = nil, nil, offset
		done(nil)
	})
}

func (l *fakeLog) AdvanceLogStart(offset int64) {
	if offset <= l.disk.start {
		return
	}
	gone := 0
	for gone < l.n && l.all[gone].NextOffset() <= offset {
		gone++
	}
	l.all, l.n, l.gone = slices.Clone(l.all[gone:]), l.n-gone, l.gone+gone
	l.disk.start = offset
	l.disk.written = slices.Clone(l.all[:l.n])
}

func (l *fakeLog) DeleteOldSegments(done func(error)) { l.later(0, func() { done(nil) }) }

func (l *fakeLog) Read(r storage.ReadRequest, done func(storage.Slice, error)) (storage.Slice, error) {
	if len(l.all)%2 == 0 && l.reads == nil {
		return l.read(r)
	}
	end := func() {
		if !*l.dead {
			done(l.read(r))
		}
	}
	if l.reads != nil {
		*l.reads = append(*l.reads, end)
	} else {
		l.node.After(20*time.Microsecond, end)
	}
	return storage.Slice{}, storage.ErrPending
}

func (l *fakeLog) read(r storage.ReadRequest) (storage.Slice, error) {
	if r.Offset < l.disk.start || r.Offset > l.LogEndOffset() {
		return storage.Slice{}, kerr.OffsetOutOfRange
	}
	var out []byte
	for _, b := range l.all[:l.n] {
		if b.BaseOffset() >= r.Offset && b.NextOffset() <= r.UpTo {
			out = append(out, b...)
		}
	}
	return storage.Slice{Chunks: []network.Chunk{{Bytes: out}}, Len: len(out)}, nil
}

func (l *fakeLog) Flush(done func(error)) {
	// A sync covers what was written before it was asked for, not what came meanwhile.
	durable, start, cuts := slices.Clone(l.all[:l.n]), l.disk.start, l.cuts
	l.node.After(time.Millisecond, func() {
		if *l.dead {
			return
		}
		if cuts == l.cuts {
			l.disk.durable, l.disk.durableStart = durable, start
		} else {
			l.disk.durable, l.disk.durableStart = slices.Clone(l.all[:l.n]), l.disk.start
		}
		done(nil)
	})
}

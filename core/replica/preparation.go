package replica

import (
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kerr"
)

// preparation is a batch that must be changed, off the loop, before it is appended: it gets the time of its append, is compressed anew, or
// is to be told what is wrong with it. Those of a partition are appended in the order in which they came, as are the batches behind them that need nothing.
type preparation struct {
	w       *produceWait
	entry   ProduceEntry
	frame   *network.Frame // of the batch as it came
	epoch   int32          // the leader epoch then
	ready   bool
	changed bool // the batch is in memory of its own
	wrong   []record.RecordError
	err     error
}

// mustPrepare reports whether a batch cannot be appended at once.
func (p *Partition) mustPrepare(e *ProduceEntry) bool {
	return p.held || len(p.preparing) > 0 || p.log.ProduceRules().Demands(e.Batch, e.Facts, p.m.loop.UnixMilli())
}

// prepare appends the entry when it, and all before it, are ready.
func (w *produceWait) prepare(e *ProduceEntry, frame *network.Frame) {
	p, now := w.p, w.p.m.loop.UnixMilli()
	x := &preparation{w: w, entry: *e, frame: frame, epoch: p.leaderEpoch}
	frame.Retain()
	w.op.writing++ // op stays ours
	p.preparing = append(p.preparing, x)
	rules := *p.log.ProduceRules()
	if !rules.Demands(e.Batch, e.Facts, now) {
		x.ready = true
		return
	}
	name := p.id.String()
	p.m.loop.Offload(func() {
		b := x.entry.Batch
		x.entry.Batch, x.wrong, x.err = rules.Apply(b, x.entry.Facts, now, name)
		x.changed = x.err == nil && &x.entry.Batch[0] != &b[0]
	}, func() {
		x.ready = true
		p.appendPrepared()
	})
}

func (p *Partition) appendPrepared() {
	for !p.held && len(p.preparing) > 0 && p.preparing[0].ready {
		x := p.preparing[0]
		p.preparing[0] = nil
		p.preparing = p.preparing[1:]
		x.append()
	}
}

func (x *preparation) append() {
	w := x.w
	op, p := w.op, w.p
	frame := x.frame
	if x.changed {
		frame = nil
	}
	switch {
	case w.settled: // it took too long, or we do not lead any more
	case x.err != nil:
		op.results[w.index].RecordErrors = x.wrong
		w.settle(x.err)
	case p.lead == nil || p.leaderEpoch != x.epoch:
		w.settle(p.refusal())
	case op.acks == acksAll && p.IsUnderMinISR():
		w.settle(kerr.NotEnoughReplicas)
	default:
		w.append(&x.entry, frame)
	}
	x.frame.Release()
	op.writing--
	op.maybeFree()
}

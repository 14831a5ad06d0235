package metadata

import (
	"fmt"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
)

// Publisher is told of a new image and what changed in it, on the loop, after each run of committed
// batches and after a snapshot; the delta is empty when only the offset moved. The image is the
// loader's: Clone to keep it. The delta is the publisher's to keep, not to change.
type Publisher func(img *Image, d *Delta)

// Loader turns what raft commits into the committed image of this node. It is OnCommit and
// OnSnapshot of a raft listener.
type Loader struct {
	env        *env.Env
	img        *Image
	publishers []Publisher
	onFailure  func(error)
	err        error // set once; nothing is applied after it
	scratch    record.Scratch

	// Metadata transactions (KIP-868): while one is open the image stands still, offset included,
	// so that a snapshot taken then does not lose it.
	inTransaction bool
	pending       []Record
}

// NewLoader returns a loader with the empty image.
func NewLoader(e *env.Env) *Loader { return &Loader{env: e, img: NewImage()} }

// Image is the committed image: read only, and changed in place by the next OnCommit.
func (l *Loader) Image() *Image { return l.img }

// InTransaction reports whether what is committed ends inside a metadata transaction (KIP-868).
func (l *Loader) InTransaction() bool { return l.inTransaction }

// Subscribe adds a publisher; they are called in the order of subscription.
func (l *Loader) Subscribe(f Publisher) { l.publishers = append(l.publishers, f) }

// OnFailure sets who is told, once, that committed metadata cannot be read: this node can know
// nothing of the cluster from here on.
func (l *Loader) OnFailure(f func(error)) { l.onFailure = f }

// OnCommit applies whole committed batches; next is the offset after them. Publishers see one image
// after all of them.
func (l *Loader) OnCommit(batches []byte, next int64) {
	if l.err != nil || len(batches) == 0 {
		return
	}
	l.img.freeze()
	d := &Delta{}
	for len(batches) > 0 && l.err == nil {
		b, rest, err := record.Parse(batches)
		if err != nil {
			l.fail(fmt.Errorf("metadata: batch at %d: %w", l.img.offset, err))
			return
		}
		batches = rest
		l.applyBatch(b, d)
	}
	if l.err == nil {
		d.finish()
		l.publish(d)
	}
}

// OnSnapshot replaces the image; end is exclusive.
func (l *Loader) OnSnapshot(end int64, epoch int32, records [][]byte) {
	if l.err != nil {
		return
	}
	img := NewImage()
	for _, raw := range records {
		if err := applyRaw(img, raw); err != nil {
			l.fail(fmt.Errorf("metadata: snapshot %d-%d: %w", end, epoch, err))
			return
		}
	}
	img.SetOffset(end, epoch)
	d := difference(l.img, img)
	l.img, l.inTransaction, l.pending = img, false, nil
	l.emitApplied()
	l.publish(d)
}

func applyRaw(img *Image, raw []byte) error {
	r, err := Unmarshal(raw)
	if err != nil {
		return err
	}
	return img.Apply(r)
}

func (l *Loader) publish(d *Delta) {
	for _, f := range l.publishers {
		f(l.img, d)
	}
}

// applyBatch applies one batch. Control batches (leader changes, snapshot marks) move the offset only.
func (l *Loader) applyBatch(b record.Batch, d *Delta) {
	if b.NextOffset() <= l.img.offset {
		return // in the snapshot already
	}
	if !b.IsControl() {
		err := b.Each(&l.scratch, func(r record.Record) error { return l.replay(r.Value, d) })
		if err != nil {
			l.fail(fmt.Errorf("metadata: batch at %d: %w", b.BaseOffset(), err))
			return
		}
	}
	if !l.inTransaction {
		l.img.SetOffset(b.NextOffset(), b.LeaderEpoch())
		l.emitApplied()
	}
}

func (l *Loader) replay(raw []byte, d *Delta) error {
	r, err := Unmarshal(raw)
	if err != nil {
		return err
	}
	switch r.(type) {
	case *BeginTransactionRecord:
		l.inTransaction, l.pending = true, nil
		return nil
	case *AbortTransactionRecord:
		l.inTransaction, l.pending = false, nil
		return nil
	case *EndTransactionRecord:
		return l.endTransaction(d)
	}
	if l.inTransaction {
		l.pending = append(l.pending, r)
		return nil
	}
	d.note(l.img, r)
	return l.img.Apply(r)
}

func (l *Loader) endTransaction(d *Delta) error {
	pending := l.pending
	l.inTransaction, l.pending = false, nil
	for _, r := range pending {
		d.note(l.img, r)
		if err := l.img.Apply(r); err != nil {
			return err
		}
	}
	return nil
}

func (l *Loader) emitApplied() {
	l.env.Event.Emit(&event.Event{
		Kind: event.MetadataApplied, Peer: -1, Epoch: -1, Offset: l.img.offset, Len: int64(l.img.hash),
	})
}

// fail stops the loader: an image that skips a record would differ from every other node's.
func (l *Loader) fail(err error) {
	l.err = err
	if l.onFailure != nil {
		l.onFailure(err)
	}
}

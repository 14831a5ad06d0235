package wire

import "sync"

// The messages that every produce and fetch costs are decoded into memory used again. Decoding runs on many
// goroutines, so the pools are shared.
var (
	produceRequests   = sync.Pool{New: func() any { return new(produceRequest) }}
	fetchRequests     = sync.Pool{New: func() any { return new(fetchRequest) }}
	fetchedResponses  = sync.Pool{New: func() any { return new(fetchedResponse) }}
	producedResponses = sync.Pool{New: func() any { return new(producedResponse) }}
)

// maxPooled is how many partitions a message may have room for that is kept.
const maxPooled = 64

// pooled is a message in the memory of a pool.
type pooled interface{ free() }

func (p *produceRequest) free() {
	p.partitions[0] = ProducePartition{} // the batch aliases a frame; the topic's name is worth keeping
	produceRequests.Put(p)
}

func (f *fetchRequest) free() {
	if cap(f.partitions) <= maxPooled {
		fetchRequests.Put(f)
	}
}

func (f *fetchedResponse) free() {
	if cap(f.partitions) <= maxPooled {
		fetchedResponses.Put(f)
	}
}

func (f *producedResponse) free() { producedResponses.Put(f) }

// Recycle gives the request's memory back: nobody refers to it, to its Body or to a part of that any more. It need not
// be called, and at most once.
func (r *Request) Recycle() {
	if p := r.pooled; p != nil {
		r.pooled, r.Body, r.Produce, r.ClientID = nil, nil, nil, nil
		p.free()
	}
}

// Recycle releases the frame and gives the response's memory back: nobody refers to it, to its Body or to a part of that
// any more.
func (r *Response) Recycle() {
	r.Release()
	if p := r.pooled; p != nil {
		r.pooled, r.Body = nil, nil
		p.free()
	}
}

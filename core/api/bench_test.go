package api_test

import (
	"testing"

	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// exchange sends a frame and runs the world until it is answered, then drops the answer.
func (x *client) exchange(chunks []network.Chunk) {
	x.loop.Post(func() { x.conn.Send(chunks, nil) })
	for len(x.frames) == 0 {
		x.world.Step()
	}
	x.frames = x.frames[:0]
}

// BenchmarkProduce is a produce from wire to wire on one broker, all of it simulated: link, decoder, CRC, log, disk.
func BenchmarkProduce(b *testing.B) {
	x := start(b, 1).client()
	id := x.topic("t", 1)
	for name, req := range map[string]kmsg.Request{
		"produce acks=1":    produceRequest(13, 1, "t", id, 0, plain("a record of some size, as records are")),
		"produce acks=all":  produceRequest(13, -1, "t", id, 0, plain("a record of some size, as records are")),
		"produce by name":   produceRequest(9, -1, "t", id, 0, plain("a record of some size, as records are")),
		"api versions":      kmsg.NewPtrApiVersionsRequest(), // the floor: what the world and a connection cost
		"fetch a batch":     oneBatch(fetchRequest(13, "t", id, 0, 0)),
		"fetch nothing new": nothingNew(x),
	} {
		b.Run(name, func(b *testing.B) {
			chunks := []network.Chunk{{Bytes: encode(req, 1)}}
			b.ReportAllocs()
			for b.Loop() {
				x.exchange(chunks)
			}
		})
	}
}

// nothingNew fetches from the end of a topic of its own.
func nothingNew(x *client) kmsg.Request {
	return fetchRequest(13, "empty", x.topic("empty", 1), 0, 0)
}

func oneBatch(req *kmsg.FetchRequest) *kmsg.FetchRequest {
	req.MaxBytes = 1
	return req
}

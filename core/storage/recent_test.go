package storage

import (
	"testing"

	"github.com/lockstep/lockstep/network"
)

func TestLogsShareTheMemoryOfTheirUncommittedBatches(t *testing.T) {
	const size = 256 << 10
	var all heldMemory
	logs := make([]recent, 20)
	held := 0 // batches whose frame is not free
	for round := range 40 {
		for i := range logs {
			r := &logs[i]
			r.all = &all
			held++
			b := batch(int64(round), 0, 1, size, 1)
			f := network.NewFrame(b, func(*network.Frame) { held-- })
			r.push(b, nil, 0, true, f)
			f.Release() // the request's own reference
			if r.bytes > mostBytes {
				t.Fatalf("a log holds %d bytes", r.bytes)
			}
		}
		if limit := allBytes + len(logs)*ownBytes; all.bytes > limit {
			t.Fatalf("all hold %d bytes, more than %d", all.bytes, limit)
		}
	}
	if all.bytes < allBytes/2 {
		t.Errorf("only %d bytes are held where %d may", all.bytes, allBytes)
	}
	for i := range logs {
		logs[i].releaseAll()
	}
	if held != 0 || all.bytes != 0 {
		t.Errorf("%d frames and %d bytes are left", held, all.bytes)
	}
}

package simnet

import (
	"bytes"
	"math/bits"
	"sync"

	"github.com/lockstep/lockstep/network"
)

// Poison fills the bytes of a released frame: whoever still reads them finds a bad checksum.
const Poison = 0xDB

const minClass = 8 // 256 bytes

// buffers keeps released frames with their memory, by powers of two.
type buffers struct {
	classes [64][]*network.Frame
	free    func(*network.Frame)
	poison  []byte
}

// spare is the memory of networks that are no more: a campaign plays run after run.
var spare = sync.Pool{New: func() any {
	b := &buffers{poison: bytes.Repeat([]byte{Poison}, 4<<10)}
	b.free = b.put
	return b
}}

// Release gives the memory of released frames to another network. Nobody may use this one any more.
func (n *Net) Release() {
	spare.Put(n.buffers)
	n.buffers = nil
}

func classOf(n int) int { return max(minClass, bits.Len(uint(max(n, 1)-1))) }

// get returns a frame of n bytes with one reference.
func (b *buffers) get(n int) *network.Frame {
	class := classOf(n)
	stack := b.classes[class]
	if len(stack) == 0 {
		return network.NewFrame(make([]byte, n, 1<<class), b.free)
	}
	f := stack[len(stack)-1]
	b.classes[class] = stack[:len(stack)-1]
	f.Reuse(f.Bytes[:n])
	return f
}

// put poisons a frame that nobody may refer to any more, and keeps it.
func (b *buffers) put(f *network.Frame) {
	for p := f.Bytes; len(p) > 0; {
		p = p[copy(p, b.poison):]
	}
	class := classOf(cap(f.Bytes))
	b.classes[class] = append(b.classes[class], f)
}

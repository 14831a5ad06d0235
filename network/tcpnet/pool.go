package tcpnet

import (
	"math/bits"
	"sync"

	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/network"
)

// Buffers come in powers of two from 1 KiB to 128 MiB. From headroomFrom on each has room for a
// request's head more, since clients fill batches up to a power of two.
const (
	minClass     = 10
	maxClass     = 27
	headroomFrom = 16
	headroom     = 4 << 10
	poison       = 0xDB
)

// framePool keeps released frames with their memory, by size class.
type framePool struct {
	classes [maxClass + 1]sync.Pool // of *network.Frame
	free    func(*network.Frame)
}

func newFramePool() *framePool {
	p := &framePool{}
	p.free = p.put
	return p
}

func classSize(class int) int {
	if class < headroomFrom {
		return 1 << class
	}
	return 1<<class + headroom
}

// classOf is the smallest class that holds n bytes; beyond maxClass if none does.
func classOf(n int) int {
	class := max(minClass, bits.Len(uint(max(n, 1)-1)))
	if class > minClass && classSize(class-1) >= n {
		class--
	}
	return class
}

// get returns a frame of n bytes of unknown content with one reference.
func (p *framePool) get(n int) *network.Frame {
	class := classOf(n)
	if class > maxClass {
		return network.NewFrame(make([]byte, n), nil)
	}
	if f, ok := p.classes[class].Get().(*network.Frame); ok {
		f.Reuse(f.Bytes[:n])
		return f
	}
	return network.NewFrame(make([]byte, n, classSize(class)), p.free)
}

// put takes back a frame that nobody refers to.
func (p *framePool) put(f *network.Frame) {
	class := classOf(cap(f.Bytes))
	if class > maxClass {
		return
	}
	if invariant.Costly {
		poisonAll(f.Bytes[:cap(f.Bytes)])
	}
	p.classes[class].Put(f)
}

// grow returns a frame of n bytes that starts with those of f, which it takes back.
func (p *framePool) grow(f *network.Frame, n int) *network.Frame {
	g := p.get(n)
	copy(g.Bytes, f.Bytes)
	p.put(f)
	return g
}

func poisonAll(b []byte) {
	for i := range b {
		b[i] = poison
	}
}

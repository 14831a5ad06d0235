package simdisk

import (
	"math/bits"
	"sync"
)

// minMemory is the least memory of a file that is not empty, in bytes.
const minMemory = 256

// spare is memory of files that grew out of it or ended with their disk. A campaign plays run after run; without this most of
// what it allocates would be files.
var spare spareMemory

// spareMemory is memory by the logarithm of its size, for all workers of a campaign.
type spareMemory struct {
	mutex   sync.Mutex
	classes [64][][]byte
	bytes   int64
}

// mostSpare bounds it, in bytes.
const mostSpare = 128 << 20

// borrow returns an empty slice with room for n bytes, whatever they hold.
func borrow(n int64) []byte {
	class := bits.Len64(uint64(max(n, minMemory) - 1))
	if b := spare.take(class); b != nil {
		return b
	}
	return make([]byte, 0, 1<<class)
}

func (m *spareMemory) take(class int) []byte {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	all := m.classes[class]
	last := len(all) - 1
	if last < 0 {
		return nil
	}
	b := all[last]
	all[last] = nil
	m.classes[class] = all[:last]
	m.bytes -= int64(cap(b))
	return b
}

func (m *spareMemory) put(class int, b []byte) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.bytes+int64(cap(b)) <= mostSpare {
		m.classes[class] = append(m.classes[class], b)
		m.bytes += int64(cap(b))
	}
}

// grow makes room for n bytes.
func (c *content) grow(n int64) {
	old := c.data
	if !c.lends {
		c.data = append(make([]byte, 0, max(n, 2*int64(cap(old)))), old...)
		return
	}
	c.data = append(borrow(n), old...)
	giveBack(old)
}

func giveBack(b []byte) {
	if c := cap(b); c >= minMemory && c&(c-1) == 0 {
		spare.put(bits.Len(uint(c-1)), b[:0])
	}
}

// maybeFree gives the memory of a file to others once nobody can read it any more.
func (n *inode) maybeFree() {
	if n.ended && n.lends && n.opens == 0 {
		giveBack(n.data)
		n.data, n.lends = nil, false
	}
}

// Release gives the memory of all files to other disks. Nobody may use this one, or what it handed out, any more.
func (d *Disk) Release() {
	d.root.files("", func(_ string, n *inode) {
		if n.lends {
			giveBack(n.data)
			n.data = nil
		}
	})
}

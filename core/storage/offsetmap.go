package storage

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// keyHash stands for a key: Kafka's cleaner has 16 bytes of MD5, of which anybody can make two keys that collide.
type keyHash [16]byte

func hashKey(key []byte) keyHash {
	sum := sha256.Sum256(key)
	return keyHash(sum[:16])
}

// offsetMap is the last offset of each key, in bounded memory: Kafka's SkimpyOffsetMap. It grows with what it holds.
type offsetMap struct {
	slots  []mapSlot
	keys   int
	most   int   // keys that it may hold
	latest int64 // all records up to this one are in it; -1: none
}

// mapSlot is free if after is 0.
type mapSlot struct {
	hash  keyHash
	after int64 // offset + 1
}

const (
	mapSlotSize = 24
	firstSlots  = 1 << 7
)

// init empties the map; it may use so many bytes, of whose slots so many per cent are filled.
func (m *offsetMap) init(bytes int64, loadPercent int) {
	*m = offsetMap{most: max(int(bytes/mapSlotSize)*loadPercent/100, 1), latest: -1}
	m.slots = make([]mapSlot, firstSlots)
}

// put notes that key was written at offset, which is beyond all before; false if there is no room for another key.
func (m *offsetMap) put(h keyHash, offset int64) bool {
	s := m.find(h)
	if s.after == 0 {
		if m.keys >= m.most {
			return false
		}
		if m.keys++; m.keys*10 > len(m.slots)*9 {
			m.grow()
			s = m.find(h)
		}
	}
	s.hash, s.after = h, offset+1
	return true
}

// get is the last offset of a key, or -1.
func (m *offsetMap) get(h keyHash) int64 { return m.find(h).after - 1 }

// find is the key's slot, or the free one where it belongs.
func (m *offsetMap) find(h keyHash) *mapSlot {
	at, _ := bits.Mul64(binary.BigEndian.Uint64(h[:]), uint64(len(m.slots)))
	for {
		if s := &m.slots[at]; s.after == 0 || s.hash == h {
			return s
		}
		if at++; at == uint64(len(m.slots)) {
			at = 0
		}
	}
}

// grow doubles the slots, but to no more than the keys need that the map may hold.
func (m *offsetMap) grow() {
	old := m.slots
	m.slots = make([]mapSlot, min(2*len(old), m.most*10/9+len(old)/8+8))
	for i := range old {
		if old[i].after != 0 {
			*m.find(old[i].hash) = old[i]
		}
	}
}

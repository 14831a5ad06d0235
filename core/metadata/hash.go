package metadata

import (
	"encoding/binary"
	"math/bits"
)

// hashBytes is a 64-bit hash of b under a seed: eight bytes a step, a multiply and a rotate, then
// murmur3's finalizer. It guards against bugs, not against adversaries.
func hashBytes(seed uint64, b []byte) uint64 {
	const m = 0x9e3779b97f4a7c15
	h := seed*m ^ uint64(len(b))*0xff51afd7ed558ccd
	for ; len(b) >= 8; b = b[8:] {
		h = bits.RotateLeft64((h^binary.LittleEndian.Uint64(b))*m, 29)
	}
	var tail [8]byte
	copy(tail[:], b)
	return mix((h ^ binary.LittleEndian.Uint64(tail[:])) * m)
}

func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// hashRecord hashes an object by the record that recreates it. The image's hash is the sum over
// its objects, so that order does not matter and a change costs one subtraction and one addition.
func (i *Image) hashRecord(r Record) uint64 {
	i.scratch = r.append(i.scratch[:0])
	return hashBytes(uint64(r.Key())+1, i.scratch)
}

func (i *Image) hashConfig(c *ConfigResource) (sum uint64) {
	for n := range c.Entries {
		e := &c.Entries[n]
		sum += i.hashRecord(&ConfigRecord{ResourceType: c.Type, ResourceName: c.Name, Name: e.Key, Value: &e.Value})
	}
	return sum
}

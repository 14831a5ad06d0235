package coordinator

import "math"

// PartitionFor is Kafka's choice: the id's Java hash code, made positive, modulo the partitions.
func PartitionFor(id string, partitions int) int32 {
	h := javaHash(id)
	switch {
	case h == math.MinInt32:
		h = 0 // its absolute value does not fit
	case h < 0:
		h = -h
	}
	return h % int32(partitions)
}

// javaHash is String.hashCode: over UTF-16 code units.
func javaHash(s string) (h int32) {
	for _, r := range s {
		if r > 0xffff {
			r -= 0x10000
			h = 31*h + (0xd800 + r>>10)
			h = 31*h + (0xdc00 + r&0x3ff)
			continue
		}
		h = 31*h + r
	}
	return h
}

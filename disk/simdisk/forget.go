package simdisk

import "slices"

// ForgetFailedSyncs changes what a failed Sync leaves behind. Off, the file is poisoned: what a good driver makes of it. On, it is
// as the system behaves (fsyncgate, PostgreSQL 2018): what the Sync was to make durable never will be, reads see it
// nevertheless, later Syncs succeed, and a power loss takes it away. Who retries a Sync loses data without being told.
func (d *Disk) ForgetFailedSyncs(on bool) { d.faults.forgetful = on }

// HasForgotten reports whether there is anything that reads see and the device will never have.
func (d *Disk) HasForgotten() (yes bool) {
	d.root.files("", func(_ string, f *inode) { yes = yes || len(f.forgotten) > 0 })
	return yes
}

// span is bytes that reads see and the device will never have.
type span struct {
	pos, n int64
	old    []byte // what the device has instead; zeros beyond
}

// forget drops the writes up to a stamp from what a Sync makes durable. A file's size is no page: truncations stay.
func (c *content) forget(upTo uint64) {
	n := 0
	for ; n < len(c.changes) && c.changes[n].stamp <= upTo; n++ {
		if w := &c.changes[n]; !w.truncation {
			c.forgotten = append(c.forgotten, span{w.pos, w.n, w.old})
		}
	}
	c.changes = slices.Delete(c.changes, 0, n)
}

// remember takes bytes that are written anew out of what was forgotten: they are dirty again.
func (c *content) remember(pos, n int64) {
	if len(c.forgotten) == 0 {
		return
	}
	var rest []span
	for _, s := range c.forgotten {
		rest = append(rest, s.part(s.pos, min(s.pos+s.n, pos))...)
		rest = append(rest, s.part(max(s.pos, pos+n), s.pos+s.n)...)
	}
	c.forgotten = rest
}

// part is the span between two positions within it; nothing if there is nothing between.
func (s span) part(from, to int64) []span {
	if from >= to {
		return nil
	}
	old := s.old[min(from-s.pos, int64(len(s.old))):min(to-s.pos, int64(len(s.old)))]
	return []span{{from, to - from, old}}
}

// dropForgotten puts in place of what was forgotten what the device has.
func (c *content) dropForgotten() {
	for i := len(c.forgotten) - 1; i >= 0; i-- {
		s := c.forgotten[i]
		from, to := min(s.pos, c.size()), min(s.pos+s.n, c.size())
		clear(c.data[from:to])
		copy(c.data[from:to], s.old)
	}
	c.forgotten = nil
}

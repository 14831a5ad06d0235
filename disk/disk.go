// Package disk is the seam of durable bytes.
//
// All names are slash-separated paths relative to the disk's root. All calls return at once; their
// done runs on the loop in a later turn. Operations in flight may complete in any order, so a
// caller that needs an order waits for done. What has not been synced may vanish, tear or land
// out of order on power loss; after a mere process kill it survives as far as done had run.
//
// disk/simdisk keeps the bytes in memory under seeded faults; disk/osdisk is the operating system's.
package disk

import "errors"

// Errors that a Disk reports. Implementations wrap them; compare with errors.Is.
var (
	ErrNotExist = errors.New("disk: no such file")
	ErrNoSpace  = errors.New("disk: no space left")
	ErrIO       = errors.New("disk: input/output error")
	// ErrPoisoned is what every call on a file answers after one of its Syncs failed: what is
	// durable is unknown from then on, so nothing may be retried.
	ErrPoisoned = errors.New("disk: file poisoned by a failed sync")
	ErrClosed   = errors.New("disk: file closed")
)

// Disk is one log directory's file system.
type Disk interface {
	// Open opens the file, creating it if absent. Creation is durable after SyncDir of its directory.
	Open(name string, done func(f File, size int64, err error))
	// Mkdir makes the directory and its parents; existing ones are no error.
	Mkdir(dir string, done func(err error))
	// Remove deletes a file, or a directory with everything in it. ErrNotExist if absent.
	Remove(name string, done func(err error))
	// Rename moves a file or directory, replacing a file at the target. Atomic for readers; durable after SyncDir.
	Rename(from, to string, done func(err error))
	// List returns the sorted base names in dir; a directory's name ends in "/". ErrNotExist if absent.
	List(dir string, done func(names []string, err error))
	// SyncDir makes creations, renames and removals in dir durable.
	SyncDir(dir string, done func(err error))
	// Space tells how many bytes the volume has, and how many of them may still be written. Other files may be on it; -1 if nobody knows.
	Space(done func(total, usable int64, err error))
}

// File is an open file. It is reference counted: Open gives one reference, Retain adds one, Close
// drops one and the last closes it, so that a region still on its way to a socket stays readable
// (also after Remove).
type File interface {
	Name() string
	// ReadAt reads up to len(p) bytes; n < len(p) with a nil error only at the end of the file. p is the disk's until done.
	ReadAt(p []byte, pos int64, done func(n int, err error))
	// WriteAt writes all bufs in order at pos, extending the file. bufs are the disk's until done.
	WriteAt(bufs [][]byte, pos int64, done func(err error))
	// Sync makes durable all writes and truncations whose done has run before this call. A failure poisons the file.
	Sync(done func(err error))
	Truncate(size int64, done func(err error))
	Retain()
	Close()
}

// Region is a promise: Len bytes at Pos of File are written and will not change while it is in
// use. Only what lies below a partition's high watermark may be promised.
type Region struct {
	File File
	Pos  int64
	Len  int
}

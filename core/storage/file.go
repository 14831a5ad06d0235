package storage

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/lockstep/lockstep/disk"
)

// maxSmallFile bounds what ReadFile takes into memory: an index of Kafka's default size fits well.
const maxSmallFile = 256 << 20

// WriteFileAtomic replaces a file's content such that after any crash it is the old or the new:
// a temporary file is written and synced, renamed, and the directory synced. One at a time per name.
func WriteFileAtomic(d disk.Disk, name string, data []byte, done func(error)) {
	tmp := name + ".tmp"
	rewriteFile(d, tmp, data, func(err error) {
		if err != nil {
			done(err)
			return
		}
		d.Rename(tmp, name, func(err error) {
			if err != nil {
				done(err)
				return
			}
			d.SyncDir(path.Dir(name), done)
		})
	})
}

// rewriteFile gives a file the content data, synced. After a crash in its midst the content is anything.
func rewriteFile(d disk.Disk, name string, data []byte, done func(error)) {
	d.Open(name, func(f disk.File, size int64, err error) {
		if err != nil {
			done(err)
			return
		}
		end := func(err error) { f.Close(); done(err) }
		write := func(err error) {
			if err != nil {
				end(err)
				return
			}
			f.WriteAt([][]byte{data}, 0, func(err error) {
				if err != nil {
					end(err)
					return
				}
				f.Sync(end)
			})
		}
		if size <= int64(len(data)) {
			write(nil)
			return
		}
		f.Truncate(0, write)
	})
}

// ReadFile reads a small file whole; disk.ErrNotExist if there is none.
func ReadFile(d disk.Disk, name string, done func([]byte, error)) {
	d.List(path.Dir(name), func(names []string, err error) {
		if err == nil && !slices.Contains(names, path.Base(name)) {
			err = fmt.Errorf("%w: %s", disk.ErrNotExist, name)
		}
		if err != nil {
			done(nil, err)
			return
		}
		readExisting(d, name, done)
	})
}

// readExisting is ReadFile for a file that is there; a missing one is created, empty.
func readExisting(d disk.Disk, name string, done func([]byte, error)) {
	d.Open(name, func(f disk.File, size int64, err error) {
		if err == nil && size > maxSmallFile {
			f.Close()
			err = fmt.Errorf("%w: %s has %d bytes", ErrCorrupt, name, size)
		}
		if err != nil {
			done(nil, err)
			return
		}
		b := make([]byte, size)
		f.ReadAt(b, 0, func(n int, err error) {
			f.Close()
			done(b[:n], err)
		})
	})
}

// removeFile removes a file if it is there.
func removeFile(d disk.Disk, name string, done func(error)) {
	d.Remove(name, func(err error) {
		if errors.Is(err, disk.ErrNotExist) {
			err = nil
		}
		done(err)
	})
}

// renameFile renames a file if it is there.
func renameFile(d disk.Disk, from, to string, done func(error)) {
	d.Rename(from, to, func(err error) {
		if errors.Is(err, disk.ErrNotExist) {
			err = nil
		}
		done(err)
	})
}

// sequence runs step for 0 to n-1, each after the one before, until one fails.
func sequence(n int, step func(i int, next func(error)), done func(error)) {
	w := &series{n: n, step: step, done: done}
	w.next = w.advance
	w.next(nil)
}

// steps runs functions one after the other until one fails.
func steps(done func(error), all ...func(next func(error))) {
	w := &series{n: len(all), all: all, done: done}
	w.next = w.advance
	w.next(nil)
}

// series is a sequence under way, of calls of step or of all.
type series struct {
	i, n int // the next step, and how many there are
	step func(i int, next func(error))
	all  []func(next func(error))
	done func(error)
	next func(error) // advance, bound once
}

func (w *series) advance(err error) {
	i := w.i
	switch w.i++; {
	case err != nil || i == w.n:
		w.done(err)
	case w.step != nil:
		w.step(i, w.next)
	default:
		w.all[i](w.next)
	}
}

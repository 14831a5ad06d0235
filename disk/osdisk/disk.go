// Package osdisk is the disk seam on the operating system's files.
//
// All calls and callbacks happen on one loop. What may block runs on worker goroutines: a bounded
// number of them, an unbounded queue, so that no call ever blocks the loop. Small reads and writes
// that the page cache can take at once are done by the caller, and completed in the next turn.
package osdisk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/scheduler"
)

// lockName is the file, as Kafka's, whose lock keeps two daemons off one log directory.
const lockName = ".lock"

// Disk is a directory of real files.
type Disk struct {
	root     string
	poster   scheduler.Poster
	workers  *workers
	lock     *os.File
	poisoned []os.FileInfo // files of which a Sync failed, whoever opens them next
	broken   error         // why there is no directory
	unused   *op           // records to reuse
}

var _ disk.Disk = (*Disk)(nil)

// ErrInUse is wrapped by New's error if another process, or another Disk, uses the directory.
var ErrInUse = errors.New("is in use by another process")

// New opens the directory, made if absent, as a disk whose callbacks go through p. It fails when
// another process, or another Disk, uses the directory.
func New(root string, p scheduler.Poster) (*Disk, error) {
	root = filepath.Clean(root)
	if err := makeRoot(root); err != nil {
		return nil, fmt.Errorf("osdisk: %w", err)
	}
	lock, err := lockDir(root)
	if err != nil {
		return nil, err
	}
	return &Disk{root: root, poster: p, workers: newWorkers(), lock: lock}, nil
}

// makeRoot makes a directory and those above it, each durable in the one above: what is synced in a directory
// that is not would be lost with it. Kafka's LogManager flushes the parent of a directory it makes, too.
func makeRoot(root string) error {
	missing := missingAt(root)
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	for _, dir := range missing {
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// missingAt is which of a directory and those above it do not exist, the lowest first.
func missingAt(dir string) (missing []string) {
	for {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			return missing
		}
		missing = append(missing, dir)
		dir = filepath.Dir(dir)
	}
}

// Broken is a disk that New could not open because of err: every call on it answers that.
func Broken(err error, p scheduler.Poster) *Disk {
	return &Disk{poster: p, workers: newWorkers(), broken: err}
}

// Close waits for what is under way and gives the directory free. Calls of the Disk after it answer
// disk.ErrClosed. Files still retained stay readable through Handle until their last Close. It
// blocks: it is for after the loop's end, or for another goroutine.
func (d *Disk) Close() error {
	d.workers.close()
	if d.broken != nil {
		return nil
	}
	return d.lock.Close()
}

// Open implements disk.Disk.
func (d *Disk) Open(name string, done func(f disk.File, size int64, err error)) {
	var f *os.File
	var info os.FileInfo
	d.offload(func() (err error) {
		f, info, err = d.open(name)
		return err
	}, func(err error) {
		if err != nil {
			done(nil, 0, mapError(err))
			return
		}
		done(d.newFile(name, f, info), info.Size(), nil)
	})
}

func (d *Disk) open(name string) (*os.File, os.FileInfo, error) {
	full, err := d.path(name)
	if err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(full, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// Mkdir implements disk.Disk.
func (d *Disk) Mkdir(dir string, done func(err error)) {
	d.onPath(dir, func(full string) error { return os.MkdirAll(full, 0o755) }, done)
}

// Remove implements disk.Disk.
func (d *Disk) Remove(name string, done func(err error)) {
	d.onPath(name, func(full string) error {
		if full == d.root {
			return errors.New("osdisk: the root cannot be removed")
		}
		if _, err := os.Lstat(full); err != nil {
			return err // RemoveAll would not tell
		}
		return os.RemoveAll(full)
	}, done)
}

// Rename implements disk.Disk.
func (d *Disk) Rename(from, to string, done func(err error)) {
	d.onPath(from, func(full string) error {
		target, err := d.path(to)
		if err != nil {
			return err
		}
		return os.Rename(full, target)
	}, done)
}

// List implements disk.Disk.
func (d *Disk) List(dir string, done func(names []string, err error)) {
	var names []string
	d.onPath(dir, func(full string) (err error) {
		names, err = list(full)
		return err
	}, func(err error) { done(names, err) })
}

func list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		switch {
		case e.Name() == lockName:
		case e.IsDir():
			names = append(names, e.Name()+"/")
		default:
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// SyncDir implements disk.Disk.
func (d *Disk) SyncDir(dir string, done func(err error)) {
	d.onPath(dir, syncDir, done)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Space implements disk.Disk.
func (d *Disk) Space(done func(total, usable int64, err error)) {
	total, usable := int64(-1), int64(-1)
	d.onPath(".", func(full string) (err error) {
		total, usable, err = spaceOf(full)
		return err
	}, func(err error) { done(total, usable, err) })
}

// onPath runs work on a worker with the full path of a name.
func (d *Disk) onPath(name string, work func(full string) error, done func(err error)) {
	d.offload(func() error {
		full, err := d.path(name)
		if err != nil {
			return err
		}
		return work(full)
	}, func(err error) { done(mapError(err)) })
}

// offload runs work on a worker and then done, with work's error, on the loop.
func (d *Disk) offload(work func() error, done func(err error)) {
	queued := d.workers.submit(func() {
		err := work()
		d.poster.Post(func() { done(err) })
	})
	if !queued {
		d.poster.Post(func() { done(disk.ErrClosed) })
	}
}

// path is where a name lies. A name that leads out of the root, or to the lock, is refused.
func (d *Disk) path(name string) (string, error) {
	if d.broken != nil {
		return "", d.broken
	}
	clean := path.Clean(name)
	if path.IsAbs(clean) || !filepath.IsLocal(filepath.FromSlash(clean)) {
		return "", fmt.Errorf("osdisk: name %q leads out of the log directory", name)
	}
	if clean == lockName {
		return "", fmt.Errorf("osdisk: name %q is reserved", name)
	}
	return filepath.Join(d.root, filepath.FromSlash(clean)), nil
}

// mapError adds to an error of the operating system the seam's error that it means, if any.
func mapError(err error) error {
	var kind error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		kind = disk.ErrNotExist
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		kind = disk.ErrNoSpace
	case errors.Is(err, syscall.EIO):
		kind = disk.ErrIO
	default:
		return err
	}
	return fmt.Errorf("%w: %w", kind, err)
}

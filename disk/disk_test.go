// One suite for every implementation of the seam: what the core may rely on.
package disk_test

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/disk/osdisk"
	"github.com/lockstep/lockstep/disk/simdisk"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// rig is a disk and a way to let its world go on.
type rig struct {
	testing.TB
	disk.Disk
	turn     func()            // runs one callback; fails when none will come
	failSync func(f disk.File) // makes the next Sync of f fail
}

func onEachDisk(t *testing.T, test func(r *rig)) {
	t.Run("simdisk", func(t *testing.T) { test(newSimRig(t)) })
	t.Run("osdisk", func(t *testing.T) { test(newOSRig(t)) })
}

func newSimRig(t testing.TB) *rig {
	world := virtual.New(1)
	d := simdisk.New(world.Node(1), 1, simdisk.Options{})
	turn := func() {
		if !world.Step() {
			t.Fatal("nothing is under way, and yet not done")
		}
	}
	failSync := func(disk.File) { d.FailNext(simdisk.OpSync, disk.ErrIO) }
	return &rig{t, d, turn, failSync}
}

func newOSRig(t testing.TB) *rig {
	l := newLoop()
	d, err := osdisk.New(t.TempDir(), l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	failSync := func(f disk.File) { f.(*osdisk.File).Handle().Close() } // a bad descriptor
	return &rig{t, d, l.turn, failSync}
}

// loop is the smallest Poster: turns are run by the test.
type loop struct {
	mu     sync.Mutex
	wake   sync.Cond
	posted []func()
}

func newLoop() *loop {
	l := &loop{}
	l.wake.L = &l.mu
	return l
}

func (l *loop) Post(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.posted = append(l.posted, f)
	l.wake.Signal()
}

// turn waits for a posted function and runs it.
func (l *loop) turn() {
	l.mu.Lock()
	for len(l.posted) == 0 {
		l.wake.Wait()
	}
	f := l.posted[0]
	l.posted = l.posted[1:]
	l.mu.Unlock()
	f()
}

// await makes a call and runs turns until its done has run, which must not be within the call.
func (r *rig) await(call func(done func())) {
	r.Helper()
	calling, finished := true, 0
	call(func() {
		if calling {
			r.Error("done ran within the call")
		}
		finished++
	})
	calling = false
	for finished == 0 {
		r.turn()
	}
	if finished > 1 {
		r.Error("done ran twice")
	}
}

func (r *rig) err(call func(done func(error))) (result error) {
	r.Helper()
	r.await(func(done func()) { call(func(err error) { result = err; done() }) })
	return result
}

func (r *rig) must(call func(done func(error))) {
	r.Helper()
	if err := r.err(call); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) open(name string) (f disk.File, size int64, err error) {
	r.Helper()
	r.await(func(done func()) {
		r.Open(name, func(gotF disk.File, gotSize int64, gotErr error) {
			f, size, err = gotF, gotSize, gotErr
			done()
		})
	})
	return f, size, err
}

func (r *rig) mustOpen(name string) disk.File {
	r.Helper()
	f, _, err := r.open(name)
	if err != nil {
		r.Fatal(err)
	}
	return f
}

func (r *rig) write(f disk.File, pos int64, bufs ...[]byte) {
	r.Helper()
	r.must(func(done func(error)) { f.WriteAt(bufs, pos, done) })
}

func (r *rig) create(name, text string) disk.File {
	r.Helper()
	f := r.mustOpen(name)
	r.write(f, 0, []byte(text))
	return f
}

func (r *rig) read(f disk.File, pos int64, n int) (string, error) {
	r.Helper()
	p := make([]byte, n)
	var err error
	r.await(func(done func()) {
		f.ReadAt(p, pos, func(gotN int, gotErr error) { n, err = gotN, gotErr; done() })
	})
	return string(p[:n]), err
}

func (r *rig) wantRead(f disk.File, pos int64, n int, want string) {
	r.Helper()
	if got, err := r.read(f, pos, n); err != nil || got != want {
		r.Errorf("read of %d at %d: %.60q, %v; want %.60q", n, pos, got, err, want)
	}
}

func (r *rig) list(dir string) (names []string, err error) {
	r.Helper()
	r.await(func(done func()) {
		r.List(dir, func(gotNames []string, gotErr error) { names, err = gotNames, gotErr; done() })
	})
	return names, err
}

func (r *rig) wantList(dir string, want ...string) {
	r.Helper()
	if got, err := r.list(dir); err != nil || !slices.Equal(got, want) {
		r.Errorf("list of %s: %q, %v; want %q", dir, got, err, want)
	}
}

func (r *rig) mkdir(dir string) {
	r.Helper()
	r.must(func(done func(error)) { r.Mkdir(dir, done) })
}

func (r *rig) wantErr(want error, call func(done func(error))) {
	r.Helper()
	if err := r.err(call); !errors.Is(err, want) {
		r.Errorf("got %v, want %v", err, want)
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		f := r.create("a", "hello")
		defer f.Close()
		r.wantRead(f, 0, 5, "hello")
		r.write(f, 1, []byte("EL"))
		r.wantRead(f, 0, 5, "hELlo")
		if f.Name() != "a" {
			t.Errorf("name %q", f.Name())
		}
	})
}

func TestVectoredWriteKeepsTheOrderOfBuffers(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		f := r.mustOpen("a")
		defer f.Close()
		r.write(f, 2, []byte("one"), nil, []byte("two"), []byte{}, []byte("three"))
		r.wantRead(f, 0, 99, "\x00\x00onetwothree")
	})
}

func TestLargeVectorsAreWrittenWhole(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		f := r.mustOpen("a")
		defer f.Close()
		var bufs [][]byte
		for i := range 3000 {
			bufs = append(bufs, bytes.Repeat([]byte{byte(i)}, i%200))
		}
		r.write(f, 7, bufs...)
		want := string(bytes.Join(bufs, nil))
		r.wantRead(f, 7, len(want), want)
		r.wantRead(f, 7, len(want)+100, want)
	})
}

func TestReadIsShortOnlyAtTheEnd(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		f := r.create("a", "hello")
		defer f.Close()
		r.wantRead(f, 3, 10, "lo")
		r.wantRead(f, 5, 10, "")
		r.wantRead(f, 50, 10, "")
		r.wantRead(f, 0, 0, "")
	})
}

func TestTruncateCutsAndExtendsWithZeros(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		f := r.create("a", "hello")
		defer f.Close()
		r.must(func(done func(error)) { f.Truncate(2, done) })
		r.wantRead(f, 0, 10, "he")
		r.must(func(done func(error)) { f.Truncate(4, done) })
		r.wantRead(f, 0, 10, "he\x00\x00")
	})
}

func TestOpenTellsTheSize(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		r.create("a", "hello").Close()
		f, size, err := r.open("a")
		if err != nil || size != 5 {
			t.Fatalf("size %d, %v", size, err)
		}
		defer f.Close()
		r.wantRead(f, 0, 5, "hello")
	})
}

func TestRenameReplacesAFile(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		old := r.create("a", "old")
		defer old.Close()
		r.create("a.tmp", "new").Close()
		r.must(func(done func(error)) { r.Rename("a.tmp", "a", done) })
		r.wantList(".", "a")
		f := r.mustOpen("a")
		defer f.Close()
		r.wantRead(f, 0, 9, "new")
		r.wantRead(old, 0, 9, "old")
	})
}

func TestRenameMovesADirectory(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		r.mkdir("t-0")
		open := r.create("t-0/log", "x")
		defer open.Close()
		r.must(func(done func(error)) { r.Rename("t-0", "t-0-delete", done) })
		r.wantList(".", "t-0-delete/")
		r.wantList("t-0-delete", "log")
		r.write(open, 1, []byte("y"))
		f := r.mustOpen("t-0-delete/log")
		defer f.Close()
		r.wantRead(f, 0, 9, "xy")
	})
}

func TestRemovedFileStaysReadableWhileOpen(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		r.mkdir("dir")
		f := r.create("dir/a", "hello")
		f.Retain()
		r.must(func(done func(error)) { r.Remove("dir", done) })
		r.wantList(".")
		f.Close()
		r.wantRead(f, 0, 9, "hello")
		f.Close()
	})
}

func TestCallsUnderWayHoldTheFileOpen(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		f := r.create("a", "hello")
		p := make([]byte, 5)
		r.await(func(done func()) {
			f.ReadAt(p, 0, func(n int, err error) {
				if n != 5 || err != nil {
					t.Errorf("read %d, %v", n, err)
				}
				done()
			})
			f.Close()
		})
	})
}

func TestListIsSortedAndMarksDirectories(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		for _, dir := range []string{"b", "a/x/y"} {
			r.mkdir(dir)
			r.mkdir(dir)
		}
		for _, name := range []string{"c", "a-1", "a/1"} {
			r.create(name, "").Close()
		}
		r.wantList(".", "a-1", "a/", "b/", "c")
		r.wantList("", "a-1", "a/", "b/", "c")
		r.wantList("a/", "1", "x/")
		r.wantList("a/x/y")
	})
}

func TestSyncAndSyncDirAnswer(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		r.mkdir("dir")
		f := r.create("dir/a", "hello")
		defer f.Close()
		r.must(f.Sync)
		r.must(func(done func(error)) { r.SyncDir("dir", done) })
		r.must(func(done func(error)) { r.SyncDir(".", done) })
	})
}

func TestWhatIsAbsentDoesNotExist(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		r.wantErr(disk.ErrNotExist, func(done func(error)) { r.Remove("a", done) })
		r.wantErr(disk.ErrNotExist, func(done func(error)) { r.Rename("a", "b", done) })
		r.wantErr(disk.ErrNotExist, func(done func(error)) { r.SyncDir("a", done) })
		if _, err := r.list("a"); !errors.Is(err, disk.ErrNotExist) {
			t.Errorf("list: %v", err)
		}
		if _, _, err := r.open("a/b"); !errors.Is(err, disk.ErrNotExist) {
			t.Errorf("open: %v", err)
		}
	})
}

func TestNamesAreConfinedToTheRoot(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		for _, name := range []string{"..", "../a", "/a", "a/../../b"} {
			if _, _, err := r.open(name); err == nil || errors.Is(err, disk.ErrNotExist) {
				t.Errorf("open of %q: %v", name, err)
			}
			if err := r.err(func(done func(error)) { r.Mkdir(name, done) }); err == nil {
				t.Errorf("mkdir of %q went well", name)
			}
		}
		if err := r.err(func(done func(error)) { r.Remove(".", done) }); err == nil {
			t.Error("the root was removed")
		}
	})
}

func TestDirectoryIsNotOpenedAsAFile(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		r.mkdir("dir")
		if _, _, err := r.open("dir"); err == nil {
			t.Error("opened")
		}
	})
}

func TestFailedSyncPoisonsTheFile(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		f := r.create("a", "hello")
		r.failSync(f)
		if err := r.err(f.Sync); err == nil || errors.Is(err, disk.ErrPoisoned) {
			t.Fatalf("the first: %v", err)
		}
		r.wantPoisoned(f)
		f.Close()
		again := r.mustOpen("a")
		defer again.Close()
		r.wantPoisoned(again)
	})
}

func (r *rig) wantPoisoned(f disk.File) {
	r.Helper()
	r.wantErr(disk.ErrPoisoned, f.Sync)
	r.wantErr(disk.ErrPoisoned, func(done func(error)) { f.WriteAt([][]byte{{1}}, 0, done) })
	r.wantErr(disk.ErrPoisoned, func(done func(error)) { f.Truncate(0, done) })
	if _, err := r.read(f, 0, 1); !errors.Is(err, disk.ErrPoisoned) {
		r.Errorf("read: %v", err)
	}
}

func TestManyCallsInFlightAllComplete(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		f := r.mustOpen("a")
		defer f.Close()
		const writes, size = 100, 5000
		r.await(func(done func()) {
			left := writes
			for i := range writes {
				b := bytes.Repeat([]byte{byte(i)}, size)
				f.WriteAt([][]byte{b[:size/2], b[size/2:]}, int64(i*size), func(err error) {
					if err != nil {
						t.Error(err)
					}
					if left--; left == 0 {
						done()
					}
				})
				if i%10 == 0 {
					f.Sync(func(error) {})
				}
			}
		})
		for i := range writes {
			r.wantRead(f, int64(i*size), size, string(bytes.Repeat([]byte{byte(i)}, size)))
		}
	})
}

func TestSpaceIsToldInALaterTurn(t *testing.T) {
	onEachDisk(t, func(r *rig) {
		told := false
		r.Space(func(total, usable int64, err error) {
			told = true
			if err != nil || usable > total || total < -1 || usable < -1 {
				r.Errorf("%d of %d bytes are usable: %v", usable, total, err)
			}
		})
		if told {
			r.Error("at once")
		}
		for !told {
			r.turn()
		}
	})
}

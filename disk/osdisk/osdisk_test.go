package osdisk

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lockstep/lockstep/disk"
)

// turns is a Poster whose turns are run by the test.
type turns chan func()

func (t turns) Post(f func()) { t <- f }

// unbounded enough for these tests, so that Post does not block.
func newTurns() turns { return make(turns, 1000) }

func newDisk(t testing.TB) (*Disk, turns) {
	p := newTurns()
	d, err := New(t.TempDir(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, p
}

func (t turns) run(n int) {
	for range n {
		(<-t)()
	}
}

func (t turns) open(tb testing.TB, d *Disk, name string) (file *File) {
	d.Open(name, func(f disk.File, _ int64, err error) {
		if err != nil {
			tb.Fatal(err)
		}
		file = f.(*File)
	})
	(<-t)()
	return file
}

func TestDirectoryIsLockedForOneDisk(t *testing.T) {
	root := t.TempDir()
	d, err := New(root, newTurns())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(root, newTurns()); err == nil || !strings.Contains(err.Error(), root) {
		t.Errorf("the second: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := New(root, newTurns())
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestLockFileIsReserved(t *testing.T) {
	d, p := newDisk(t)
	d.Open(lockName, func(_ disk.File, _ int64, err error) {
		if err == nil {
			t.Error("opened")
		}
	})
	(<-p)()
}

func TestSmallWriteIsOnTheFileBeforeTheCallReturns(t *testing.T) {
	d, p := newDisk(t)
	f := p.open(t, d, "a")
	defer f.Close()
	called := false
	f.WriteAt([][]byte{[]byte("hel"), []byte("lo")}, 0, func(err error) { called = err == nil })
	if got, err := os.ReadFile(filepath.Join(d.root, "a")); string(got) != "hello" || called {
		t.Errorf("%q, %v, done has run: %v", got, err, called)
	}
	(<-p)()
	if !called {
		t.Error("not done")
	}
}

func TestSmallWriteDoesNotOvertakeWhatIsPending(t *testing.T) {
	d, p := newDisk(t)
	f := p.open(t, d, "a")
	defer f.Close()
	for range 2 {
		f.Sync(func(error) {})
		if f.pending != 1 {
			t.Errorf("%d pending", f.pending)
		}
		f.WriteAt([][]byte{{1}}, 0, func(error) {})
		if f.pending != 2 {
			t.Errorf("the write did not queue: %d pending", f.pending)
		}
		p.run(2)
		if f.pending != 0 {
			t.Errorf("%d pending at the end", f.pending)
		}
	}
}

func TestErrorsOfTheSystemAreThoseOfTheSeam(t *testing.T) {
	d, p := newDisk(t)
	if err := os.Symlink("/dev/full", filepath.Join(d.root, "full")); err != nil {
		t.Skip(err)
	}
	f := p.open(t, d, "full")
	defer f.Close()
	for _, bufs := range [][][]byte{{{1}}, {{1}, {2}}, {make([]byte, inlineSize), {2}}} {
		f.WriteAt(bufs, 0, func(err error) {
			if !errors.Is(err, disk.ErrNoSpace) {
				t.Errorf("got %v", err)
			}
		})
		(<-p)()
	}
}

func TestCallsAfterCloseAnswerClosed(t *testing.T) {
	d, p := newDisk(t)
	f := p.open(t, d, "a")
	f.Close()
	check := func(err error) {
		if !errors.Is(err, disk.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
	f.Sync(check)
	f.WriteAt(nil, 0, check)
	f.ReadAt(nil, 0, func(_ int, err error) { check(err) })
	p.run(3)
	open := p.open(t, d, "b")
	defer open.Close()
	d.Close()
	open.Sync(check)
	d.Mkdir("x", check)
	p.run(2)
}

func TestCloseRunsAllThatIsQueuedAndEndsTheWorkers(t *testing.T) {
	w := newWorkers()
	var mu sync.Mutex
	ran := 0
	for range 1000 {
		w.submit(func() {
			mu.Lock()
			defer mu.Unlock()
			ran++
		})
	}
	w.close()
	if ran != 1000 {
		t.Errorf("%d ran", ran)
	}
	if w.started > maxWorkers {
		t.Errorf("%d workers", w.started)
	}
	if w.submit(func() {}) {
		t.Error("took a job after close")
	}
}

func TestSubmitNeverBlocks(t *testing.T) {
	w := newWorkers()
	stuck := make(chan struct{})
	for range 10 * maxWorkers {
		if !w.submit(func() { <-stuck }) {
			t.Fatal("refused")
		}
	}
	close(stuck)
	w.close()
}

func BenchmarkSmallAppend(b *testing.B) {
	d, p := newDisk(b)
	f := p.open(b, d, "a")
	defer f.Close()
	bufs, done, pos := [][]byte{make([]byte, 500), make([]byte, 524)}, func(error) {}, int64(0)
	b.ReportAllocs()
	for b.Loop() {
		f.WriteAt(bufs, pos%(1<<24), done)
		(<-p)()
		pos += 1024
	}
}

func BenchmarkCachedRead(b *testing.B) {
	d, p := newDisk(b)
	f := p.open(b, d, "a")
	defer f.Close()
	f.WriteAt([][]byte{make([]byte, 4096)}, 0, func(error) {})
	(<-p)()
	buf, done := make([]byte, 4096), func(int, error) {}
	b.ReportAllocs()
	for b.Loop() {
		f.ReadAt(buf, 0, done)
		(<-p)()
	}
}

// That they are synced is for a power cut to show; which they are is not.
func TestDirectoriesMadeForTheRootAreKnown(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "a", "b")
	if got, want := missingAt(root), []string{root, filepath.Dir(root)}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	d, err := New(root, newTurns())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if got := missingAt(root); len(got) > 0 {
		t.Errorf("%v are still missing", got)
	}
}

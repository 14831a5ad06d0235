package simdisk

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// machine is a node with a disk.
type machine struct {
	fataler
	*Disk
	world *virtual.World
	node  *virtual.Node
}

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func newMachine(t fataler, seed uint64, o Options) *machine {
	world := virtual.New(seed)
	node := world.Node(3)
	return &machine{t, New(node, seed, o), world, node}
}

func (m *machine) kill() Loss {
	m.node.Kill()
	return m.Kill()
}

func (m *machine) powerLoss() Loss {
	m.node.Kill()
	return m.PowerLoss()
}

// settle runs all that is under way.
func (m *machine) settle() {
	for m.world.Step() {
	}
}

func (m *machine) sleep(d time.Duration) { m.world.RunUntil(m.world.Now().Add(d)) }

func (m *machine) err(call func(done func(error))) error {
	m.Helper()
	result, finished := error(nil), false
	call(func(err error) { result, finished = err, true })
	for !finished && m.world.Step() {
	}
	if !finished {
		m.Fatal("never done")
	}
	return result
}

func (m *machine) must(call func(done func(error))) {
	m.Helper()
	if err := m.err(call); err != nil {
		m.Fatal(err)
	}
}

func (m *machine) open(name string) (file *File) {
	m.Helper()
	m.must(func(done func(error)) {
		m.Open(name, func(f disk.File, _ int64, err error) {
			file, _ = f.(*File)
			done(err)
		})
	})
	return file
}

func (m *machine) write(f disk.File, pos int64, b []byte) {
	m.Helper()
	m.must(func(done func(error)) { f.WriteAt([][]byte{b}, pos, done) })
}

func (m *machine) syncDir(dir string) {
	m.Helper()
	m.must(func(done func(error)) { m.SyncDir(dir, done) })
}

// durableFile makes a file with bytes that no power loss takes away.
func (m *machine) durableFile(name string, b []byte) *File {
	m.Helper()
	f := m.open(name)
	m.write(f, 0, b)
	m.must(f.Sync)
	m.syncDir(".")
	return f
}

func fill(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

func wantViolation(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if _, ok := recover().(invariant.Violation); !ok {
			t.Error("no violation")
		}
	}()
	f()
}

func TestPageCacheSurvivesAKill(t *testing.T) {
	m := newMachine(t, 1, Options{})
	f := m.open("a")
	m.write(f, 0, fill(1, 9000))
	if loss := m.kill(); loss != (Loss{}) {
		t.Errorf("lost %+v", loss)
	}
	if got := m.Peek("a"); !bytes.Equal(got, fill(1, 9000)) {
		t.Errorf("%d bytes left", len(got))
	}
}

func TestWritesInFlightAtAKillLandWhollyPartlyOrNotAtAll(t *testing.T) {
	var whole, part, none int
	for seed := range uint64(60) {
		m := newMachine(t, seed, Options{})
		f := m.durableFile("a", nil)
		f.WriteAt([][]byte{fill(1, 3000), fill(1, 2000)}, 0, nil)
		m.kill()
		got := m.Peek("a")
		switch {
		case !bytes.Equal(got, fill(1, len(got))):
			t.Fatal("other bytes")
		case len(got) == 5000:
			whole++
		case len(got) == 0:
			none++
		case len(got)%sector == 0:
			part++
		default:
			t.Fatalf("torn within a sector: %d", len(got))
		}
		m.settle()
	}
	if whole == 0 || part == 0 || none == 0 {
		t.Errorf("whole %d, part %d, none %d", whole, part, none)
	}
}

func TestUnsyncedWritesMayBeKeptLostTornOrLeaveHoles(t *testing.T) {
	const synced, size = 700, 64 * sector
	seen := map[string]int{}
	for seed := range uint64(200) {
		m := newMachine(t, seed, Options{})
		f := m.durableFile("a", fill(1, synced))
		m.write(f, synced, fill(2, size))
		loss := m.powerLoss()
		got := m.Peek("a")
		if !bytes.HasPrefix(got, fill(1, synced)) {
			t.Fatal("lost what was synced")
		}
		seen[fate(got[synced:], size, loss)]++
	}
	for _, fate := range []string{"kept", "lost", "lost, but not the size", "torn", "hole"} {
		if seen[fate] == 0 {
			t.Errorf("never %s: %v", fate, seen)
		}
	}
}

// fate names what became of a write of n times the byte 2.
func fate(got []byte, n int, loss Loss) string {
	twos := bytes.Count(got, []byte{2})
	switch {
	case int64(n-twos) != loss.Bytes:
		return "counted wrongly"
	case twos == n:
		return "kept"
	case len(got) == 0:
		return "lost"
	case twos == 0:
		return "lost, but not the size"
	case twos == len(got):
		return "torn"
	}
	return "hole"
}

func TestOverwriteThatIsLostLeavesTheOldBytes(t *testing.T) {
	for seed := range uint64(50) {
		m := newMachine(t, seed, Options{})
		f := m.durableFile("a", fill(1, 5000))
		m.write(f, 100, fill(2, 3000))
		m.must(func(done func(error)) { f.Truncate(4000, done) })
		m.write(f, 3500, fill(3, 2000))
		if got := m.PeekDurable("a"); !bytes.Equal(got, fill(1, 5000)) {
			t.Fatalf("durable: %d bytes, %d of them synced", len(got), bytes.Count(got, []byte{1}))
		}
		m.powerLoss()
		got := m.Peek("a")
		if len(got) < 4000 || !bytes.Equal(got[:100], fill(1, 100)) || slices.Contains(got[:3100], 0) || slices.Contains(got[:3100], 3) {
			t.Fatalf("seed %d: a byte that was never there", seed)
		}
	}
}

func TestSyncCoversOnlyWhatWasDoneBeforeIt(t *testing.T) {
	m := newMachine(t, 5, Options{SyncDelay: Range{time.Second, time.Second}})
	f := m.open("a")
	m.syncDir(".")
	m.write(f, 0, fill(1, 100))
	f.Sync(func(error) {})
	m.write(f, 100, fill(2, 100)) // appended, and yet not merged into what the Sync covers
	m.sleep(2 * time.Second)
	if got := m.PeekDurable("a"); !bytes.Equal(got, fill(1, 100)) {
		t.Errorf("durable: %v", got)
	}
}

func TestWorstPowerLossLeavesJustWhatIsDurable(t *testing.T) {
	m := newMachine(t, 7, Options{})
	f := m.durableFile("a", fill(1, 1000))
	m.write(f, 500, fill(2, 1000))
	m.must(func(done func(error)) { f.Truncate(100, done) })
	f.Sync(func(error) { t.Error("a sync under way was answered") })
	m.open("b")
	m.node.Kill()
	loss := m.WorstPowerLoss()
	m.settle()
	if got := m.Peek("a"); !bytes.Equal(got, fill(1, 1000)) || m.Peek("b") != nil {
		t.Errorf("%d bytes of a, %d as they were; files: %v", len(got), bytes.Count(got, []byte{1}), m.Names())
	}
	if loss != (Loss{Writes: 2, Bytes: 1000, Moves: 1}) {
		t.Errorf("lost %+v", loss)
	}
}

func TestOldChangesAreWrittenBackUnasked(t *testing.T) {
	for seed := range uint64(20) {
		m := newMachine(t, seed, Options{})
		f := m.open("a")
		m.write(f, 0, fill(1, 5000))
		m.sleep(40 * time.Second)
		if loss := m.powerLoss(); loss != (Loss{}) || len(m.Peek("a")) != 5000 {
			t.Fatalf("lost %+v", loss)
		}
	}
}

func TestChangesKeptDoNotGrowWithoutSync(t *testing.T) {
	m := newMachine(t, 1, Options{})
	f := m.open("a")
	for i := range int64(2000) {
		m.write(f, i*10, fill(1, 10))
		m.sleep(100 * time.Millisecond)
	}
	if n := len(f.node.changes); n > 60 {
		t.Errorf("%d changes", n)
	}
}

func TestDirectoryOperationsSurviveAsAPrefix(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	seen := map[int]bool{}
	for seed := range uint64(60) {
		m := newMachine(t, seed, Options{})
		for _, name := range names {
			m.open(name)
		}
		loss := m.powerLoss()
		left := m.Names()
		if !slices.Equal(left, names[:len(left)]) || loss.Moves != len(names)-len(left) {
			t.Fatalf("left %q, lost %+v", left, loss)
		}
		seen[len(left)] = true
	}
	if len(seen) != len(names)+1 {
		t.Errorf("lengths seen: %v", seen)
	}
}

func TestSyncDirCoversItsDirectoryOnly(t *testing.T) {
	var lost bool
	for seed := range uint64(30) {
		m := newMachine(t, seed, Options{})
		m.must(func(done func(error)) { m.Mkdir("x", done) })
		m.must(func(done func(error)) { m.Mkdir("y", done) })
		m.syncDir(".")
		m.open("x/1")
		m.open("y/1")
		m.syncDir("y")
		m.powerLoss()
		if !slices.Contains(m.Names(), "y/1") {
			t.Fatalf("lost a synced name: %q", m.Names())
		}
		lost = lost || !slices.Contains(m.Names(), "x/1")
	}
	if !lost {
		t.Error("an unsynced name was never lost")
	}
}

func TestSyncDirCoversOnlyWhatWasDoneBeforeIt(t *testing.T) {
	var lost bool
	for seed := range uint64(20) {
		m := newMachine(t, seed, Options{SyncDelay: Range{time.Second, time.Second}})
		m.open("a")
		m.SyncDir(".", func(error) {})
		m.open("b")
		m.sleep(2 * time.Second)
		m.powerLoss()
		if !slices.Contains(m.Names(), "a") {
			t.Fatal("lost a synced name")
		}
		lost = lost || len(m.Names()) == 1
	}
	if !lost {
		t.Error("the later name was never lost")
	}
}

func TestDirectoryIsLostWithItsFilesUnlessItsParentIsSynced(t *testing.T) {
	var lost bool
	for seed := range uint64(20) {
		m := newMachine(t, seed, Options{})
		m.must(func(done func(error)) { m.Mkdir("x", done) })
		m.open("x/1")
		m.syncDir("x")
		m.powerLoss()
		lost = lost || len(m.Names()) == 0
	}
	if !lost {
		t.Error("never lost")
	}
}

func TestRenameIsAtomicAndDurableAfterSyncDir(t *testing.T) {
	for seed := range uint64(60) {
		m := newMachine(t, seed, Options{})
		m.durableFile("a", []byte("old"))
		tmp := m.open("a.tmp")
		m.write(tmp, 0, []byte("new"))
		m.must(tmp.Sync)
		m.must(func(done func(error)) { m.Rename("a.tmp", "a", done) })
		synced := seed%2 == 0
		if synced {
			m.syncDir(".")
		}
		m.powerLoss()
		if got := string(m.Peek("a")); got != "new" && (synced || got != "old") {
			t.Fatalf("%q", got)
		}
	}
}

func TestRemovalThatIsNotSyncedMayComeBackWithItsBytes(t *testing.T) {
	var back bool
	for seed := range uint64(20) {
		m := newMachine(t, seed, Options{})
		m.durableFile("a", []byte("old")).Close()
		m.must(func(done func(error)) { m.Remove("a", done) })
		if m.Used() != 0 {
			t.Fatalf("%d bytes used", m.Used())
		}
		m.powerLoss()
		if len(m.Names()) > 0 {
			back = true
			if string(m.Peek("a")) != "old" || m.Used() != 3 {
				t.Fatalf("%q, %d used", m.Peek("a"), m.Used())
			}
		}
	}
	if !back {
		t.Error("never")
	}
}

func TestSameSeedSameOutcome(t *testing.T) {
	run := func(seed uint64) (digest uint64, left []byte) {
		m := newMachine(t, seed, Options{})
		f := m.durableFile("a", fill(1, 1000))
		for i := range int64(20) {
			f.WriteAt([][]byte{fill(byte(i), 2000)}, i*700, func(error) {})
		}
		m.sleep(30 * time.Microsecond)
		m.powerLoss()
		return m.world.Digest(), m.Peek("a")
	}
	digest, left := run(7)
	again, leftAgain := run(7)
	other, leftOther := run(8)
	if digest != again || !bytes.Equal(left, leftAgain) {
		t.Error("the same seed went another way")
	}
	if digest == other || bytes.Equal(left, leftOther) {
		t.Error("another seed went the same way")
	}
}

func TestOperationsInFlightCompleteInAnyOrder(t *testing.T) {
	m := newMachine(t, 1, Options{})
	f := m.open("a")
	var order []int
	for i := range 10 {
		f.WriteAt([][]byte{{byte(i)}}, 0, func(error) { order = append(order, i) })
	}
	m.settle()
	if len(order) != 10 || slices.IsSorted(order) {
		t.Errorf("order %v", order)
	}
	if got := m.Peek("a")[0]; int(got) != order[9] {
		t.Errorf("%d was written last, %d is left", order[9], got)
	}
}

func TestBytesChangedBeforeDoneAreCaught(t *testing.T) {
	m := newMachine(t, 1, Options{})
	f := m.open("a")
	b := fill(1, 100)
	f.WriteAt([][]byte{b}, 0, func(error) {})
	b[50] = 2
	wantViolation(t, m.settle)
}

func TestUseAfterTheLastCloseIsCaught(t *testing.T) {
	m := newMachine(t, 1, Options{})
	f := m.open("a")
	f.Retain()
	f.Close()
	m.write(f, 0, []byte("x"))
	f.Close()
	wantViolation(t, func() { f.WriteAt([][]byte{{1}}, 0, nil) })
	wantViolation(t, func() { f.Retain() })
	wantViolation(t, func() { f.Close() })
	wantViolation(t, func() { ReadRegion(disk.Region{File: f, Len: 1}, make([]byte, 1)) })
}

func TestHandlesOfADeadIncarnationDoNothing(t *testing.T) {
	m := newMachine(t, 1, Options{})
	f := m.durableFile("a", []byte("x"))
	f.ReadAt(make([]byte, 1), 0, func(int, error) { t.Error("a dead callback ran") })
	m.kill()
	f.WriteAt([][]byte{{1}}, 0, func(error) { t.Error("a dead handle wrote") })
	f.Sync(func(error) { t.Error("a dead handle synced") })
	f.Close()
	f.Close()
	m.settle()
	m.write(m.open("a"), 1, []byte("y"))
	if got := string(m.Peek("a")); got != "xy" {
		t.Errorf("%q", got)
	}
}

func TestTurnThatKillsItsNodeDoesNothingMore(t *testing.T) {
	for seed := range uint64(10) {
		m := newMachine(t, seed, Options{})
		f := m.durableFile("a", []byte("x"))
		m.node.Post(func() {
			m.kill()
			m.Remove("a", func(error) { t.Error("a dead callback ran") })
			f.WriteAt([][]byte{{1}}, 0, nil)
		})
		m.settle()
		if m.kill(); string(m.Peek("a")) != "x" {
			t.Fatalf("the dead removed or wrote: %q", m.Peek("a"))
		}
	}
}

func TestFullDiskTakesWhatFits(t *testing.T) {
	m := newMachine(t, 1, Options{Capacity: 1000})
	f := m.durableFile("a", fill(1, 600))
	write := func(done func(error)) { f.WriteAt([][]byte{fill(2, 600)}, 600, done) }
	if err := m.err(write); !errors.Is(err, disk.ErrNoSpace) {
		t.Fatalf("write: %v", err)
	}
	if n := len(m.Peek("a")); n != 1000 || m.Used() != 1000 {
		t.Errorf("%d bytes, %d used", n, m.Used())
	}
	if err := m.err(func(done func(error)) { f.Truncate(1001, done) }); !errors.Is(err, disk.ErrNoSpace) {
		t.Errorf("truncate: %v", err)
	}
	m.write(f, 0, fill(3, 1000)) // overwriting needs no space
	m.SetCapacity(2000)
	m.must(write)
}

func TestSpaceIsFreeOnlyAfterTheLastClose(t *testing.T) {
	m := newMachine(t, 1, Options{})
	f := m.durableFile("a", fill(1, 600))
	m.must(func(done func(error)) { m.Remove("a", done) })
	if m.Used() != 600 {
		t.Errorf("%d used while open", m.Used())
	}
	f.Close()
	if m.Used() != 0 {
		t.Errorf("%d used", m.Used())
	}
}

func TestFaultsLastUntilCleared(t *testing.T) {
	m := newMachine(t, 1, Options{})
	f := m.durableFile("a", fill(1, 600))
	write := func(done func(error)) { f.WriteAt([][]byte{{1}}, 0, done) }
	read := func(done func(error)) { f.ReadAt(make([]byte, 1), 0, func(_ int, err error) { done(err) }) }
	m.FailWrites(disk.ErrIO)
	m.FailReads(disk.ErrIO)
	for range 2 {
		if err := errors.Join(m.err(write), m.err(read)); !errors.Is(err, disk.ErrIO) {
			t.Errorf("%v", err)
		}
	}
	m.FailWrites(nil)
	m.FailReads(nil)
	m.must(write)
	m.must(read)
	m.FailNext(OpRead, disk.ErrIO)
	if err := m.err(read); !errors.Is(err, disk.ErrIO) {
		t.Errorf("%v", err)
	}
	m.must(read)
}

func TestFailureWaitsForAFileOfItsName(t *testing.T) {
	m := newMachine(t, 1, Options{})
	writeTo := func(name string) func(done func(error)) {
		f := m.durableFile(name, fill(1, 10))
		return func(done func(error)) { f.WriteAt([][]byte{{1}}, 0, done) }
	}
	toA, toB := writeTo("a"), writeTo("b")
	m.FailNextOf(func(name string) bool { return name == "b" }, OpWrite, disk.ErrIO)
	m.must(toA)
	if err := m.err(toB); !errors.Is(err, disk.ErrIO) {
		t.Errorf("%v", err)
	}
	m.must(toB)
}

func TestFailedSyncMakesNothingDurableAndIsForgottenByTheNextIncarnation(t *testing.T) {
	m := newMachine(t, 1, Options{})
	f := m.durableFile("a", fill(1, 10))
	m.write(f, 10, fill(2, 10))
	m.FailSyncs(disk.ErrIO)
	if err := m.err(f.Sync); !errors.Is(err, disk.ErrIO) {
		t.Fatal(err)
	}
	if got := m.PeekDurable("a"); len(got) != 10 {
		t.Errorf("%d bytes durable", len(got))
	}
	m.FailSyncs(nil)
	if err := m.err(f.Sync); !errors.Is(err, disk.ErrPoisoned) {
		t.Fatal(err)
	}
	m.kill()
	m.must(m.open("a").Sync)
}

func TestFrozenDiskCompletesNothingUntilThawed(t *testing.T) {
	m := newMachine(t, 1, Options{})
	f := m.open("a")
	m.Freeze()
	finished := 0
	for i := range int64(5) {
		f.WriteAt([][]byte{{1}}, i, func(error) { finished++ })
	}
	m.sleep(time.Minute)
	if finished != 0 || len(m.Peek("a")) != 0 {
		t.Errorf("%d completed", finished)
	}
	m.Thaw()
	if finished != 0 {
		t.Error("completed within Thaw")
	}
	m.settle()
	if finished != 5 || len(m.Peek("a")) != 5 {
		t.Errorf("%d completed", finished)
	}
}

func TestFrozenDiskServesTheNextIncarnationAfterThaw(t *testing.T) {
	m := newMachine(t, 1, Options{})
	f := m.open("a")
	m.Freeze()
	f.WriteAt([][]byte{{1}}, 0, func(error) { t.Error("a dead callback ran") })
	m.sleep(time.Second)
	m.kill()
	m.Thaw()
	m.write(m.open("a"), 0, []byte("x"))
}

func TestSlowDiskIsSlower(t *testing.T) {
	m := newMachine(t, 1, Options{WriteDelay: Range{time.Millisecond, time.Millisecond}})
	f := m.open("a")
	m.SetSlow(1000)
	start := m.world.Now()
	m.write(f, 0, []byte("x"))
	if took := m.world.Now().Sub(start); took != time.Second {
		t.Errorf("took %v", took)
	}
}

func TestCorruptBitFlipsOneBit(t *testing.T) {
	m := newMachine(t, 1, Options{})
	m.durableFile("a", []byte{0, 0})
	if !m.CorruptBit("a", 1, 3) || m.CorruptBit("a", 2, 0) || m.CorruptBit("b", 0, 0) {
		t.Error("wrong report")
	}
	m.powerLoss()
	if got := m.Peek("a"); !bytes.Equal(got, []byte{0, 8}) {
		t.Errorf("%v", got)
	}
}

func TestRegionReadsARemovedFile(t *testing.T) {
	m := newMachine(t, 1, Options{})
	f := m.durableFile("a", []byte("hello"))
	m.must(func(done func(error)) { m.Remove("a", done) })
	p := make([]byte, 3)
	if n := ReadRegion(disk.Region{File: f, Pos: 1, Len: 3}, p); n != 3 || string(p) != "ell" {
		t.Errorf("%q", p[:n])
	}
}

func TestPeekTellsAnEmptyFileFromNone(t *testing.T) {
	m := newMachine(t, 1, Options{})
	m.open("a")
	if m.Peek("a") == nil || m.Peek("b") != nil || m.PeekDurable("a") != nil {
		t.Error("wrong")
	}
	m.syncDir(".")
	if m.PeekDurable("a") == nil {
		t.Error("the name is durable")
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	m := newMachine(t, 1, Options{})
	f := m.open("a")
	appendOne := appender(m, f, 100)
	for range 10_000 {
		appendOne()
	}
	if n := testing.AllocsPerRun(1000, appendOne); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// appender returns a function that appends n bytes and waits for done.
func appender(m *machine, f *File, n int) func() {
	bufs, pos, finished := [][]byte{fill(1, n)}, int64(0), false
	done := func(error) { finished = true }
	return func() {
		finished = false
		f.WriteAt(bufs, pos, done)
		pos += int64(n)
		for !finished {
			m.world.Step()
		}
	}
}

func BenchmarkAppend1K(b *testing.B) {
	m := newMachine(b, 1, Options{})
	f := m.open("a")
	appendOne := appender(m, f, 1024)
	b.ReportAllocs()
	for i := 1; b.Loop(); i++ {
		appendOne()
		if i%4096 == 0 { // a segment rolls
			appendOne = appender(m, f, 1024)
			f.node.content = content{data: f.node.data[:0]}
		}
	}
}

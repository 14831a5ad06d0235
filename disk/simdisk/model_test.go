package simdisk

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is what a file may look like: for each byte the values it may have, and the sizes possible.
type model struct {
	seen             []byte // what reads see; meaningless while a write is in flight
	may              [][]byte
	minSize, maxSize int
}

func (m *model) write(pos int, b []byte) {
	if len(b) == 0 {
		return // does not even extend the file
	}
	m.resize(max(len(m.seen), pos+len(b)))
	copy(m.seen[pos:], b)
	for i, v := range b {
		m.may[pos+i] = append(m.may[pos+i], v)
	}
}

// resize is a truncation, or what a write does to the size.
func (m *model) resize(size int) {
	for len(m.seen) < size {
		m.seen = append(m.seen, 0)
	}
	m.seen = m.seen[:size]
	for len(m.may) < size {
		m.may = append(m.may, []byte{0})
	}
	for i := m.minSize; i < size; i++ {
		m.may[i] = append(m.may[i], 0) // a hole, if an earlier size was smaller
	}
	m.minSize, m.maxSize = min(m.minSize, size), max(m.maxSize, size)
}

// settle makes b the only thing possible.
func (m *model) settle(b []byte) {
	m.seen, m.may = slices.Clone(b), nil
	for _, v := range b {
		m.may = append(m.may, []byte{v})
	}
	m.minSize, m.maxSize = len(b), len(b)
}

func (m *model) check(t *rapid.T, got []byte) {
	if len(got) < m.minSize || len(got) > m.maxSize {
		t.Fatalf("size %d, not in %d..%d", len(got), m.minSize, m.maxSize)
	}
	for i, v := range got {
		if !slices.Contains(m.may[i], v) {
			t.Fatalf("byte %d is %d, may be %v", i, v, m.may[i])
		}
	}
}

// TestPowerLossTakesNothingThatWasSynced runs random calls and deaths against the model.
func TestPowerLossTakesNothingThatWasSynced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t, rapid.Uint64().Draw(t, "seed"), Options{})
		f := m.durableFile("a", nil)
		var want model
		drawWrite := func() (int, []byte) {
			pos := rapid.IntRange(0, len(want.seen)+600).Draw(t, "pos")
			if rapid.Bool().Draw(t, "append") {
				pos = len(want.seen)
			}
			return pos, fill(rapid.Byte().Draw(t, "byte"), rapid.IntRange(0, 3000).Draw(t, "len"))
		}
		die := func(f *File) *File {
			want.check(t, m.Peek("a"))
			m.settle()
			return m.open("a")
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": func(*rapid.T) {
				pos, b := drawWrite()
				m.write(f, int64(pos), b)
				want.write(pos, b)
			},
			"truncate": func(*rapid.T) {
				size := rapid.IntRange(0, len(want.seen)+300).Draw(t, "size")
				m.must(func(done func(error)) { f.Truncate(int64(size), done) })
				want.resize(size)
			},
			"sync": func(*rapid.T) {
				m.must(f.Sync)
				want.settle(m.Peek("a"))
			},
			"sleep": func(*rapid.T) { m.sleep(time.Second) },
			"kill in flight": func(*rapid.T) {
				pos, b := drawWrite()
				f.WriteAt([][]byte{b}, int64(pos), nil)
				want.write(pos, b)
				m.kill()
				f = die(f)
				want.seen = slices.Clone(m.Peek("a"))
			},
			"power loss": func(*rapid.T) {
				m.powerLoss()
				f = die(f)
				want.settle(m.Peek("a"))
			},
			"": func(t *rapid.T) {
				want.check(t, m.PeekDurable("a"))
				if got := m.Peek("a"); !slices.Equal(got, want.seen) {
					t.Fatalf("reads see %d bytes, not %d, or others", len(got), len(want.seen))
				}
			},
		})
	})
}

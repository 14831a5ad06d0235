package simdisk

import (
	"math/rand/v2"

	"github.com/lockstep/lockstep/scheduler"
)

// move is a directory operation: a creation has no from, a removal no to.
type move struct {
	stamp    uint64
	at       scheduler.Instant
	node     *inode
	from, to place
}

func (m *move) touches(dir *inode) bool { return m.from.dir == dir || m.to.dir == dir }

// settle makes the move durable.
func (m *move) settle() {
	if m.from.dir != nil {
		delete(m.from.dir.durable, m.from.name)
	}
	if m.to.dir == nil {
		m.node.end()
		return
	}
	replaced := m.to.dir.durable[m.to.name]
	m.to.dir.durable[m.to.name] = m.node
	if replaced != nil {
		replaced.end()
	}
}

// journal is the directory operations that are not durable, in order.
type journal struct {
	moves  []move
	clock  uint64
	chosen []bool // of the latest sync
}

// add appends a move, and settles those that the system has long written unasked.
func (j *journal) add(m move, now scheduler.Instant, writeback Range) {
	n := 0
	for n < len(j.moves) && now.Sub(j.moves[n].at) >= writeback.Max {
		n++
	}
	j.settlePrefix(n)
	j.clock++
	m.stamp, m.at = j.clock, now
	j.moves = append(j.moves, m)
}

func (j *journal) settlePrefix(n int) {
	for i := range j.moves[:n] {
		j.moves[i].settle()
	}
	j.moves = j.moves[n:]
}

// sync settles the moves in dir up to a stamp, and with each the earlier ones of the same names (so
// also of the same file, which left each name for the next): without those it would have no meaning.
func (j *journal) sync(dir *inode, upTo uint64) {
	var elsewhere map[place]bool // places of other directories, of files that came from there or went there
	j.chosen = append(j.chosen[:0], make([]bool, len(j.moves))...)
	for i := len(j.moves) - 1; i >= 0; i-- {
		m := &j.moves[i]
		if j.chosen[i] = m.stamp <= upTo && (m.touches(dir) || elsewhere[m.from] || elsewhere[m.to]); j.chosen[i] {
			elsewhere = m.addElsewhere(elsewhere, dir)
		}
	}
	rest := j.moves[:0]
	for i := range j.moves {
		if j.chosen[i] {
			j.moves[i].settle()
		} else {
			rest = append(rest, j.moves[i])
		}
	}
	clear(j.moves[len(rest):])
	j.moves = rest
}

// addElsewhere adds the places of a move that are not in dir.
func (m *move) addElsewhere(places map[place]bool, dir *inode) map[place]bool {
	for _, p := range [...]place{m.from, m.to} {
		if p.dir == nil || p.dir == dir { // a creation's from, a removal's to; or it touches dir anyway
			continue
		}
		if places == nil {
			places = map[place]bool{}
		}
		places[p] = true
	}
	return places
}

// losePower settles the moves up to a random one and drops the others.
func (j *journal) losePower(random *rand.Rand, now scheduler.Instant, writeback Range, loss *Loss) {
	kept := random.IntN(len(j.moves) + 1)
	for kept < len(j.moves) && int64(now.Sub(j.moves[kept].at)) >= between(random, writeback) {
		kept++
	}
	loss.Moves += len(j.moves) - kept
	j.settlePrefix(kept)
	j.moves = nil
}

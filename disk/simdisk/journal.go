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
	if m.to.dir != nil {
		m.to.dir.durable[m.to.name] = m.node
	}
}

// journal is the directory operations that are not durable, in order.
type journal struct {
	moves []move
	clock uint64
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
	places := map[place]bool{}
	chosen := make([]bool, len(j.moves))
	for i := len(j.moves) - 1; i >= 0; i-- {
		m := &j.moves[i]
		chosen[i] = m.stamp <= upTo && (m.touches(dir) || places[m.from] || places[m.to])
		if chosen[i] {
			places[m.from], places[m.to] = true, true
			delete(places, place{}) // a creation's from, a removal's to
		}
	}
	rest := j.moves[:0]
	for i, m := range j.moves {
		if chosen[i] {
			m.settle()
		} else {
			rest = append(rest, m)
		}
	}
	clear(j.moves[len(rest):])
	j.moves = rest
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

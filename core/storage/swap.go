package storage

import (
	"cmp"
	"strings"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/disk"
)

// replaceSegments puts a cleaned segment in the place of those that it was made from. It runs alone among the log's disk operations.
//
// The new files are durable as .cleaned, which a recovery throws away. Once the log file is durably a .swap, a recovery goes on with what
// is done here (Kafka's replaceSegments). A truncation, or retention, that came before that undoes it: their own disk operations wait behind.
func (l *Log) replaceSegments(w *groupWriter, done func(error)) {
	base := w.made.base
	check := func(next func(error)) {
		if w.ended() != nil || !w.areTheLogs() || w.areBeingIndexed() {
			next(errAbandoned)
			return
		}
		next(nil)
	}
	commit := func(next func(error)) {
		steps(next,
			func(next func(error)) { l.renameFiles(base, cleanedSuffix, swapSuffix, next) },
			func(next func(error)) { l.env.Disk.SyncDir(l.dir, next) })
	}
	steps(done, check, commit, func(next func(error)) {
		check(func(err error) {
			if err != nil {
				l.undoSwap(w, err, next)
				return
			}
			l.adoptSwap(w)
			l.finishSwap(w, next)
		})
	})
}

// undoSwap takes a swap back that was not yet acted upon.
func (l *Log) undoSwap(w *groupWriter, why error, done func(error)) {
	w.made.close()
	steps(func(err error) { done(cmp.Or(err, why)) },
		func(next func(error)) { l.removeFiles(w.made.base, swapSuffix, next) },
		func(next func(error)) { l.env.Disk.SyncDir(l.dir, next) })
}

// adoptSwap makes the new segment the log's. Reads that are under way find that theirs was removed, and begin anew; regions given out
// keep their files.
func (l *Log) adoptSwap(w *groupWriter) {
	for _, g := range w.old {
		g.removed = true
		l.segments.tree.Delete(g)
	}
	w.made.stored = false
	l.segments.tree.ReplaceOrInsert(w.made)
	l.recent.forgetBelow(w.end)
	l.layout++
	l.emitBatch(event.SegmentsReplaced, -1, w.made.base, w.end-w.made.base, nil)
}

func (l *Log) finishSwap(w *groupWriter, done func(error)) {
	inner := func(at int64) bool {
		for _, g := range w.old[1:] {
			if g.base == at {
				return true
			}
		}
		return false
	}
	steps(done,
		func(next func(error)) { l.removeReplaced(w.old, next) },
		func(next func(error)) { l.renameFiles(w.made.base, swapSuffix, "", next) },
		func(next func(error)) { l.env.Disk.SyncDir(l.dir, next) },
		func(next func(error)) {
			w.made.stored = true
			l.dropOldIndexes()
			l.removeSnapshots(inner, next)
		})
}

// removeReplaced removes the files of segments in whose place a .swap is, in any order: a recovery removes what is left of them.
func (l *Log) removeReplaced(old []*segment, done func(error)) {
	steps(done,
		func(next func(error)) {
			sequence(len(old), func(i int, next func(error)) {
				old[i].close()
				l.removeFiles(old[i].base, "", next)
			}, next)
		},
		func(next func(error)) { l.env.Disk.SyncDir(l.dir, next) })
}

// segmentSuffixes are of the files that a segment may have; the log itself is the last.
var segmentSuffixes = [...]string{txnIndexSuffix, timeIndexSuffix, indexSuffix, logSuffix}

// removeFiles removes a segment's files that have another suffix behind their own.
func (l *Log) removeFiles(base int64, suffix string, done func(error)) {
	sequence(len(segmentSuffixes), func(i int, next func(error)) {
		removeFile(l.env.Disk, l.pathOf(base, segmentSuffixes[i], suffix), next)
	}, done)
}

// renameFiles gives a segment's files another suffix behind their own, the log's last.
func (l *Log) renameFiles(base int64, from, to string, done func(error)) {
	sequence(len(segmentSuffixes), func(i int, next func(error)) {
		suffix := segmentSuffixes[i]
		renameFile(l.env.Disk, l.pathOf(base, suffix, from), l.pathOf(base, suffix, to), next)
	}, done)
}

// finishSwaps goes on with a swap that a crash interrupted after its log file had become a .swap: what it replaces is removed, and
// it takes its name. Its indexes are made anew.
func (p *opener) finishSwaps(next func(error)) {
	var swaps []int64
	for _, name := range p.names {
		if plain, is := strings.CutSuffix(name, swapSuffix); is {
			if base, ok := parseFileName(plain, logSuffix); ok {
				swaps = append(swaps, base)
			}
		}
	}
	if len(swaps) == 0 {
		next(nil)
		return
	}
	steps(next,
		func(next func(error)) {
			sequence(len(swaps), func(i int, next func(error)) { p.finishSwap(swaps[i], next) }, next)
		},
		p.list)
}

func (p *opener) finishSwap(base int64, next func(error)) {
	l := p.log
	var gone []int64
	name := l.pathOf(base, logSuffix)
	steps(next,
		func(next func(error)) {
			l.endOfFile(name+swapSuffix, base, func(end int64, err error) {
				gone = p.basesBetween(base, end)
				next(err)
			})
		},
		func(next func(error)) {
			sequence(len(gone), func(i int, next func(error)) { l.removeFiles(gone[i], "", next) }, next)
		},
		func(next func(error)) { l.env.Disk.SyncDir(l.dir, next) },
		func(next func(error)) { l.env.Disk.Rename(name+swapSuffix, name, next) },
		func(next func(error)) { l.env.Disk.SyncDir(l.dir, next) })
}

// basesBetween lists the segments of which there are files, with bases in [from, to), from itself in any case.
func (p *opener) basesBetween(from, to int64) []int64 {
	all := []int64{from}
	for _, name := range p.names {
		if base, ok := parseFileName(name, logSuffix); ok && base > from && base < to {
			all = append(all, base)
		}
	}
	return all
}

// endOfFile is where the batches in a file end that are written as a segment from base on.
func (l *Log) endOfFile(name string, base int64, done func(end int64, err error)) {
	l.env.Disk.Open(name, func(f disk.File, size int64, err error) {
		if err != nil {
			done(base, err)
			return
		}
		end := base
		s := scan{env: l.env, file: f, end: size}
		s.visit = func(b record.Batch, _ int64) bool {
			end = b.NextOffset()
			return true
		}
		s.done = func(_ int64, err error) {
			f.Close()
			done(end, err)
		}
		s.start()
	})
}

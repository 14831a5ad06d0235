package raft

import (
	"slices"

	"github.com/lockstep/lockstep/scheduler"
)

// purgatory holds the fetches that wait at the leader for records or a high watermark, in the order they came.
type purgatory struct {
	n        *Node
	waiting  []*fetch
	timer    scheduler.Timer // armed for the earliest deadline while something waits
	deadline scheduler.Instant
}

func (p *purgatory) add(f *fetch) {
	p.waiting = append(p.waiting, f)
	p.arm()
}

// onAppend lets go those whose offset now has a record.
func (p *purgatory) onAppend(end int64) {
	p.complete(func(f *fetch) bool { return f.offset < end })
}

// onHighWatermark lets go those that do not know hw yet.
func (p *purgatory) onHighWatermark(hw int64) {
	p.complete(func(f *fetch) bool { return f.hw < hw })
}

// abort lets all go: the leadership has ended, and their answer says so.
func (p *purgatory) abort() {
	p.complete(func(*fetch) bool { return true })
	p.stop()
}

func (p *purgatory) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

// complete answers the fetches that are due, at the end of the step: by then the state is settled.
func (p *purgatory) complete(due func(*fetch) bool) {
	p.waiting = slices.DeleteFunc(p.waiting, func(f *fetch) bool {
		if !due(f) {
			return false
		}
		p.n.say(func() { f.try(false) })
		return true
	})
}

// arm makes the timer fire at the earliest deadline. A timer that fires too early is armed again:
// cheaper than one timer a fetch.
func (p *purgatory) arm() {
	if len(p.waiting) == 0 {
		return
	}
	earliest := p.waiting[0].deadline
	for _, f := range p.waiting[1:] {
		earliest = min(earliest, f.deadline)
	}
	now := p.n.env.Loop.Now()
	switch {
	case p.timer == nil:
		p.timer = p.n.env.Loop.AfterFunc(earliest.Sub(now), func() { p.n.step(p.onTimer) })
	case p.deadline > now && p.deadline <= earliest:
		return // still armed, early enough
	default:
		p.timer.Reset(earliest.Sub(now))
	}
	p.deadline = earliest
}

func (p *purgatory) onTimer() {
	now := p.n.env.Loop.Now()
	p.complete(func(f *fetch) bool { return f.deadline <= now })
	p.arm()
}

package raft

import (
	"time"

	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sender is what a node needs of wire.Peers. done runs once, in a later turn.
type sender interface {
	send(to network.Addr, req kmsg.Request, timeout time.Duration, done func(reply, error))
}

// reply is an answer whose bytes are lent until release.
type reply struct {
	body    kmsg.Response
	frame   *network.Frame
	release func()
}

// lanes sends fetches, which the leader may hold, apart from what must not wait behind them.
type lanes struct{ votes, fetches *wire.Peers }

func newLanes(p *wire.Peers) lanes { return lanes{p.Lane("raft"), p.Lane("raft fetch")} }

func (l lanes) send(to network.Addr, req kmsg.Request, timeout time.Duration, done func(reply, error)) {
	p := l.votes
	switch req.(type) {
	case *kmsg.FetchRequest, *kmsg.FetchSnapshotRequest:
		p = l.fetches
	}
	p.Send(to, req, timeout, func(r *wire.Response, err error) {
		if err != nil {
			done(reply{}, err)
			return
		}
		done(reply{body: r.Body, frame: r.Frame(), release: r.Release}, nil)
	})
}

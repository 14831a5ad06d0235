package simnet_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/network/simnet"
)

// What comes is a prefix of what was sent, all of it if nothing closed; every done runs once;
// Closed comes to both sides or to none, once all links are whole and both have spoken.
func TestAConnectionIsAPrefixOfWhatWasSentUnderAnyFaults(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		x := connected(t, rapid.Uint64().Draw(rt, "seed"), simnet.Options{Window: 2000})
		ends := []*traffic{{end: x.a}, {end: x.b}}
		ops := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) op {
			return op{rapid.SampledFrom(kinds).Draw(rt, "kind"), rapid.IntRange(0, 1).Draw(rt, "side"), rapid.IntRange(0, 4000).Draw(rt, "n")}
		}), 0, 60).Draw(rt, "ops")
		for _, o := range ops {
			o.apply(x, ends)
		}
		x.n.HealAll()
		for _, e := range ends {
			e.node.Resume()
			e.read(true)
		}
		x.run(time.Minute)
		for _, e := range ends {
			e.send(1)
		}
		x.run(time.Minute)
		for i, e := range ends {
			e.check(rt, ends[1-i])
		}
	})
}

var kinds = []string{"send", "send", "send", "run", "run", "cut", "heal", "clog", "unclog", "slow", "reset", "pause", "resume", "mute", "read", "close"}

type op struct {
	kind string
	side int
	n    int
}

func (o op) apply(x *world, ends []*traffic) {
	e, peer := ends[o.side], ends[1-o.side]
	from, to := e.host.Name(), peer.host.Name()
	switch o.kind {
	case "send":
		e.send(o.n)
	case "run":
		x.run(time.Duration(o.n) * time.Duration(o.n) * time.Microsecond)
	case "cut":
		x.n.Cut(from, to)
	case "heal":
		x.n.Heal(from, to)
	case "clog":
		x.n.Clog(from, to)
	case "unclog":
		x.n.Unclog(from, to)
	case "slow":
		x.n.SetBandwidth(from, to, 1000+int64(o.n))
	case "reset":
		if o.n < 300 {
			x.n.Reset(from, to)
		}
	case "pause":
		e.node.Pause()
	case "resume":
		e.node.Resume()
	case "mute", "read":
		e.read(o.kind == "read")
	case "close":
		if o.n < 300 {
			e.conn.Close()
			e.ended = true
		}
	}
}

// traffic is one side and what it has sent.
type traffic struct {
	*end
	sent  []string
	dones []int
	ended bool // Close was called
}

func (e *traffic) isOpen() bool { return !e.ended && e.closed == nil }

func (e *traffic) send(size int) {
	if !e.isOpen() {
		return
	}
	i := len(e.sent)
	e.sent = append(e.sent, fmt.Sprintf("%d %*d", i, size, 0))
	e.dones = append(e.dones, 0)
	e.conn.Send([]network.Chunk{{Bytes: []byte(e.sent[i])}}, func(error) { e.dones[i]++ })
}

func (e *traffic) read(on bool) {
	if e.isOpen() {
		e.conn.SetReading(on)
	}
}

func (e *traffic) check(t *rapid.T, peer *traffic) {
	if len(e.got) > len(peer.sent) {
		t.Fatalf("%d frames came of %d", len(e.got), len(peer.sent))
	}
	for i, text := range e.got {
		if text != peer.sent[i] {
			t.Fatalf("frame %d is wrong", i)
		}
	}
	if e.closed == nil && len(e.got) < len(peer.sent) {
		t.Fatalf("%d frames of %d came, and the connection lives", len(e.got), len(peer.sent))
	}
	if (e.closed == nil) != (peer.closed == nil) {
		t.Fatalf("closed with %v here and %v there", e.closed, peer.closed)
	}
	if e.ended && !errors.Is(e.closed, network.ErrClosed) && !errors.Is(e.closed, network.ErrReset) {
		t.Fatalf("closed with %v", e.closed)
	}
	for i, n := range e.dones {
		if n != 1 {
			t.Fatalf("done %d ran %d times", i, n)
		}
	}
}

package simnet_test

import (
	"testing"
	"time"

	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/network/simnet"
)

func TestLostConnectionIsSilentUntilItsReset(t *testing.T) {
	x := connected(t, 1, simnet.Options{RetransmitTimeout: time.Minute})
	lost := x.n.LoseConnections("a", "b")
	old := x.a.conn
	x.a.send("1")
	x.b.send("2")
	x.run(5 * time.Second)
	x.wantGot(x.b)
	x.wantGot(x.a)
	x.wantClosed(x.a, nil)
	if lost.Stalled() < 2 {
		t.Errorf("%d packets vanished", lost.Stalled())
	}
	if err := x.dial(); err != nil { // other connections work
		t.Fatal(err)
	}
	x.a.send("3")
	x.run(time.Second)
	x.wantGot(x.b, "3")
	lost.Reset()
	x.run(time.Second)
	x.wantClosed(x.a, network.ErrReset)
	if x.a.conn == old {
		t.Error("the old connection is in use")
	}
}

func TestLostConnectionGivesUp(t *testing.T) {
	x := connected(t, 1, simnet.Options{RetransmitTimeout: 2 * time.Second})
	x.n.LoseConnections("a", "b")
	x.a.send("1")
	x.run(5 * time.Second)
	x.wantClosed(x.a, network.ErrReset)
	x.wantGot(x.b)
}

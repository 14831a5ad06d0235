package simnet_test

import (
	"testing"
	"time"

	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/network/simnet"
)

func TestDoneRunsOnceInALaterTurnThoughNothingElseHappens(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	const frames = 100
	dones := 0
	for range frames {
		x.a.conn.Send([]network.Chunk{{Bytes: []byte("x")}}, func(err error) {
			if dones++; err != nil {
				t.Error(err)
			}
		})
	}
	if dones != 0 {
		t.Errorf("%d ran within Send", dones)
	}
	if x.run(time.Second); dones != frames {
		t.Errorf("%d of %d ran", dones, frames)
	}
}

func TestDoneDiesWithItsProcess(t *testing.T) {
	for seed := range uint64(20) { // some of its frames are taken within Send
		x := connected(t, seed, simnet.Options{})
		x.a.conn.Send([]network.Chunk{{Bytes: []byte("x")}}, func(error) { t.Error("done of a dead process ran") })
		x.a.crash(false)
		x.a.host.Listen("a:1", protocol, func(network.Conn) network.Handler { return x.a })
		x.run(time.Second)
	}
}

// A sender that changes bytes before done is caught by some of its frames, whatever most do.
func TestBytesChangedBeforeDoneAreSentByOneFrameInEight(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	const frames = 1000
	changed := 0
	for range frames {
		b := []byte("old")
		x.a.conn.Send([]network.Chunk{{Bytes: b}}, nil)
		copy(b, "new")
		x.run(time.Millisecond)
	}
	for _, text := range x.b.got {
		if text == "new" {
			changed++
		}
	}
	if len(x.b.got) != frames || changed < frames/12 || changed > frames/5 {
		t.Errorf("%d of %d frames show the change", changed, len(x.b.got))
	}
}

func TestDoneRunsBeforeClosed(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	told := false
	x.a.conn.Send([]network.Chunk{{Bytes: []byte("x")}}, func(error) { told = x.a.closed == nil })
	x.a.conn.Close()
	if x.run(time.Second); !told {
		t.Error("done ran after Closed, or not at all")
	}
}

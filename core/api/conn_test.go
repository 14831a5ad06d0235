package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAnswersLeaveInTheOrderOfTheRequests(t *testing.T) {
	c := start(t, 1)
	x := c.client()
	id := x.topic("t", 1)
	slow := fetchRequest(13, "t", id, 0, 0)
	slow.MaxWaitMillis = 2000
	first := x.sent
	requests := []kmsg.Request{slow, metadataRequest(12, "t"), produceRequest(13, 1, "u", [16]byte{1}, 0, plain("a")), slow, kmsg.NewPtrApiVersionsRequest(), listOffset(11, -1)}
	for _, req := range requests {
		x.send(req)
	}
	began := c.world.Now()
	for i, req := range requests {
		x.next(req, first+int32(i))
	}
	if took := c.world.Now().Sub(began); took < 2*time.Second || took > 3*time.Second {
		t.Errorf("two fetches of 2 s side by side took %v", took)
	}
}

func TestConnectionThatAsksTooMuchAtOnceIsNotRead(t *testing.T) {
	c := start(t, 1)
	x, y := c.client(), c.client()
	id := x.topic("t", 1)
	slow := fetchRequest(13, "t", id, 0, 0)
	slow.MaxWaitMillis = 10_000
	for range 200 {
		x.send(slow)
	}
	c.wait(time.Second)
	y.produce(13, 1, "t", id, plain("a")) // all that wait are woken
	c.wait(50 * time.Millisecond)
	if n := len(x.frames); n < 64 {
		t.Errorf("%d answers of those that waited, want 64 at least", n)
	}
	c.until("all are answered", func() bool { return len(x.frames) == 200 })
}

func TestIdleConnectionIsClosed(t *testing.T) {
	c := start(t, 1, "connections.max.idle.ms=10000")
	idle, busy := c.client(), c.client()
	for range 6 {
		c.wait(5 * time.Second)
		ask[*kmsg.MetadataResponse](busy, metadataRequest(12))
	}
	idle.expectClosed()
	if busy.closed != nil {
		t.Error("a busy connection was closed")
	}
}

// said reports whether node 1 emitted a BadRequest that says so.
func (c *cluster) said(text string) bool {
	for _, e := range c.nodes[0].events {
		if e.Kind == event.BadRequest && strings.Contains(e.Note, text) {
			return true
		}
	}
	return false
}

func TestWhatAListenerDoesNotServeClosesTheConnection(t *testing.T) {
	c := start(t, 1)
	for _, wrong := range []struct {
		port int
		req  kmsg.Request
		says string
	}{
		{clientPort, kmsg.NewPtrVoteRequest(), "Vote is not served on listener PLAINTEXT"},
		{clientPort, kmsg.NewPtrEnvelopeRequest(), "Envelope is not served on listener PLAINTEXT"},
		{controllerPort, metadataRequest(12), "Metadata is not served on listener CONTROLLER"},
		{clientPort, kmsg.NewPtrReadShareGroupStateRequest(), "ReadShareGroupState is not served on listener PLAINTEXT"},
	} {
		x := c.dial(1, wrong.port)
		x.send(wrong.req)
		x.expectClosed()
		if !c.said(wrong.says) {
			t.Errorf("no event says %q: %v", wrong.says, c.nodes[0].events)
		}
	}
}

func TestBytesThatAreNoRequestCloseTheConnection(t *testing.T) {
	c := start(t, 1)
	tooNew := metadataRequest(12)
	frame := encode(tooNew, 1)
	frame[3] = 99
	for _, bad := range [][]byte{{}, {0}, []byte("GET / HTTP/1.1\r\n\r\n"), frame, encode(metadataRequest(12, "t"), 1)[:20]} {
		x := c.client()
		x.sendBytes(bad)
		x.expectClosed()
	}
	if n := len(c.nodes[0].events); n != 5 {
		t.Errorf("%d events, want one each: %v", n, c.nodes[0].events)
	}
}

package api_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestBrokerStartsInTheVirtualWorld(t *testing.T) {
	c := start(t, 1)
	x := c.client()
	id := x.topic("t", 2)
	t.Log(x.produce(13, -1, "t", id, plain("a", "b")))
	t.Log(x.produce(7, 1, "t", id, plain("a", "b")))
	_ = kmsg.Produce
}

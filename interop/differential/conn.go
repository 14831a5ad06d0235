// Package differential sends the same requests to Apache Kafka and to lockstepd and tells where their answers part.
package differential

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// conn is a connection to a broker, dialled when it is needed.
type conn struct {
	addr        string
	c           net.Conn
	correlation int32
}

const patience = 6 * time.Second // with one answer

// errClosed is the answer of a broker that closes the connection.
var errClosed = errors.New("closed")

// ask sends a request in the version that is set in it and reads its answer: nil for a produce request with acks 0.
func (c *conn) ask(req kmsg.Request) (kmsg.Response, error) {
	if c.c == nil {
		var err error
		if c.c, err = net.DialTimeout("tcp", c.addr, patience); err != nil {
			return nil, err
		}
	}
	resp, err := c.exchange(req)
	if err != nil {
		c.close()
	}
	return resp, err
}

// patient is ask, and asks again while nobody is the controller: Kafka's steps down at some requests.
func (c *conn) patient(req kmsg.Request) (resp kmsg.Response, err error) {
	for range 100 {
		if resp, err = c.ask(req); err != nil || resp == nil || !hasCode(canon(resp), map[string]bool{"41": true}) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return resp, err
}

func (c *conn) close() {
	if c.c != nil {
		c.c.Close()
		c.c = nil
	}
}

func (c *conn) exchange(req kmsg.Request) (kmsg.Response, error) {
	c.correlation++
	c.c.SetDeadline(time.Now().Add(patience))
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("differential")).AppendRequest(nil, req, c.correlation)
	if _, err := c.c.Write(frame); err != nil {
		return nil, errClosed
	}
	if p, ok := req.(*kmsg.ProduceRequest); ok && p.Acks == 0 {
		return nil, nil
	}
	body, err := c.frame()
	if err != nil {
		return nil, err
	}
	return decode(req, body, c.correlation)
}

func (c *conn) frame() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c.c, size[:]); err != nil {
		if e, ok := err.(net.Error); ok && e.Timeout() {
			return nil, fmt.Errorf("no answer in %s", patience)
		}
		return nil, errClosed
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(c.c, body)
	return body, err
}

// decode reads the header and the body, of which nothing may be left over.
func decode(req kmsg.Request, body []byte, correlation int32) (kmsg.Response, error) {
	r := kbin.Reader{Src: body}
	if got := r.Int32(); got != correlation {
		return nil, fmt.Errorf("correlation %d, not %d", got, correlation)
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if v := binary.BigEndian.Uint16(r.Src); req.Key() == 18 && v == 35 && req.GetVersion() > 0 {
		resp.SetVersion(0) // KIP-511
	}
	if resp.IsFlexible() && req.Key() != 18 {
		kmsg.SkipTags(&r)
	}
	if err := r.Complete(); err != nil {
		return nil, err
	}
	return resp, resp.ReadFrom(r.Src)
}

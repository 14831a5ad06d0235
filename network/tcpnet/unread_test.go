package tcpnet_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/network/tcpnet"
)

// The client asks until the server does not listen any more, and only then reads. The write's deadline decides nothing
// but how soon: who is too slow for it sees less.
func TestPeerThatReadsNoAnswersIsNotListenedTo(t *testing.T) {
	const requests, requestSize, answerSize = 600, 32 << 10, 64 << 10
	var unsent, most atomic.Int64
	answer := func(c network.Conn, f *network.Frame) {
		n := binary.BigEndian.Uint32(f.Bytes)
		f.Release()
		most.Store(max(most.Load(), unsent.Add(1)))
		c.Send([]network.Chunk{{Bytes: numbered(n, answerSize)}}, func(error) { unsent.Add(-1) })
	}
	p := network.Protocol{Decode: raw, MaxFrame: requestSize}
	_, _, addr := server(t, tcpnet.Options{}, p, func(network.Conn) network.Handler { return newHandler(answer) })
	c := dial(t, addr)
	var stream []byte
	for i := range uint32(requests) {
		stream = append(binary.BigEndian.AppendUint32(stream, requestSize), numbered(i, requestSize)...)
	}
	rest := writeUntilStuck(t, c, stream)
	go c.Write(rest)
	r := bufio.NewReaderSize(c, 1<<20)
	for i := range uint32(requests) {
		expect(t, r, i, answerSize)
	}
	if held := most.Load() * answerSize; held > 16<<20 {
		t.Errorf("%d MiB of answers were held for a client that reads none", held>>20)
	}
}

// writeUntilStuck returns what the peer did not take.
func writeUntilStuck(t *testing.T, c net.Conn, stream []byte) []byte {
	defer c.SetWriteDeadline(time.Time{})
	for len(stream) > 0 {
		c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := c.Write(stream[:min(len(stream), 64<<10)])
		stream = stream[n:]
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return stream
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return nil
}

// Regions hold no memory: many large ones may wait.
func TestAnswersInFilesDoNotStopTheReader(t *testing.T) {
	const requests = 100
	x := openFile(t, 1<<20)
	seen := make(chan struct{}, requests)
	answer := func(c network.Conn, f *network.Frame) {
		f.Release()
		c.Send(region(x, 1<<20), nil)
		seen <- struct{}{}
	}
	_, _, addr := server(t, tcpnet.Options{}, network.Protocol{Decode: raw, MaxFrame: 100}, func(network.Conn) network.Handler { return newHandler(answer) })
	c := dial(t, addr)
	for i := range uint32(requests) {
		c.Write(request(i))
		<-seen
	}
}

func region(f file, size int) []network.Chunk {
	return []network.Chunk{{Region: disk.Region{File: f, Len: size}}}
}

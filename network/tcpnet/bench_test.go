package tcpnet_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/network/tcpnet"
)

// BenchmarkProduceLike sends frames of each size with so many outstanding and gets an answer of 60
// bytes for each. The client is plain sockets.
func BenchmarkProduceLike(b *testing.B) {
	answer := make([]byte, 60)
	for _, size := range []int{100, 1 << 10, 64 << 10, 1 << 20} {
		for _, pipelined := range []int{1, 5, 64} {
			b.Run(fmt.Sprintf("size=%d/outstanding=%d", size, pipelined), func(b *testing.B) {
				benchmark(b, size, 64, pipelined, func(c network.Conn, f *network.Frame) {
					c.Send([]network.Chunk{{Bytes: answer[:20]}, {Bytes: answer[20:]}}, nil)
					f.Release()
				})
			})
		}
	}
}

// BenchmarkFetchLike answers small requests with a head and a region.
func BenchmarkFetchLike(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 64 << 10, 512 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			f := openFile(b, size)
			head := make([]byte, 60)
			benchmark(b, 100, 64+size, 2, func(c network.Conn, request *network.Frame) {
				c.Send([]network.Chunk{{Bytes: head}, {Region: disk.Region{File: f, Len: size}}}, func(error) {})
				request.Release()
			})
		})
	}
}

// benchmark exchanges b.N requests over two connections. answerSize includes the prefix.
func benchmark(b *testing.B, size, answerSize, outstanding int, serve func(network.Conn, *network.Frame)) {
	const conns = 2
	_, _, addr := server(b, tcpnet.Options{}, network.Protocol{Decode: raw, MaxFrame: 2 << 20}, func(network.Conn) network.Handler {
		return newHandler(serve)
	})
	request := append(binary.BigEndian.AppendUint32(nil, uint32(size)), make([]byte, size)...)
	b.SetBytes(int64(max(len(request), answerSize)))
	b.ReportAllocs()
	b.ResetTimer()
	finished := make(chan error, conns)
	for i := range conns {
		c := dial(b, addr)
		go func() { finished <- exchange(c, request, answerSize, outstanding, (b.N+i)/conns) }()
	}
	for range conns {
		if err := <-finished; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// exchange writes bursts of outstanding requests and reads their answers.
func exchange(c net.Conn, request []byte, answerSize, outstanding, n int) error {
	var burst net.Buffers
	answers := make([]byte, answerSize*outstanding)
	var small []byte
	for n > 0 {
		k := min(n, outstanding)
		if len(request) < 8<<10 {
			for small = small[:0]; len(small) < k*len(request); {
				small = append(small, request...)
			}
			burst = append(burst[:0], small)
		} else {
			burst = burst[:0]
			for range k {
				burst = append(burst, request)
			}
		}
		if _, err := burst.WriteTo(c); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, answers[:k*answerSize]); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

package main

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"io"
	"log"
	"net"
	"os"
	"sync"
)

// The ceiling knows just enough of the load's frames to do a broker's work on the bytes.
const (
	ceilingFetchBytes = 1 << 20
	batchBodyFrom     = 21 // what a batch's CRC covers starts here
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type ceiling struct {
	mu   sync.Mutex
	file *os.File
	end  int64
}

// serveCeiling answers produce and fetch frames of the load on a free port, which it prints.
func serveCeiling(dir string) {
	file, err := os.CreateTemp(dir, "ceiling-*.log")
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	os.Stdout.WriteString(listener.Addr().String() + "\n")
	c := &ceiling{file: file}
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go c.serve(conn)
	}
}

func (c *ceiling) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	w := bufio.NewWriterSize(conn, 64<<10)
	var frame, answer []byte
	for {
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint32(size[:]))
		if cap(frame) < n {
			frame = make([]byte, n)
		}
		frame = frame[:n]
		if _, err := io.ReadFull(r, frame); err != nil {
			return
		}
		answer = c.answer(frame, answer[:0])
		if _, err := w.Write(answer); err != nil {
			return
		}
		if r.Buffered() == 0 {
			if w.Flush() != nil {
				return
			}
		}
	}
}

func (c *ceiling) answer(frame, to []byte) []byte {
	correlation := frame[4:8]
	if binary.BigEndian.Uint16(frame) == 0 {
		c.append(batchOf(frame))
		to = append(to, 0, 0, 0, 0)
		to = append(to, correlation...)
		to = append(to, make([]byte, 32)...) // as long as a produce answer
		binary.BigEndian.PutUint32(to, uint32(len(to)-4))
		return to
	}
	return c.fetch(correlation, int64(binary.BigEndian.Uint64(frame[rawFetchOffsetAt():])), to)
}

// append checks and writes one batch.
func (c *ceiling) append(batch []byte) {
	if crc32.Checksum(batch[batchBodyFrom:], castagnoli) != binary.BigEndian.Uint32(batch[17:]) {
		log.Fatal("ceiling: bad CRC")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.file.WriteAt(batch, c.end); err != nil {
		log.Fatal(err)
	}
	c.end += int64(len(batch))
}

// fetch answers with up to 1 MiB from a byte position: the load tells the ceiling positions for offsets.
func (c *ceiling) fetch(correlation []byte, pos int64, to []byte) []byte {
	c.mu.Lock()
	n := min(c.end-pos, ceilingFetchBytes)
	c.mu.Unlock()
	to = append(to, 0, 0, 0, 0)
	to = append(to, correlation...)
	head := len(to)
	if cap(to) < head+int(n) {
		to = append(make([]byte, 0, head+ceilingFetchBytes), to...)
	}
	to = to[:head+int(n)]
	if _, err := c.file.ReadAt(to[head:], pos); err != nil {
		log.Fatal(err)
	}
	binary.BigEndian.PutUint32(to, uint32(len(to)-4))
	return to
}

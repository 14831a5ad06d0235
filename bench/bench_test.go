package main

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The load against the ceiling, in one process: both fail by log.Fatal.
func TestLoadAndCeilingUnderstandEachOther(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := &ceiling{file: file}
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			go c.serve(conn)
		}
	}()
	for _, size := range []int{1 << 10, 16 << 10, 64 << 10} {
		c.end = 0
		j := job{Row: row{Size: size, Window: 4, Bytes: 4 << 20, Acks: 1}, Addr: l.Addr().String(), Ceiling: true}
		if r := rawProduce(j); r.Count == 0 || r.Bytes != c.end {
			t.Errorf("%d bytes were sent in %d batches, %d are in the file", r.Bytes, r.Count, c.end)
		}
		if r := rawFetch(j); r.Count == 0 {
			t.Error("nothing fetched")
		}
	}
}

func TestProduceFramesAreWhatKmsgReads(t *testing.T) {
	frame, n := produceFrame(row{Size: 16 << 10, Acks: 1})
	if int(binary.BigEndian.Uint32(frame)) != len(frame)-4 {
		t.Fatal("wrong size prefix")
	}
	header := 4 + 2 + 2 + 4 + 2 + len(clientID) + 1
	req := kmsg.NewPtrProduceRequest()
	req.Version = 9
	if err := req.ReadFrom(frame[header:]); err != nil {
		t.Fatal(err)
	}
	if got := req.Topics[0].Partitions[0].Records; int64(len(got)) != n || string(got) != string(batchOf(frame[4:])) {
		t.Error("the batch is not where the ceiling looks for it")
	}
}

func TestMeasurementThatHangsEndsWithItsTime(t *testing.T) {
	err := within(context.Background(), time.Millisecond, func(ctx context.Context) error {
		<-ctx.Done()
		return errors.New("killed")
	})
	if err == nil || err.Error() != "no result after 1ms (killed)" {
		t.Error(err)
	}
}

func TestBarsThatAreMissedAreNamed(t *testing.T) {
	name := "produce 64 KiB batches"
	r := report{Results: []result{
		{Row: name, Server: "lockstepd", MBPerSecond: 60, LoopBusyShare: 0.2},
		{Row: name, Server: "kfake", MBPerSecond: 70},
		{Row: name, Server: "ceiling", MBPerSecond: 100},
	}}
	if got := r.misses(); len(got) != 3 {
		t.Errorf("got %q", got)
	}
	r.Results[0] = result{Row: name, Server: "lockstepd", MBPerSecond: 80, LoopBusyShare: 0.09}
	if got := r.misses(); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

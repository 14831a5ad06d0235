package tcpnet_test

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/network/tcpnet"
)

// A process's page map is a file that can be read and that sendfile refuses, as all are on some file systems. It is
// read where no memory is, and where it does not change.
func TestRegionThatSendfileRefusesIsReadAndWritten(t *testing.T) {
	pagemap, err := os.Open("/proc/self/pagemap")
	if err != nil {
		t.Skip(err)
	}
	defer pagemap.Close()
	want, pos := make([]byte, 64<<10), int64(512<<20)
	if _, err := pagemap.ReadAt(want, pos); err != nil {
		t.Skip(err)
	}
	region := disk.Region{File: file{nil, pagemap}, Pos: pos, Len: len(want)}
	_, _, addr := server(t, tcpnet.Options{}, network.Protocol{Decode: raw, MaxFrame: 100}, func(c network.Conn) network.Handler {
		c.Send([]network.Chunk{{Region: region}}, nil)
		return newHandler(release)
	})
	got := make([]byte, 4+len(want))
	if _, err := io.ReadFull(dial(t, addr), got); err != nil || !bytes.Equal(got[4:], want) {
		t.Errorf("%v, or other bytes", err)
	}
}

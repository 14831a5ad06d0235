package osdisk

import (
	"bytes"
	"testing"
)

func TestSkipLeavesTheCallersBuffers(t *testing.T) {
	bufs := [][]byte{{}, {1, 2, 3}, {}, {4}}
	if got := skip(bufs, 2); len(got) != 3 || !bytes.Equal(got[0], []byte{3}) || len(bufs[1]) != 3 {
		t.Errorf("%v of %v", got, bufs)
	}
	if got := skip(bufs, 4); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := skip(bufs, 0); len(got) != 3 {
		t.Errorf("%v", got)
	}
}

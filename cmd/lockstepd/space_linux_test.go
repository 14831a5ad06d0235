package main

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"
)

// DescribeLogDirs tells the size of the volume that a log directory is on (KIP-827).
func TestTheSpaceOfALogDirectoryIsItsVolumes(t *testing.T) {
	t.Parallel()
	p := single(t)
	var volume unix.Statfs_t
	if err := unix.Statfs(p.data(), &volume); err != nil {
		t.Fatal(err)
	}
	resp, err := kmsg.NewPtrDescribeLogDirsRequest().RequestWith(deadline(t), newClient(t, []string{p.addr()}).Broker(1)) // kgo forgets the sizes when it merges all brokers' answers
	if err != nil {
		t.Fatal(err)
	}
	d := resp.Dirs[0]
	if total := int64(volume.Blocks) * volume.Frsize; d.TotalBytes != total || d.UsableBytes <= 0 || d.UsableBytes > total {
		t.Errorf("%d of %d bytes are usable, of %d", d.UsableBytes, d.TotalBytes, total)
	}
}

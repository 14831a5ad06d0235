package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sys/unix"
)

// removableDisk puts a file system of its own at a directory of a node that does not run. unplug takes it away under the node, where from then
// on nothing can be opened; plug brings it back with what was on it.
func removableDisk(t *testing.T, p *proc, dir string) (unplug, plug func()) {
	t.Helper()
	at, kept := filepath.Join(p.dir, dir), t.TempDir()
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", kept, "tmpfs", 0, "size=256m"); err != nil {
		t.Skipf("no file system of its own can be had here: %v", err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	plug = func() { must(unix.Mount(kept, at, "", unix.MS_BIND, "")) }
	unplug = func() {
		must(unix.Unmount(at, unix.MNT_DETACH))
		must(unix.Mount("tmpfs", at, "tmpfs", unix.MS_RDONLY, ""))
	}
	t.Cleanup(func() {
		p.kill()
		unix.Unmount(at, unix.MNT_DETACH)
		unix.Unmount(at, unix.MNT_DETACH)
		unix.Unmount(kept, unix.MNT_DETACH)
	})
	plug()
	return unplug, plug
}

// A node's second disk goes away while clients produce. The node goes on with the first, others lead what was on the second; with the disk back
// and the node restarted all replicas are in sync again, and nothing that was acknowledged is missing.
func TestABrokerGoesOnWhenOneOfItsDisksIsGone(t *testing.T) {
	t.Parallel()
	const partitions = 6
	nodes := newCluster(t, 3, quickElections+"log.dirs=lockstep-data,more-data\nreplica.high.watermark.checkpoint.interval.ms=300\n")
	seeds := addrs(nodes)
	victim := nodes[0]
	victim.kill()
	unplug, plug := removableDisk(t, victim, "more-data")
	victim.start()
	victim.awaitReady()
	client := newClient(t, seeds)
	createTopic(t, client, partitions, 3, "2")
	admin := kadm.NewClient(client)
	w := startWorkload(t, seeds, partitions)
	w.awaitProgressEverywhere(50)
	awaitFullISR(t, admin, 3)

	unplug()
	victim.awaitLog("a log directory is offline")
	var offline []int32
	eventually(t, "half of the replicas of node 1 are offline", func() bool {
		topics, err := admin.ListTopics(deadline(t), topic)
		if err != nil || topics.Error() != nil {
			return false
		}
		offline = offline[:0]
		topics.EachPartition(func(p kadm.PartitionDetail) {
			if slices.Contains(p.OfflineReplicas, 1) && p.Leader != 1 && !slices.Contains(p.ISR, 1) {
				offline = append(offline, p.Partition)
			}
		})
		return len(offline) == partitions/2
	})
	w.awaitProgressEverywhere(50)
	if !victim.running() {
		t.Fatal("the broker gave up")
	}
	dirs, err := admin.DescribeAllLogDirs(deadline(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := dirs[1][filepath.Join(victim.dir, "more-data")]; d.Err == nil || len(d.Topics) != 0 {
		t.Errorf("the directory that is gone: %+v", dirs[1])
	}
	if d := dirs[1][filepath.Join(victim.dir, "lockstep-data")]; d.Err != nil || len(d.Topics[topic]) != partitions/2 {
		t.Errorf("the directory that is there: %+v", dirs[1])
	}

	victim.terminate()
	if err := unix.Unmount(filepath.Join(victim.dir, "more-data"), 0); err != nil {
		t.Fatal(err)
	}
	plug()
	victim.start()
	victim.awaitReady()
	awaitFullISR(t, admin, 3)
	killAllAndRestart(nodes)
	w.awaitProgressEverywhere(50)
	w.stop()
	w.verify(seeds)
}

package main

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// limitFiles makes the process' writes fail beyond size bytes of a file, as they do when a disk is full.
func limitFiles(t *testing.T, p *proc, size uint64) {
	t.Helper()
	limit := unix.Rlimit{Cur: size, Max: size}
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Skipf("the size of files cannot be limited here: %v", err)
	}
}

func TestFullDiskIsNamedAndCostsNothingAcknowledged(t *testing.T) {
	t.Parallel()
	const partitions = 2
	p := newCluster(t, 1, quickElections)[0]
	createTopic(t, newClient(t, []string{p.addr()}), partitions, 1, "1")
	limitFiles(t, p, 1<<20)
	w := startWorkload(t, []string{p.addr()}, partitions)
	if code := p.awaitExit(); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	for _, says := range []string{"log directory lockstep-data failed: ", topic + "-", "file too large", "stopping: node 1: its log directory failed"} {
		if !strings.Contains(p.logged(), says) {
			t.Errorf("the log does not say %q", says)
		}
	}
	p.start() // with as much space as anybody wants
	p.awaitReady()
	w.awaitProgressEverywhere(10)
	w.stop()
	w.verify([]string{p.addr()})
}

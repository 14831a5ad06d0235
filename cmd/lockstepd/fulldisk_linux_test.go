package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sys/unix"
)

// smallDisk gives a node that does not run yet a log directory of a few bytes.
func smallDisk(t *testing.T, p *proc, size string) (resize func(size string)) {
	t.Helper()
	if err := os.Mkdir(p.data(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", p.data(), "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("no file system of its own can be had here: %v", err)
	}
	t.Cleanup(func() {
		p.kill()
		unix.Unmount(p.data(), unix.MNT_DETACH)
	})
	return func(size string) {
		t.Helper()
		if err := unix.Mount("tmpfs", p.data(), "tmpfs", unix.MS_REMOUNT, "size="+size); err != nil {
			t.Fatal(err)
		}
	}
}

// The file system fills while clients produce, and gets larger later. The same process goes on, and has all that it acknowledged.
func TestAFullFileSystemIsWaitedFor(t *testing.T) {
	t.Parallel()
	p := newProc(t, "small", "--set", "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0")
	resize := smallDisk(t, p, "4m")
	p.start()
	p.awaitReady()
	client := newClient(t, []string{p.addr()})
	createTopic(t, client, 2, 1, "1")
	w := startWorkload(t, []string{p.addr()}, 2)
	p.awaitLog("no space left for log directory lockstep-data")
	time.Sleep(2 * time.Second) // it is tried again, in vain
	if !p.running() {
		t.Fatal("the broker gave up")
	}
	if ends, err := kadm.NewClient(client).ListEndOffsets(deadline(t), topic); err != nil || ends.Error() != nil {
		t.Errorf("a full broker is asked for its offsets: %v, %v", err, ends.Error())
	}
	resize("256m")
	p.awaitLog("has space again")
	w.awaitProgressEverywhere(10)
	w.stop()
	w.verify([]string{p.addr()})
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestAFullFileSystemDoesNotKeepABrokerFromStopping(t *testing.T) {
	t.Parallel()
	ports := freePorts(t, 2) // the same after a restart: clients come back
	p := newProc(t, "small", "--set", fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", ports[0], ports[1]))
	resize := smallDisk(t, p, "4m")
	p.start()
	p.awaitReady()
	createTopic(t, newClient(t, []string{p.addr()}), 2, 1, "1")
	w := startWorkload(t, []string{p.addr()}, 2)
	p.awaitLog("no space left for log directory lockstep-data")
	p.terminate()
	resize("256m")
	p.start()
	p.awaitReady()
	w.awaitProgressEverywhere(10)
	w.stop()
	w.verify([]string{p.addr()})
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// quickElections makes failures noticed in about a second instead of Kafka's ten.
const quickElections = `
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=200
controller.quorum.fetch.timeout.ms=1000
controller.quorum.election.timeout.ms=500
controller.quorum.election.backoff.max.ms=500
`

// awaitFullISR waits until every replica of every partition is in sync.
func awaitFullISR(t *testing.T, admin *kadm.Client, replicas int) {
	t.Helper()
	eventually(t, "every ISR is full", func() bool {
		topics, err := admin.ListTopics(deadline(t), topic)
		if err != nil || topics.Error() != nil {
			return false
		}
		full := true
		topics.EachPartition(func(p kadm.PartitionDetail) { full = full && p.Leader >= 0 && len(p.ISR) == replicas })
		return full
	})
}

func TestNothingAcknowledgedIsLostWhileNodesAreKilledInTurn(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for half a minute")
	}
	t.Parallel()
	const partitions, rounds = 6, 6
	nodes := newCluster(t, 3, quickElections)
	seeds := addrs(nodes)
	client := newClient(t, seeds)
	createTopic(t, client, partitions, 3, "2")
	admin := kadm.NewClient(client)
	w := startWorkload(t, seeds, partitions)
	w.awaitProgressEverywhere(50)
	for round := range rounds {
		victim := nodes[round%len(nodes)]
		w.resetPause()
		victim.kill()
		w.awaitProgressEverywhere(50) // the others go on without it
		t.Logf("round %d: %s killed, longest pause %v, %d records so far", round+1, victim.name, w.resetPause(), w.count())
		victim.start()
		victim.awaitReady()
		awaitFullISR(t, admin, 3)
	}
	killAllAndRestart(nodes)
	w.awaitProgressEverywhere(50)
	w.stop()
	w.verify(seeds)
	t.Logf("%d records acknowledged, all there, once and in order", w.total)
}

// killAllAndRestart leaves nobody to take over: what was acknowledged is in the files alone.
func killAllAndRestart(nodes []*proc) {
	for _, p := range nodes {
		p.kill()
	}
	startAll(nodes)
}

func startAll(nodes []*proc) {
	for _, p := range nodes {
		p.start()
	}
	for _, p := range nodes {
		p.awaitReady()
	}
}

// A session here outlasts the test: partitions of a broker that left without handing them over would have no
// leader until the end of it.
const longSession = `
broker.session.timeout.ms=600000
broker.heartbeat.interval.ms=200
controller.quorum.fetch.timeout.ms=1000
controller.quorum.election.timeout.ms=500
controller.quorum.election.backoff.max.ms=500
auto.leader.rebalance.enable=false
`

func TestTerminatedNodeHandsItsPartitionsOverFirst(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three processes")
	}
	t.Parallel()
	const partitions = 6
	nodes := newCluster(t, 3, longSession)
	seeds := addrs(nodes)
	client := newClient(t, seeds)
	createTopic(t, client, partitions, 3, "2")
	admin := kadm.NewClient(client)
	w := startWorkload(t, seeds, partitions)
	for _, p := range nodes {
		w.awaitProgressEverywhere(50)
		w.resetPause()
		if code := p.terminate(); code != exitOK {
			t.Fatalf("%s exited with %d", p.name, code)
		}
		w.awaitProgressEverywhere(50)
		t.Logf("%s terminated, longest pause %v", p.name, w.resetPause())
		if _, err := os.Stat(filepath.Join(p.data(), ".kafka_cleanshutdown")); err != nil {
			t.Errorf("%s left no mark of a clean shutdown: %v", p.name, err)
		}
		p.start()
		p.awaitReady()
		if strings.Contains(p.logged(), "recovered") {
			t.Errorf("%s recovered logs after a clean shutdown", p.name)
		}
		awaitFullISR(t, admin, 3)
	}
	w.stop()
	w.verify(seeds)
}

func TestClusterTerminatedAtOnceNeedNotWaitForItsSessions(t *testing.T) {
	t.Parallel()
	const partitions = 3
	nodes := newCluster(t, 3, longSession)
	seeds := addrs(nodes)
	createTopic(t, newClient(t, seeds), partitions, 3, "2")
	w := startWorkload(t, seeds, partitions)
	w.awaitProgressEverywhere(50)
	for _, p := range nodes {
		p.signal(syscall.SIGTERM)
	}
	for _, p := range nodes {
		if code := p.awaitExit(); code != exitOK {
			t.Errorf("%s exited with %d", p.name, code)
		}
	}
	startAll(nodes)
	w.awaitProgressEverywhere(50)
	w.stop()
	w.verify(seeds)
}

func TestSingleNodeKeepsWhatItAcknowledgedThroughKills(t *testing.T) {
	t.Parallel()
	const partitions = 3
	p := newCluster(t, 1, quickElections)[0]
	createTopic(t, newClient(t, []string{p.addr()}), partitions, 1, "1")
	w := startWorkload(t, []string{p.addr()}, partitions)
	for range 3 {
		w.awaitProgressEverywhere(200)
		p.kill()
		p.start()
		p.awaitReady()
	}
	w.awaitProgressEverywhere(1)
	w.stop()
	w.verify([]string{p.addr()})
}

func TestTerminatedSingleNodeRestartsWithEverything(t *testing.T) {
	t.Parallel()
	const partitions = 2
	p := newCluster(t, 1, longSession)[0]
	createTopic(t, newClient(t, []string{p.addr()}), partitions, 1, "1")
	w := startWorkload(t, []string{p.addr()}, partitions)
	for range 3 {
		w.awaitProgressEverywhere(50)
		if code := p.terminate(); code != exitOK {
			t.Fatalf("exited with %d", code)
		}
		p.start()
		p.awaitReady()
	}
	w.stop()
	w.verify([]string{p.addr()})
}

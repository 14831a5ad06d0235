package main

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"

	"github.com/benbjohnson/clock"
	"github.com/lockstep/lockstep/core"
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/disk/osdisk"
	"github.com/lockstep/lockstep/network/tcpnet"
	"github.com/lockstep/lockstep/scheduler/wall"
)

// node is one core.Broker and its world: a loop on a goroutine of its own, sockets and a disk.
type node struct {
	cfg    *config.Config
	log    *logger
	loop   *wall.Loop
	disk   *osdisk.Disk
	net    *tcpnet.Net
	broker *core.Broker
	ended  chan<- error // told when the node cannot go on
	ran    chan struct{}
}

func newNode(cfg *config.Config, log *logger, ended chan<- error) (*node, error) {
	n := &node{cfg: cfg, log: log, loop: wall.New(clock.New(), wall.Options{}), ended: ended, ran: make(chan struct{})}
	var err error
	if n.disk, err = osdisk.New(cfg.LogDir, n.loop); err != nil {
		return nil, err
	}
	n.net = tcpnet.New(n.loop, tcpnet.Options{})
	seed := randomSeed()
	log.printf(cfg.NodeID, "data in %s, seed %d", cfg.LogDir, seed)
	n.broker = core.New(env.Env{
		Loop:  n.loop,
		Disk:  n.disk,
		Net:   n.net,
		Rand:  func(purpose string) *rand.Rand { return rand.New(rand.NewPCG(seed, hash(purpose))) },
		Event: &eventLog{node: n},
	}, cfg)
	return n, nil
}

func randomSeed() uint64 {
	var b [8]byte
	crand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

func (n *node) start() {
	go func() {
		n.loop.Run(context.Background())
		close(n.ran)
	}()
	n.loop.Post(func() { n.broker.Start(n.onStarted) })
}

func (n *node) onStarted(err error) {
	if err != nil {
		n.fail(err)
		return
	}
	var at []string
	for _, a := range n.broker.Addrs() {
		at = append(at, string(a))
	}
	n.log.printf(n.cfg.NodeID, "ready on %s, cluster %s", strings.Join(at, " and "), n.broker.ClusterID())
}

func (n *node) fail(err error) {
	select {
	case n.ended <- fmt.Errorf("node %d: %w", n.cfg.NodeID, err):
	default: // somebody else failed first
	}
}

// shutDown hands leaderships over, closes the logs and then tells done.
func (n *node) shutDown(done chan<- error) {
	n.loop.Post(func() { n.broker.Shutdown(func(err error) { done <- err }) })
}

// close ends the node's goroutines.
func (n *node) close() {
	n.net.Close()
	n.loop.Stop()
	<-n.ran
	if err := n.disk.Close(); err != nil {
		n.log.printf(n.cfg.NodeID, "closing %s: %v", n.cfg.LogDir, err)
	}
}

// logStats says how long the node's loop has run: what it takes of one core at most.
func (n *node) logStats() {
	n.log.printf(n.cfg.NodeID, "loop busy %.3f s", n.loop.Busy().Seconds())
}

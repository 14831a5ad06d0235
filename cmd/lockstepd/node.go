package main

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"

	"github.com/benbjohnson/clock"
	"github.com/lockstep/lockstep/core"
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/disk/osdisk"
	"github.com/lockstep/lockstep/network/tcpnet"
	"github.com/lockstep/lockstep/scheduler/wall"
)

// node is one core.Broker and its world: a loop on a goroutine of its own, sockets and a disk.
type node struct {
	cfg    *config.Config
	log    *logger
	loop   *wall.Loop
	data   string         // the log directories, as configured
	disks  []*osdisk.Disk // of them all
	net    *tcpnet.Net
	broker *core.Broker
	ended  chan<- error // told when the node cannot go on
	ran    chan struct{}
}

func newNode(cfg *config.Config, log *logger, ended chan<- error) (*node, error) {
	n := &node{cfg: cfg, log: log, loop: wall.New(clock.New(), wall.Options{}), ended: ended, ran: make(chan struct{})}
	n.data = strings.Join(cfg.LogDirs, " and ")
	metadata, all, err := n.openDisks()
	if err != nil {
		n.closeDisks()
		return nil, err
	}
	n.net = tcpnet.New(n.loop, tcpnet.Options{})
	seed := randomSeed()
	log.printf(cfg.NodeID, "data in %s, seed %d", n.data, seed)
	n.broker = core.New(env.Env{
		Loop:  n.loop,
		Disk:  metadata,
		Disks: all,
		Net:   n.net,
		Rand:  func(purpose string) *rand.Rand { return rand.New(rand.NewPCG(seed, hash(purpose))) },
		Event: &eventLog{node: n},
	}, cfg)
	return n, nil
}

// openDisks opens the log directories. One that cannot be opened is offline, unless somebody else has it, or it has the metadata log.
func (n *node) openDisks() (metadata disk.Disk, all []disk.Disk, err error) {
	dirs := n.cfg.LogDirs
	if !slices.Contains(dirs, n.cfg.LogDir) {
		dirs = append([]string{n.cfg.LogDir}, dirs...)
	}
	for _, dir := range dirs {
		d, err := osdisk.New(dir, n.loop)
		if err != nil && (dir == n.cfg.LogDir || errors.Is(err, osdisk.ErrInUse)) {
			return nil, nil, err
		}
		if err != nil {
			d = osdisk.Broken(err, n.loop)
		}
		n.disks = append(n.disks, d)
		if dir == n.cfg.LogDir {
			metadata = d
		}
		all = append(all, d)
	}
	all = all[len(dirs)-len(n.cfg.LogDirs):]
	n.cfg.LogDir = absolute(n.cfg.LogDir)
	for i, dir := range n.cfg.LogDirs {
		n.cfg.LogDirs[i] = absolute(dir)
	}
	return metadata, all, nil
}

// absolute is a directory's path as Kafka tells it to clients.
func absolute(dir string) string {
	if path, err := filepath.Abs(dir); err == nil {
		return path
	}
	return dir
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
	n.closeDisks()
}

func (n *node) closeDisks() {
	for _, d := range n.disks {
		if err := d.Close(); err != nil {
			n.log.printf(n.cfg.NodeID, "closing a log directory: %v", err)
		}
	}
}

// logStats says how long the node's loop has run: what it takes of one core at most.
func (n *node) logStats() {
	n.log.printf(n.cfg.NodeID, "loop busy %.3f s", n.loop.Busy().Seconds())
}

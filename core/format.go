package core

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/raft"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/disk"
)

// openLogDirs reads the meta.properties of all log directories and formats those that have none. It refuses a directory of another
// node or cluster, and new ones if the node would have to guess which cluster it is of. One that cannot be read is offline; if it has the metadata log, that is the error.
//
// A directory that was wiped is formatted anew, where Kafka would have an operator do so: the broker comes back under a new
// directory id, which tells the controller that nothing is left of what it had. To a controller it is unsafe, as it is with Kafka's
// static voters: nothing tells the others that it has forgotten its vote and its log, and it may help to elect a leader that
// lacks what it had acknowledged.
func (b *Broker) openLogDirs(done func(error)) {
	all := b.dirs
	if !slices.Contains(all, b.metadataDir) {
		all = append([]*storage.LogDir{b.metadataDir}, all...)
	}
	found := make([]storage.MetaProperties, len(all))
	inTurn(len(all), func(i int, next func(error)) {
		storage.ReadMetaProperties(all[i].Disk(), func(m storage.MetaProperties, err error) {
			found[i] = m
			next(b.judgeMeta(all[i], &found[i], err))
		})
	}, func(err error) {
		if err != nil {
			done(err)
			return
		}
		b.format(all, found, done)
	})
}

// judgeMeta takes what meta.properties says, or that there is none: then m is empty.
func (b *Broker) judgeMeta(d *storage.LogDir, m *storage.MetaProperties, err error) error {
	switch {
	case errors.Is(err, disk.ErrNotExist):
		return nil
	case err != nil && !d.Metadata && !errors.Is(err, storage.ErrCorrupt):
		d.Break(err)
		return nil
	case err != nil:
		return fmt.Errorf("meta.properties: %w", err)
	case m.NodeID != b.cfg.NodeID:
		return fmt.Errorf("meta.properties: the log directory belongs to node %d, but node.id is %d", m.NodeID, b.cfg.NodeID)
	}
	return nil
}

// format gives each new directory an identity: that of the cluster which the others have, and an id of its own.
func (b *Broker) format(all []*storage.LogDir, found []storage.MetaProperties, done func(error)) {
	cluster, err := clusterOf(all, found)
	if at := slices.Index(all, b.metadataDir); err == nil && found[at].ClusterID == "" && !b.cfg.HasStaticVoters() {
		err = ErrNotFormatted
	}
	if err != nil {
		done(err)
		return
	}
	var random *rand.Rand
	stream := "format"
	if cluster != "" {
		stream = "format/more" // Format has drawn from the other in this very process, perhaps
	}
	inTurn(len(all), func(i int, next func(error)) {
		d, m := all[i], &found[i]
		if !d.IsOnline() {
			next(nil)
			return
		}
		isNew := m.ClusterID == ""
		if isNew {
			if random == nil {
				random = b.env.Rand(stream)
			}
			*m = newMetaProperties(random, b.cfg)
			if cluster != "" {
				m.ClusterID = cluster
			}
		}
		cluster, d.ID = m.ClusterID, m.DirectoryID
		if d.Metadata {
			b.meta = *m
		}
		if !isNew {
			next(nil)
			return
		}
		storage.WriteMetaProperties(d.Disk(), *m, func(err error) {
			if err != nil && !d.Metadata {
				d.Break(err)
				err = nil
			}
			next(err)
		})
	}, done)
}

// clusterOf is the cluster that the formatted directories belong to; empty if there are none.
func clusterOf(all []*storage.LogDir, found []storage.MetaProperties) (cluster string, err error) {
	for i, m := range found {
		switch {
		case m.ClusterID == "":
			continue
		case cluster != "" && m.ClusterID != cluster:
			return "", fmt.Errorf("meta.properties: log directory %s belongs to cluster %s, another one to %s", all[i].Path, m.ClusterID, cluster)
		}
		cluster = m.ClusterID
		for j := range i {
			if found[j].DirectoryID == m.DirectoryID && found[j].ClusterID != "" {
				return "", fmt.Errorf("meta.properties: log directories %s and %s have one directory.id: one is a copy of the other", all[j].Path, all[i].Path)
			}
		}
	}
	return cluster, nil
}

// inTurn runs a step for 0 to n-1, each after the one before, until one fails.
func inTurn(n int, step func(i int, next func(error)), done func(error)) {
	steps := make([]func(func(error)), n)
	for i := range steps {
		steps[i] = func(next func(error)) { step(i, next) }
	}
	inOrder(steps, done)
}

// ErrNotFormatted and ErrFormatted are of a log directory.
var (
	ErrNotFormatted = errors.New("meta.properties: the log directory is not formatted: format it with the cluster's id (lockstepd format)")
	ErrFormatted    = errors.New("meta.properties: the log directory is already formatted")
)

// Formatting is what an operator says of a log directory before its node first starts (kafka-storage format).
type Formatting struct {
	ClusterID   string
	DirectoryID [16]byte // zero: one is drawn
	// Dynamic: the metadata log is to say who votes (kraft.version 1), to begin with Voters. None, as on a node that
	// is to find the others, is no contradiction.
	Dynamic bool
	Voters  []raft.Voter
}

// Format makes a log directory ready for its node. ErrFormatted if it is somebody's already.
func Format(e *env.Env, cfg *config.Config, f Formatting, done func(storage.MetaProperties, error)) {
	storage.ReadMetaProperties(e.Disk, func(m storage.MetaProperties, err error) {
		switch {
		case err == nil:
			done(m, ErrFormatted)
			return
		case !errors.Is(err, disk.ErrNotExist):
			done(m, err)
			return
		}
		m = newMetaProperties(e.Rand("format"), cfg)
		m.ClusterID = f.ClusterID
		if f.DirectoryID != [16]byte{} {
			m.DirectoryID = f.DirectoryID
		}
		write := func(err error) {
			if err != nil {
				done(m, err)
				return
			}
			storage.WriteMetaProperties(e.Disk, m, func(err error) { done(m, err) })
		}
		if !f.Dynamic || !cfg.Controller {
			write(nil)
			return
		}
		raft.WriteBootstrapSnapshot(e.Disk, f.Voters, e.Loop.UnixMilli(), write)
	})
}

// newMetaProperties makes up a directory's identity. The nodes of a cluster must agree on its id without talking, so
// it follows from the list of voters where one is configured; a node that is all by itself draws one.
func newMetaProperties(random *rand.Rand, cfg *config.Config) storage.MetaProperties {
	m := storage.MetaProperties{Version: 1, NodeID: cfg.NodeID}
	id := [16]byte{}
	binary.BigEndian.PutUint64(id[:8], random.Uint64())
	binary.BigEndian.PutUint64(id[8:], random.Uint64())
	if cfg.IsSet("controller.quorum.voters") {
		id = hashVoters(cfg.Voters)
	}
	m.ClusterID = base64.RawURLEncoding.EncodeToString(asUUID(id))
	binary.BigEndian.PutUint64(m.DirectoryID[:8], random.Uint64())
	binary.BigEndian.PutUint64(m.DirectoryID[8:], random.Uint64())
	copy(m.DirectoryID[:], asUUID(m.DirectoryID))
	return m
}

func hashVoters(voters []config.Voter) (id [16]byte) {
	h := fnv.New128a()
	for _, v := range voters {
		fmt.Fprintf(h, "%d@%s,", v.ID, v.Addr())
	}
	h.Sum(id[:0])
	return id
}

// asUUID sets the bits of a random (version 4) UUID.
func asUUID(id [16]byte) []byte {
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id[:]
}

package core

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/raft"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/disk"
)

// openMetaProperties reads meta.properties, or formats a log directory that has none. It refuses the
// directory of another node, and one that is not formatted if its node would have to guess which cluster it is of.
//
// A directory that was wiped is formatted anew, where Kafka would have an operator do so: the broker comes back under a new
// directory id, which tells the controller that nothing is left of what it had. To a controller it is unsafe, as it is with Kafka's
// static voters: nothing tells the others that it has forgotten its vote and its log, and it may help to elect a leader that
// lacks what it had acknowledged.
func openMetaProperties(e *env.Env, cfg *config.Config, done func(storage.MetaProperties, error)) {
	storage.ReadMetaProperties(e.Disk, func(m storage.MetaProperties, err error) {
		switch {
		case errors.Is(err, disk.ErrNotExist) && !cfg.HasStaticVoters():
			done(m, ErrNotFormatted)
		case errors.Is(err, disk.ErrNotExist):
			m = format(e, cfg)
			storage.WriteMetaProperties(e.Disk, m, func(err error) { done(m, err) })
		case err != nil:
			done(m, fmt.Errorf("meta.properties: %w", err))
		case m.NodeID != cfg.NodeID:
			done(m, fmt.Errorf("meta.properties: the log directory belongs to node %d, but node.id is %d", m.NodeID, cfg.NodeID))
		default:
			done(m, nil)
		}
	})
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
		m = format(e, cfg)
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

// format makes up a directory's identity. The nodes of a cluster must agree on its id without talking, so
// it follows from the list of voters where one is configured; a node that is all by itself draws one.
func format(e *env.Env, cfg *config.Config) storage.MetaProperties {
	random := e.Rand("format")
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

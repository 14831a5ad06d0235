package group

import "github.com/lockstep/lockstep/core/coordinator"

// machine is the groups of one partition of __consumer_offsets.
type machine struct {
	coordinator *Coordinator
	shard       *coordinator.Shard
}

func newMachine(c *Coordinator, s *coordinator.Shard) *machine {
	return &machine{coordinator: c, shard: s}
}

// Replay implements coordinator.Machine.
func (m *machine) Replay(coordinator.Replayed) {}

// ReplayMarker implements coordinator.Machine.
func (m *machine) ReplayMarker(int64, int16, bool) {}

// Loaded implements coordinator.Machine.
func (m *machine) Loaded() {}

// Unloaded implements coordinator.Machine.
func (m *machine) Unloaded() {}

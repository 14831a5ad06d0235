// Package env is the world as a broker sees it: the three seams, randomness and a place to say
// what happened.
package env

import (
	"math/rand/v2"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler"
)

// Env is everything outside a broker. The same core runs on any implementation of it.
type Env struct {
	Loop scheduler.Loop
	Disk disk.Disk // of the metadata log; of logs: theirs
	// Disks are the log directories, in the order of log.dirs; one of them may be Disk. Nil: Disk is the only one.
	Disks []disk.Disk
	Net   network.Network
	// Rand returns the stream of random numbers for a purpose: independent of all others, so that
	// a new draw in one place shifts no other. Each call restarts the purpose's stream's numbering
	// at a new incarnation of the broker only; keep what it returns.
	Rand  func(purpose string) *rand.Rand
	Event event.Sink
	// Buggify has rare paths taken more often. Only the simulator sets it; nil takes none.
	Buggify *buggify.Sites
}

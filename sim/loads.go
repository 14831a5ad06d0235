package sim

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler"
)

// loads is when coordinators last loaded their partitions.
type loads map[event.Partition]load

// load is when a leader began to load its partition, and when one had loaded it, in whatever epoch.
type load struct{ begun, done scheduler.Instant }

// observe notes that a partition has another leader, or is loaded.
func (l loads) observe(e *event.Event, now scheduler.Instant) {
	x := l[e.Partition]
	if e.Kind == event.BecameLeader {
		x.begun = now
	} else {
		x.done = now
	}
	l[e.Partition] = x
}

// since reports whether a partition has been loaded all the time since then. One that is being loaded answers heartbeats of the classic protocol
// that all is well, whatever it has not read yet, as Kafka's does.
func (l loads) since(p event.Partition, then scheduler.Instant) bool {
	x := l[p]
	return x.begun <= x.done && x.done <= then
}

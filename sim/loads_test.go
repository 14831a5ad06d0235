package sim

import (
	"testing"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler"
)

func TestAPartitionThatIsBeingLoadedSaysNothing(t *testing.T) {
	l, p := loads{}, event.Partition{Topic: "__consumer_offsets"}
	at := func(kind event.Kind, now int64) {
		l.observe(&event.Event{Kind: kind, Partition: p}, scheduler.Instant(now))
	}
	at(event.BecameLeader, 10)
	if l.since(p, 20) {
		t.Error("it is being loaded")
	}
	at(event.CoordinatorLoaded, 30)
	if l.since(p, 20) || !l.since(p, 30) || !l.since(p, 40) {
		t.Error("it has been loaded since 30")
	}
	if at(event.BecameLeader, 50); l.since(p, 40) {
		t.Error("another is loading it")
	}
}

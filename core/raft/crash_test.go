package raft

import (
	"testing"

	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/disk/simdisk"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// TestEveryCrashStateOfAVoteHasTheOldStateOrTheNew loses power at every turn of writing quorum-state, in every way that is
// possible there: a vote that was told to anybody is never forgotten, and never half there.
func TestEveryCrashStateOfAVoteHasTheOldStateOrTheNew(t *testing.T) {
	world := virtual.New(1)
	d := simdisk.New(world.Node(1), 1, simdisk.Options{})
	voters := []Voter{{ID: 1}, {ID: 2}, {ID: 3}}
	file := &quorumStateFile{d, quorumStateName}
	mkdir(t, world, d)
	told, next := electionState{epoch: -1}, electionState{}
	states := 0
	look := func() {
		for image := range d.CrashStates() {
			states++
			if got := readVote(t, image); got != told && got != next {
				t.Fatalf("found %+v; %+v is durable and %+v is being written", got, told, next)
			}
		}
	}
	for _, e := range []electionState{{epoch: 1, leader: none, voted: 2}, {epoch: 1, leader: 2, voted: 2}, {epoch: 20_000, leader: none, voted: none}, {epoch: 20_001, leader: none, voted: 3}} {
		next = e
		written := false
		file.write(e, quorum{voters: voters}, func(err error) {
			if err != nil {
				t.Fatal(err)
			}
			told, written = e, true
		})
		for look(); !written; look() {
			world.Step()
		}
	}
	t.Logf("%d crash states", states)
}

func mkdir(t *testing.T, world *virtual.World, d *simdisk.Disk) {
	t.Helper()
	made := false
	d.Mkdir(metadataDir, func(error) { d.SyncDir(".", func(error) { made = true }) })
	for !made && world.Step() {
	}
	if !made {
		t.Fatal("no directory")
	}
}

// readVote is the election state in an image; an epoch of -1 if there is no file.
func readVote(t *testing.T, image *simdisk.Image) electionState {
	t.Helper()
	world := virtual.New(1)
	d := simdisk.NewFrom(world.Node(1), 1, simdisk.Options{}, image)
	e, ended := electionState{epoch: -1}, false
	storage.ReadFile(d, quorumStateName, func(b []byte, err error) {
		ended = true
		if err != nil {
			return // absent: the disk fails nothing
		}
		if e, err = parseQuorumState(b); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
	})
	for !ended && world.Step() {
	}
	return e
}

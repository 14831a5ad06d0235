package raft

import (
	"testing"
	"time"
)

func TestOnlyVoterLeadsAtOnce(t *testing.T) {
	c := newCluster(t, 1, 1, 0)
	c.run(100 * time.Millisecond)
	if c.leader() == nil {
		c.fail("no leader after 100 ms")
	}
	c.awaitCaughtUp()
}

func TestElectionConvergesAndAllFollow(t *testing.T) {
	for seed := range uint64(20) {
		c := newCluster(t, seed, 3, 2)
		c.awaitLeader()
		c.awaitCaughtUp()
		if len(c.leaders) > 3 {
			c.fail("%d epochs with leaders before the first lasted", len(c.leaders))
		}
	}
}

func TestLeaderWithoutMajorityResigns(t *testing.T) {
	c := newCluster(t, 3, 3, 1)
	old := c.awaitLeader()
	c.awaitCaughtUp()
	c.cutOff(old.m.id)
	c.run(4 * time.Second)
	if name := old.raft.State(); name == "leader" || old.leader == old.m.id {
		c.fail("node %d is still %s, its listener knows leader %d", old.m.id, name, old.leader)
	}
	if next := c.awaitLeader(); next.epoch <= old.epoch && next != old {
		c.fail("no successor")
	}
	c.heal()
	c.awaitCaughtUp()
}

func TestLeaderThatHearsAMajorityStays(t *testing.T) {
	c := newCluster(t, 4, 3, 0)
	p := c.awaitLeader()
	other := c.machines[(p.m.id+1)%3]
	other.stop(false)
	c.run(time.Minute)
	if p.raft.State() != "leader" || len(c.leaders) != 1 {
		c.fail("node %d is %s after %d elections", p.m.id, p.raft.State(), len(c.leaders))
	}
}

// A follower that asks another voter, after an answer of the leader's that it could not use, must not wait for one that is dead: without it
// nothing is committed.
func TestFollowerThatAsksADeadVoterIsSoonBackAtItsLeader(t *testing.T) {
	c := newCluster(t, 4, 3, 0)
	leader := c.awaitLeader()
	c.awaitCaughtUp()
	follower, dead := c.machines[(leader.m.id+1)%3], c.machines[(leader.m.id+2)%3]
	c.cutOff(dead.id)
	c.run(100 * time.Millisecond)
	follower.node.Post(func() {
		f := &follower.proc.raft.fetcher
		f.next = int(dead.id+2) % 3 // so that it is dead's turn
		f.generation++              // the fetch that is under way ends thus
		f.onAnswer(f.generation, reply{}, errLost)
	})
	before := c.end
	c.append()
	c.run(time.Second)
	if c.end == before {
		c.fail("nothing is committed for a second by node %d and node %d, which nothing ails", leader.m.id, follower.id)
	}
	if len(c.leaders) != 1 {
		c.fail("%d elections", len(c.leaders))
	}
}

// KAFKA-10527: it may have lost records that it gave offsets in its epoch.
func TestRestartedLeaderDoesNotResumeItsEpoch(t *testing.T) {
	c := newCluster(t, 5, 3, 0)
	p := c.awaitLeader()
	c.awaitCaughtUp()
	epoch, m := p.epoch, p.m
	m.stop(true)
	m.start(3)
	c.run(50 * time.Millisecond)
	if s := m.proc.raft.State(); s != "resigned" {
		c.fail("a restarted leader is %s", s)
	}
	c.awaitCaughtUp()
	if c.leader().epoch <= epoch {
		c.fail("epoch %d was resumed", epoch)
	}
}

// KIP-996: it comes back with the old epoch, so nobody has to follow it into a new one.
func TestPreVoteKeepsAnIsolatedVoterFromDisturbing(t *testing.T) {
	c := newCluster(t, 6, 3, 0)
	p := c.awaitLeader()
	c.awaitCaughtUp()
	c.cutOff((p.m.id + 1) % 3)
	c.run(time.Minute)
	c.heal()
	c.awaitCaughtUp()
	if len(c.leaders) != 1 || c.leader() != p {
		c.fail("the leader changed: %v", c.leaders)
	}
}

func TestShutdownOfTheLeaderHandsOverWithoutATimeout(t *testing.T) {
	for seed := range uint64(10) {
		c := newCluster(t, seed, 3, 0)
		p := c.awaitLeader()
		c.awaitCaughtUp()
		done, epoch := false, p.epoch
		p.m.node.Post(func() { p.raft.Shutdown(func() { done = true; p.leader = none }) })
		start := c.world.Now()
		c.await("shutdown", func() bool { return done })
		c.await("successor", func() bool { n := c.leader(); return n != nil && n.epoch > epoch })
		if took := c.world.Now().Sub(start); took > 1500*time.Millisecond {
			c.fail("it took %v", took)
		}
	}
}

func TestVoterWithATornTailTruncatesToTheLeader(t *testing.T) {
	c := newCluster(t, 8, 3, 0)
	old := c.awaitLeader()
	c.awaitCaughtUp()
	c.cutOff(old.m.id)
	c.append() // on the isolated leader only
	c.run(10 * time.Second)
	c.heal()
	c.awaitCaughtUp()
	if old.raft.fetcher.truncations == 0 {
		c.fail("the old leader kept what nobody else had")
	}
}

func TestLaggingFollowerAndObserverLoadASnapshot(t *testing.T) {
	for _, real := range []bool{false, true} {
		c := newClusterOn(t, 9, 3, 1, real)
		p := c.awaitLeader()
		late, observer := c.machines[(p.m.id+1)%3], c.machines[3]
		late.stop(false)
		observer.stop(true)
		for range 20 {
			c.append()
			c.run(20 * time.Millisecond)
		}
		p.snapshot = true
		c.append()
		c.run(time.Second)
		if p.raft.LatestSnapshot().EndOffset == 0 || p.raft.log.LogStartOffset() != p.raft.LatestSnapshot().EndOffset {
			c.fail("snapshot %v, log starts at %d", p.raft.LatestSnapshot(), p.raft.log.LogStartOffset())
		}
		late.start(3)
		observer.start(3)
		c.awaitCaughtUp()
		if late.proc.raft.LatestSnapshot() != p.raft.LatestSnapshot() || observer.proc.raft.LatestSnapshot() != p.raft.LatestSnapshot() {
			c.fail("they did not load the snapshot")
		}
		late.stop(true)
		late.start(3)
		c.awaitCaughtUp()
	}
}

// A node has learnt the high watermark and reads what it is to deliver, slowly; the leader has a snapshot by then.
func TestSnapshotMayArriveDuringARead(t *testing.T) {
	for _, delivered := range []bool{false, true} {
		c := newCluster(t, 13, 3, 0)
		p := c.awaitLeader()
		c.awaitCaughtUp()
		late := c.machines[(p.m.id+1)%3]
		late.stop(false)
		late.start(3)
		for !late.proc.raft.started && c.world.Step() {
		}
		log, reads := late.proc.raft.log.(*fakeLog), []func(){}
		log.reads = &reads
		c.await("read", func() bool { return len(reads) > 0 })
		c.cutOff(late.id)
		c.append()
		c.run(100 * time.Millisecond)
		p.snapshot = true
		c.append()
		c.run(time.Second)
		c.heal()
		for range 1_000_000 {
			if log.LogStartOffset() > 0 && (late.proc.next > 0 || !delivered) {
				break
			}
			c.run(10 * time.Microsecond)
		}
		if log.LogStartOffset() == 0 {
			c.fail("no snapshot came")
		}
		log.reads = nil
		late.node.Post(reads[0])
		c.awaitCaughtUp()
	}
}

// A has a long tail that nobody else has. It gets a snapshot from B, which is shorter, and is killed when the file is there and the log as it was:
// what that has beyond the snapshot does not continue it.
func TestNothingOfTheOldLogOutlivesTheSnapshotThatReplacesIt(t *testing.T) {
	for _, real := range []bool{false, true} {
		c := newClusterOn(t, 12, 3, 0, real)
		a := c.awaitLeader().m
		c.awaitCaughtUp()
		c.cutOff(a.id)
		for range 50 {
			c.append() // on A only
			c.run(time.Millisecond)
		}
		c.await("successor", func() bool { return c.leader() != nil && c.leader().m != a })
		b := c.leader().m
		c.append()
		c.run(time.Second)
		b.proc.snapshot = true
		c.append()
		c.run(time.Second)
		c.heal()
		for a.proc.raft.LatestSnapshot().EndOffset == 0 && c.world.Step() {
		}
		a.stop(false)
		b.stop(false) // C, which has no snapshot, leads
		a.start(3)
		c.await("third leader", func() bool {
			return c.leader() != nil && a.proc.next == c.leader().next && c.leader().claims > 0 && a.proc.next > 0
		})
		b.start(3)
		c.awaitCaughtUp()
	}
}

func TestObserverNeverVotesNorStands(t *testing.T) {
	c := newCluster(t, 10, 1, 1)
	c.awaitCaughtUp()
	c.machines[0].stop(false)
	c.run(time.Minute)
	p := c.machines[1].proc
	if p.raft.State() != "observer" || p.raft.durable.voted != none || len(c.leaders) != 1 {
		c.fail("observer is %s, voted for %d", p.raft.State(), p.raft.durable.voted)
	}
}

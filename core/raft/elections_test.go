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

package raft

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler/virtual"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

func (m *machine) port() int { return 9093 + m.moved }

func (m *machine) dir() [16]byte { return [16]byte{byte(m.id) + 1} }

func (m *machine) endpoints() []Endpoint {
	return []Endpoint{{"CONTROLLER", fmt.Sprintf("node%d", m.id), uint16(m.port())}}
}

func (m *machine) voter() Voter { return NewVoter(m.id, m.dir(), m.endpoints(), "CONTROLLER") }

func (m *machine) dynamicConfig() Config {
	cfg := Config{NodeID: m.id, ClusterID: "test", DirectoryID: m.dir(), CanBecomeVoter: true, AutoJoin: m.c.autoJoin,
		Endpoints: m.endpoints(), ListenerName: "CONTROLLER"}
	for _, o := range m.c.machines {
		cfg.Bootstrap = append(cfg.Bootstrap, network.Addr(fmt.Sprintf("node%d:9093", o.id)))
	}
	return cfg
}

// newDynamicCluster has machines of which the first are formatted as the initial controllers, and the others without any.
func newDynamicCluster(t failer, seed uint64, voters, others int, real bool) *cluster {
	c := newClusterOn(t, seed, 0, 0, real)
	c.dynamic = true
	for i := range voters + others {
		c.addMachine(seed, int32(i))
	}
	var initial []Voter
	for _, m := range c.machines[:voters] {
		initial = append(initial, m.voter())
	}
	for i, m := range c.machines {
		known := initial
		if i >= voters {
			known = nil
		}
		m.node.Post(func() { WriteBootstrapSnapshot(m.disk, known, 1, func(error) {}) })
	}
	c.run(time.Second)
	for _, m := range c.machines {
		m.start(0)
	}
	return c
}

// change asks whoever thinks that it leads to add or remove a voter.
func (c *cluster) change(add bool, id int32, answered func(code int16)) {
	target := c.machines[id]
	for _, m := range c.machines {
		p := m.proc
		if p == nil || p.leader != m.id {
			continue
		}
		m.node.Post(func() {
			if !add {
				req := kmsg.NewPtrRemoveRaftVoterRequest()
				req.VoterID, req.VoterDirectoryID = id, target.dir()
				p.raft.HandleRemoveRaftVoter(req, func(r *kmsg.RemoveRaftVoterResponse) { answered(r.ErrorCode) })
				return
			}
			req := kmsg.NewPtrAddRaftVoterRequest()
			req.Version, req.VoterID, req.VoterDirectoryID = 1, id, target.dir()
			for _, e := range target.endpoints() {
				req.Listeners = append(req.Listeners, kmsg.AddRaftVoterRequestListener{Name: e.Name, Host: e.Host, Port: e.Port})
			}
			p.raft.HandleAddRaftVoter(req, func(r *kmsg.AddRaftVoterResponse) { answered(r.ErrorCode) })
		})
	}
}

// changeAny asks for a change that makes sense to the newest leader, from the n-th machine on.
func (c *cluster) changeAny(add bool, n int) {
	p := c.leader()
	if p == nil {
		return
	}
	for i := range c.machines {
		if m := c.machines[(n+i)%len(c.machines)]; (findVoter(p.raft.Voters(), m.id) == nil) == add {
			c.change(add, m.id, func(int16) {})
			return
		}
	}
}

// mustChange is change that is granted, in the end.
func (c *cluster) mustChange(add bool, id int32) {
	c.t.Helper()
	code := int16(-1)
	c.await("change", func() bool {
		if code != 0 {
			c.change(add, id, func(got int16) { code = got })
			c.run(50 * time.Millisecond)
		}
		return code == 0
	})
}

// wantVoters waits until all nodes that run have these voters.
func (c *cluster) wantVoters(ids ...int32) {
	c.t.Helper()
	c.await(fmt.Sprint("voters ", ids), func() bool {
		for _, m := range c.machines {
			if m.proc != nil && !slices.Equal(idsOf(m.proc.raft.Voters()), ids) {
				return false
			}
		}
		return true
	})
}

func idsOf(voters []Voter) (ids []int32) {
	for _, v := range voters {
		ids = append(ids, v.ID)
	}
	return ids
}

func TestFirstLeaderBringsTheInitialVotersIntoTheLog(t *testing.T) {
	for _, real := range []bool{false, true} {
		c := newDynamicCluster(t, 1, 3, 1, real)
		c.awaitLeader()
		c.awaitCaughtUp()
		c.wantVoters(0, 1, 2)
		f, err := findControls(c.committed[0], "CONTROLLER")
		if err != nil || len(f.voters) != 1 || len(f.versions) != 1 || f.versions[0].version != 1 {
			c.fail("the first batch says %+v, %v", f, err)
		}
		if s := c.machines[3].proc.raft.State(); s != "observer" {
			c.fail("node 3 is %s", s)
		}
	}
}

func TestVotersComeAndGo(t *testing.T) {
	for _, real := range []bool{false, true} {
		c := newDynamicCluster(t, 2, 1, 3, real)
		for id := range int32(3) {
			c.mustChange(true, id+1)
		}
		c.wantVoters(0, 1, 2, 3)
		for _, id := range []int32{0, 2} {
			c.mustChange(false, id)
		}
		c.wantVoters(1, 3)
		c.awaitCaughtUp()
		for _, id := range []int32{0, 2} {
			if s := c.machines[id].proc.raft.State(); s != "observer" {
				c.fail("node %d, which was removed, is %s", id, s)
			}
		}
	}
}

func TestLeaderThatRemovesItselfResigns(t *testing.T) {
	c := newDynamicCluster(t, 3, 3, 0, false)
	p := c.awaitLeader()
	c.awaitCaughtUp()
	epoch := p.epoch
	c.mustChange(false, p.m.id)
	c.await("successor", func() bool { n := c.leader(); return n != nil && n.epoch > epoch })
	c.awaitCaughtUp()
	if s := p.raft.State(); s != "observer" {
		c.fail("node %d is %s", p.m.id, s)
	}
}

// A leader that others no longer count must not be counted by itself.
func TestLeaderThatIsRemovedDoesNotCountItself(t *testing.T) {
	c := newDynamicCluster(t, 4, 3, 0, false)
	p := c.awaitLeader()
	c.awaitCaughtUp()
	c.cutOff((p.m.id + 1) % 3)
	end, code := c.end, int16(-1)
	c.change(false, p.m.id, func(got int16) { code = got })
	c.run(time.Second)
	if c.end > end || code == 0 {
		c.fail("%d was committed with one of two voters", c.end-1)
	}
	c.heal()
	c.await("answer", func() bool { return code >= 0 })
	c.awaitCaughtUp()
}

func TestChangesAreRefused(t *testing.T) {
	c := newDynamicCluster(t, 5, 3, 2, false)
	p := c.awaitLeader()
	c.awaitCaughtUp()
	ask := func(add bool, id int32) int16 {
		code := int16(-1)
		c.change(add, id, func(got int16) { code = got })
		c.await("answer", func() bool { return code >= 0 })
		return code
	}
	if got := ask(true, 1); got != kerr.DuplicateVoter.Code {
		t.Errorf("adding a voter: %v", kerr.ErrorForCode(got))
	}
	if got := ask(false, 3); got != kerr.VoterNotFound.Code {
		t.Errorf("removing who is none: %v", kerr.ErrorForCode(got))
	}
	c.machines[4].stop(false)
	if got := ask(true, 4); got != kerr.RequestTimedOut.Code {
		t.Errorf("adding one that is down: %v", kerr.ErrorForCode(got))
	}
	p.m.node.Post(func() { // two at once
		var codes []int16
		c.change(true, 3, func(code int16) { codes = append(codes, code) })
		c.change(false, (p.m.id+1)%3, func(code int16) { codes = append(codes, code) })
		c.world.After(time.Second, func() {
			if !slices.Equal(codes, []int16{kerr.RequestTimedOut.Code, 0}) {
				t.Errorf("two changes at once were answered %v", codes)
			}
		})
	})
	c.run(2 * time.Second)
	c.wantVoters(0, 1, 2, 3)
}

// The story of mayChange: without its rule about the leader's own epoch two majorities commit different records.
func TestNoChangeBeforeARecordOfTheEpochIsCommitted(t *testing.T) {
	c := newDynamicCluster(t, 13, 4, 1, false)
	first := c.awaitLeader().m
	c.awaitCaughtUp()
	c.run(time.Second)
	newcomer := c.machines[4]
	c.cutOff(first.id, newcomer.id)
	c.change(true, newcomer.id, func(int16) {})
	c.run(100 * time.Millisecond)
	if len(newcomer.proc.raft.Voters()) != 5 {
		c.fail("the newcomer does not know that it was added")
	}
	second := c.awaitState("leader", first.id)
	rest := slices.DeleteFunc(slices.Clone(c.machines), func(m *machine) bool { return m == first || m == second || m == newcomer })
	c.cutOff(rest[1].id)
	code := int16(-1)
	second.node.Post(func() {
		req := kmsg.NewPtrRemoveRaftVoterRequest()
		req.VoterID, req.VoterDirectoryID = first.id, first.dir()
		second.proc.raft.HandleRemoveRaftVoter(req, func(r *kmsg.RemoveRaftVoterResponse) { code = r.ErrorCode })
	})
	c.run(time.Second)
	c.heal()
	c.cutOff(second.id, rest[0].id)
	c.run(20 * time.Second)
	c.heal()
	c.awaitCaughtUp()
	if code != kerr.RequestTimedOut.Code {
		c.fail("it was answered %v", kerr.ErrorForCode(code))
	}
}

// awaitState runs, in small steps, until another node than one is in a state.
func (c *cluster) awaitState(name string, not int32) *machine {
	c.t.Helper()
	for range 1_000_000 {
		for _, m := range c.machines {
			if m.id != not && m.proc != nil && m.proc.raft != nil && m.proc.raft.State() == name {
				return m
			}
		}
		c.run(10 * time.Microsecond)
	}
	c.fail("no other node is %s", name)
	return nil
}

// 0 has its own removal on its own disk alone; 1 needs the vote of 0, whose log is longer. See mayStand.
func TestRemovedLeaderStandsUntilThatIsCommitted(t *testing.T) {
	for _, real := range []bool{false, true} {
		c := newDynamicCluster(t, 14, 2, 0, real)
		p := c.awaitLeader()
		c.awaitCaughtUp()
		c.cutOff(p.m.id)
		c.change(false, p.m.id, func(int16) {})
		c.run(500 * time.Millisecond)
		p.m.stop(false)
		c.heal()
		p.m.start(0)
		c.awaitCaughtUp()
		c.wantVoters((p.m.id + 1) % 2)
		c.run(10 * time.Second)
		if s := p.m.proc.raft.State(); s != "observer" {
			c.fail("node %d is %s", p.m.id, s)
		}
	}
}

func TestStaticVotersDoNotChange(t *testing.T) {
	c := newCluster(t, 6, 3, 1)
	c.awaitLeader()
	c.awaitCaughtUp()
	code := int16(-1)
	c.change(true, 3, func(got int16) { code = got })
	c.run(10 * time.Millisecond)
	if code != kerr.UnsupportedVersion.Code {
		t.Errorf("%v", kerr.ErrorForCode(code))
	}
}

// The record is on the leader alone. Its successor does not have it: the voters are those before.
func TestTruncationUndoesAChange(t *testing.T) {
	for _, real := range []bool{false, true} {
		c := newDynamicCluster(t, 7, 3, 1, real)
		old := c.awaitLeader()
		c.awaitCaughtUp()
		c.run(time.Second)
		c.cutOff(old.m.id)
		c.change(false, (old.m.id+1)%3, func(int16) {})
		c.run(100 * time.Millisecond)
		if n := len(old.raft.Voters()); n != 2 {
			c.fail("the change does not count at the leader that made it: %d voters", n)
		}
		c.run(10 * time.Second)
		c.heal()
		c.awaitCaughtUp()
		c.wantVoters(0, 1, 2)
		if old.raft.fetcher.truncations == 0 {
			c.fail("nothing was truncated")
		}
	}
}

func TestVotersOutliveARestartAndASnapshot(t *testing.T) {
	for _, real := range []bool{false, true} {
		c := newDynamicCluster(t, 8, 1, 2, real)
		c.mustChange(true, 1)
		c.mustChange(true, 2)
		c.mustChange(false, 0)
		c.wantVoters(1, 2)
		c.awaitCaughtUp()
		for _, power := range []bool{false, true} {
			for _, m := range c.machines {
				if power {
					m.proc.snapshot = true
				}
			}
			c.append()
			c.run(time.Second)
			for _, m := range c.machines {
				m.stop(power)
			}
			for _, m := range c.machines {
				m.start(0)
			}
			c.awaitLeader()
			c.awaitCaughtUp()
			c.wantVoters(1, 2)
		}
	}
}

func TestNewcomerLearnsTheVotersFromASnapshot(t *testing.T) {
	for _, real := range []bool{false, true} {
		c := newDynamicCluster(t, 9, 2, 1, real)
		c.machines[2].stop(false)
		p := c.awaitLeader()
		for range 10 {
			c.append()
			c.run(20 * time.Millisecond)
		}
		p.snapshot = true
		c.append()
		c.run(time.Second)
		c.machines[2].start(0)
		c.awaitCaughtUp()
		if c.machines[2].proc.raft.LatestSnapshot().EndOffset == 0 {
			c.fail("it loaded no snapshot")
		}
		c.wantVoters(0, 1)
		c.mustChange(true, 2)
		c.wantVoters(0, 1, 2)
	}
}

func TestControllersJoinByThemselves(t *testing.T) {
	c := newDynamicCluster(t, 10, 1, 2, false)
	c.autoJoin = true
	for _, m := range c.machines[1:] {
		m.stop(false)
		m.start(0)
	}
	c.wantVoters(0, 1, 2)
}

// One that comes back with another directory is another replica: the old one has to go first.
func TestControllerWithANewDirectoryTakesThePlaceOfItsOld(t *testing.T) {
	c := newDynamicCluster(t, 11, 3, 0, false)
	c.autoJoin = true
	p := c.awaitLeader()
	c.awaitCaughtUp()
	m := c.machines[(p.m.id+1)%3]
	m.stop(false)
	cfg := m.dynamicConfig()
	cfg.DirectoryID = [16]byte{99}
	m.disk.Wipe()
	m.platter, m.store = platter{}, electionState{leader: none, voted: none}
	m.startWith(cfg.withDefaults())
	c.await("its place", func() bool {
		v := findVoter(c.leader().raft.Voters(), m.id)
		return v != nil && v.DirectoryID == cfg.DirectoryID
	})
	if len(c.leader().raft.Voters()) != 3 {
		c.fail("voters %v", idsOf(c.leader().raft.Voters()))
	}
}

func TestVoterThatMovesTellsTheLeader(t *testing.T) {
	for n := range int32(2) { // the leader moves, or another one
		c := newDynamicCluster(t, 12, 3, 1, false)
		m := c.machines[(c.awaitLeader().m.id+n)%3]
		c.awaitCaughtUp()
		m.stop(false)
		m.moved++
		m.start(0)
		c.await("new endpoint everywhere", func() bool {
			for _, o := range c.machines {
				if v := findVoter(o.proc.raft.Voters(), m.id); v == nil || v.Endpoints[0].Port != uint16(m.port()) {
					return false
				}
			}
			return true
		})
		c.awaitCaughtUp()
	}
}

// newUpgradable has static voters, and one controller that is none, all of whom could be in the log.
func newUpgradable(t failer, seed uint64, real bool) *cluster {
	c := newClusterOn(t, seed, 0, 0, real)
	c.upgradable = 3
	for i := range 4 {
		c.addMachine(seed, int32(i))
	}
	for _, m := range c.machines {
		m.start(c.upgradable)
	}
	return c
}

func (c *cluster) upgrade() {
	code := int16(-1)
	c.await("upgrade", func() bool {
		if p := c.leader(); p != nil && code != 0 {
			p.m.node.Post(func() {
				p.raft.UpgradeKRaftVersion(p.epoch, 1, false, func(err *kerr.Error, _ string) { code, _ = explain(err, "") })
			})
			c.run(50 * time.Millisecond)
		}
		return code == 0
	})
}

func TestStaticVotersBecomeThoseOfTheLog(t *testing.T) {
	for _, real := range []bool{false, true} {
		c := newUpgradable(t, 15, real)
		c.awaitLeader()
		c.awaitCaughtUp()
		c.run(time.Second)
		c.upgrade()
		c.mustChange(true, 3)
		c.wantVoters(0, 1, 2, 3)
		c.mustChange(false, 0)
		c.wantVoters(1, 2, 3)
		for _, m := range c.machines {
			m.stop(true)
		}
		for _, m := range c.machines {
			m.start(c.upgradable) // the configuration says what it said
		}
		c.awaitLeader()
		c.awaitCaughtUp()
		c.wantVoters(1, 2, 3)
	}
}

// The process is killed at any moment of an upgrade: nobody who has promised its record forgets, after a restart, to look for it.
func TestKillsWhileStaticVotersBecomeThoseOfTheLog(t *testing.T) {
	for seed := range uint64(40) {
		c := newUpgradable(t, seed, true)
		r := virtual.Rand(seed, "kills")
		p := c.awaitLeader()
		c.awaitCaughtUp()
		p.m.node.Post(func() { p.raft.UpgradeKRaftVersion(p.epoch, 1, false, func(*kerr.Error, string) {}) })
		c.run(time.Duration(r.IntN(20_000)) * time.Microsecond)
		for _, m := range c.machines[:3] {
			if r.IntN(3) > 0 {
				m.stop(r.IntN(2) == 0)
			}
		}
		for _, m := range c.machines[:3] {
			m.start(c.upgradable)
		}
		c.awaitLeader()
		c.awaitCaughtUp()
		c.upgrade()
		c.mustChange(true, 3)
		c.mustChange(false, int32(r.IntN(3)))
		c.awaitCaughtUp()
		c.checkSteps()
	}
}

// B has the voters in its log and is killed before its quorum-state says so. It never fetches that record again: with static voters for
// good it would count a majority of those who are none.
func TestVotersAreFoundInTheLogWhateverQuorumStateSays(t *testing.T) {
	for _, real := range []bool{false, true} {
		c := newUpgradable(t, 16, real)
		p := c.awaitLeader()
		c.awaitCaughtUp()
		c.run(time.Second)
		b := c.machines[(p.m.id+1)%3]
		end, hasVoters := p.raft.log.LogEndOffset(), func() bool { return b.proc.raft.history.version() > 0 }
		p.m.node.Post(func() { p.raft.UpgradeKRaftVersion(p.epoch, 1, false, func(*kerr.Error, string) {}) })
		for (!hasVoters() || b.proc.raft.log.LogEndOffset() == end) && c.world.Step() {
		}
		if b.proc.raft.written > 0 {
			c.fail("quorum-state is of version %d already", b.proc.raft.written)
		}
		b.stop(false)
		b.start(c.upgradable)
		c.upgrade()
		c.mustChange(true, 3)
		c.awaitCaughtUp()
		c.wantVoters(0, 1, 2, 3)
		b.stop(false)
		b.start(c.upgradable)
		c.awaitCaughtUp()
		c.wantVoters(0, 1, 2, 3)
	}
}

// memberTroubles are troubles with changes of the voters.
var memberTroubles = rapid.Custom(func(t *rapid.T) trouble {
	return trouble{
		Kind: rapid.SampledFrom([]string{"add", "add", "add", "remove", "remove", "append", "kill", "power", "start", "start", "isolate", "oneway", "pair", "heal", "heal", "resign", "snapshot", "pause", "resume"}).Draw(t, "kind"),
		Node: rapid.IntRange(0, 5).Draw(t, "node"), Other: rapid.IntRange(0, 5).Draw(t, "other"),
		Before: time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond,
	}
})

func TestQuorumKeepsItsPromisesWhileVotersComeAndGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		voters := rapid.SampledFrom([]int{1, 2, 3, 3, 4}).Draw(t, "voters")
		others := rapid.IntRange(0, 2).Draw(t, "others")
		c := newDynamicCluster(t, rapid.Uint64().Draw(t, "seed"), voters, others, rapid.Bool().Draw(t, "real"))
		var faults []trouble
		for range 4 {
			faults = append(faults, rapid.SliceOfN(memberTroubles, 0, 10).Draw(t, "faults")...)
		}
		c.endure(faults, 0)
		c.checkSteps()
	})
}

func TestQuorumKeepsItsPromisesWhileVotersComeAndGoForLong(t *testing.T) {
	kinds := []string{"add", "add", "add", "remove", "remove", "append", "kill", "power", "power", "start", "start", "start", "isolate", "oneway", "pair", "heal", "heal", "heal", "resign", "snapshot", "pause", "resume"}
	changes := 0
	for seed := range uint64(30) {
		r := virtual.Rand(seed, "troubles")
		c := newDynamicCluster(t, seed, 1+r.IntN(4), r.IntN(3), seed%3 == 0)
		var faults []trouble
		for range 150 {
			faults = append(faults, trouble{kinds[r.IntN(len(kinds))], r.IntN(6), r.IntN(6), time.Duration(r.IntN(800)) * time.Millisecond})
		}
		c.endure(faults, 0)
		changes += c.checkSteps()
	}
	t.Logf("%d changes of voters were committed", changes)
	if changes < 50 {
		t.Errorf("only %d changes of voters were committed", changes)
	}
}

// checkSteps: committed voter sets follow each other by one voter at most. It returns how many there are.
func (c *cluster) checkSteps() (changes int) {
	var last []Voter
	for _, b := range c.committed {
		f, err := findControls(b, "CONTROLLER")
		if err != nil {
			c.fail("a committed batch at %d: %v", b.BaseOffset(), err)
		}
		for _, v := range f.voters {
			if last != nil && (missing(last, v.voters) > 1 || missing(v.voters, last) > 1) {
				c.fail("at %d the voters %s became %s", v.offset, joinIDs(last), joinIDs(v.voters))
			}
			if last != nil {
				changes++
			}
			last = v.voters
		}
	}
	return changes
}

// missing is how many voters of a are not in b.
func missing(a, b []Voter) (n int) {
	for i := range a {
		if !isVoter(b, a[i].key()) {
			n++
		}
	}
	return n
}

func TestControlRecordsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var voters []Voter
		for id := range rapid.Int32Range(1, 5).Draw(t, "voters") {
			var dir [16]byte
			copy(dir[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "dir"))
			endpoints := []Endpoint{{"A", rapid.StringN(0, 200, 300).Draw(t, "host"), rapid.Uint16().Draw(t, "port")}, {"B", "b", 2}}
			voters = append(voters, newVoter(voterKey{id, dir}, endpoints[:rapid.IntRange(0, 2).Draw(t, "endpoints")], supported, "B"))
		}
		b := controlBatch(5, 3, 1, kraftVersionRecord(1), votersRecord(voters))
		f, err := findControls(b, "B")
		if err != nil || len(f.voters) != 1 || f.voters[0].offset != 6 || f.versions[0] != (versionAt{5, 1}) {
			t.Fatalf("%+v, %v", f, err)
		}
		for i := range voters {
			if got := f.voters[0].voters[i]; !got.equal(&voters[i]) || got.Addr != voters[i].Addr {
				t.Fatalf("%+v became %+v", voters[i], got)
			}
		}
		value := votersRecord(voters).value
		if _, err := parseVoters(value[:rapid.IntRange(0, len(value)-1).Draw(t, "cut")], "B"); err == nil {
			t.Fatal("a cut record was taken for whole")
		}
	})
}

func FuzzParseVoters(f *testing.F) {
	f.Add(votersRecord([]Voter{NewVoter(1, [16]byte{1}, []Endpoint{{"CONTROLLER", "h", 9093}}, "CONTROLLER"), {ID: 2}}).value)
	f.Add([]byte{0, 0, 2, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		voters, err := parseVoters(b, "CONTROLLER")
		if err != nil {
			return
		}
		again, err := parseVoters(votersRecord(voters).value, "CONTROLLER")
		if err != nil || !slices.EqualFunc(again, voters, func(a, b Voter) bool { return a.equal(&b) }) {
			t.Fatalf("%+v became %+v, %v", voters, again, err)
		}
	})
}

func FuzzParseKRaftVersion(f *testing.F) {
	f.Add(kraftVersionRecord(1).value)
	f.Fuzz(func(t *testing.T, b []byte) { parseKRaftVersion(b) })
}

// As kafka-dump-log reads them: from the log of a quorum of Apache Kafka's.
func TestControlRecordsAreKafkas(t *testing.T) {
	v := NewVoter(1, [16]byte{0xdb, 0x05}, []Endpoint{{"CONTROLLER", "h", 9093}}, "CONTROLLER")
	want := "\x00\x00\x02\x00\x00\x00\x01\xdb\x05" + string(make([]byte, 14)) + "\x02\x0bCONTROLLER\x02h\x23\x85\x00\x00\x00\x00\x01\x00\x00\x00"
	if got := string(votersRecord([]Voter{v}).value); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := string(kraftVersionRecord(1).value); got != "\x00\x00\x00\x01\x00" {
		t.Errorf("%q", got)
	}
}

func TestQuorumStateOfAQuorumThatChangesIsKafkas(t *testing.T) {
	e := electionState{epoch: 4, leader: 2, voted: 1, votedDir: [16]byte{1}}
	b := appendQuorumState(nil, e, quorum{version: 1, voters: []Voter{{ID: 1}}})
	want := `{"leaderId":2,"leaderEpoch":4,"votedId":1,"votedDirectoryId":"AQAAAAAAAAAAAAAAAAAAAA","data_version":1}`
	if string(b) != want {
		t.Fatalf("%s", b)
	}
	if got, err := parseQuorumState(b); err != nil || got != e {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestHistoryIsThatOfTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := history{static: []Voter{{ID: 0}}}
		model := map[int64][]Voter{} // by offset
		end := int64(0)
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				set := []Voter{{ID: int32(end + 1)}}
				h.add(found{voters: []votersAt{{end, set}}})
				model[end] = set
				end++
			case 2:
				to := rapid.Int64Range(0, end).Draw(t, "truncate to")
				h.truncate(to)
				for o := to; o < end; o++ {
					delete(model, o)
				}
				end = to
			case 3:
				at := rapid.Int64Range(0, end).Draw(t, "at")
				want := []Voter(nil)
				for o := range at {
					if v, ok := model[o]; ok {
						want = v
					}
				}
				if got := h.controlsAt(at).voters; !slices.Equal(idsOf(got), idsOf(want)) {
					t.Fatalf("at %d %v, want %v", at, idsOf(got), idsOf(want))
				}
			}
			want := h.static
			for o := range end {
				if v, ok := model[o]; ok {
					want = v
				}
			}
			if got := h.lastVoters(); !slices.Equal(idsOf(got), idsOf(want)) {
				t.Fatalf("voters %v, want %v", idsOf(got), idsOf(want))
			}
		}
	})
}

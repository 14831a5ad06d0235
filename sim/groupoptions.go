package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler/virtual"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// GroupOptions is a group of consumers. Its id is g and its place among the groups.
type GroupOptions struct {
	Members   int
	Topics    string        // to which they subscribe: "t0,t1"; empty: all
	Session   time.Duration // session.timeout.ms; heartbeats come three times as often, or even more often than the rebalance timeout
	Rebalance time.Duration // the rebalance timeout
	Static    bool          // members have instance ids (KIP-345)
	Commit    time.Duration // from one commit to the next
	Churn     time.Duration // mean time between two troubles of a member, see churn.go; 0: there are none
	Version   int           // of JoinGroup; the other requests are of about that time
	Into      string        // the topic into which members copy what they read, each record exactly once; empty: they do not
	Timeout   time.Duration // transaction.timeout.ms of members that copy
	Protocol  string        // of members: consumer (KIP-848), both (every other one), or empty: classic
	Retention time.Duration // of what they commit, as old members ask for it; 0: the brokers', which is for ever
}

// The protocols of a group's members.
const (
	nativeProtocol = "consumer"
	bothProtocols  = "both"
)

// hasNatives reports whether some of the members speak the consumer protocol.
func (g *GroupOptions) hasNatives() bool { return g.Protocol != "" }

// isNative reports whether the n-th member does.
func (g *GroupOptions) isNative(n int) bool {
	return g.Protocol == nativeProtocol || g.Protocol == bothProtocols && n%2 == 1
}

// hasNatives reports whether a member of any group speaks the consumer protocol.
func (o *Options) hasNatives() bool {
	return slices.ContainsFunc(o.Groups, func(g GroupOptions) bool { return g.hasNatives() })
}

func (g *GroupOptions) fields() []field {
	return []field{
		{"members", &g.Members}, {"topics", &g.Topics}, {"session", &g.Session}, {"rebalance", &g.Rebalance}, {"static", &g.Static},
		{"commit", &g.Commit}, {"churn", &g.Churn}, {"version", &g.Version},
		{"into", &g.Into}, {"timeout", &g.Timeout},
		{"protocol", &g.Protocol}, {"retention", &g.Retention},
	}
}

// plainGroup is a group of which a schedule's line says nothing else.
func plainGroup() GroupOptions {
	return GroupOptions{Members: 2, Session: 3 * time.Second, Rebalance: 3 * time.Second, Commit: 500 * time.Millisecond, Version: 9}
}

// firstStableVersion is the first of JoinGroup at whose time members could ask for offsets that no transaction is about to change.
const firstStableVersion = 9

// firstStaticVersion is the first of JoinGroup that knows static members.
const firstStaticVersion = 5

func (g *GroupOptions) check(o *Options) error {
	for _, name := range g.topics(o) {
		if o.topic(name) == nil || config.IsInternal(name) {
			return fmt.Errorf("no topic %q", name)
		}
	}
	switch {
	case g.Members < 1:
		return errors.New("members is not above zero")
	case g.Session < minGroupSession || g.Rebalance < minGroupSession || g.Commit < time.Millisecond:
		return fmt.Errorf("session or rebalance is below %s, or commit below a millisecond", minGroupSession)
	case g.copies() && (o.topic(g.Into) == nil || config.IsInternal(g.Into)):
		return fmt.Errorf("no topic %q", g.Into)
	case g.copies() && (g.Version < firstStableVersion || g.Timeout < time.Millisecond):
		return fmt.Errorf("members that copy need version %d and a timeout", firstStableVersion)
	case g.hasNatives() && g.copies():
		return errors.New("only members of the classic protocol copy")
	case g.hasNatives() && g.Protocol != nativeProtocol && g.Protocol != bothProtocols:
		return fmt.Errorf("no protocol %q", g.Protocol)
	case g.Static && g.Version < firstStaticVersion:
		return fmt.Errorf("static members need version %d", firstStaticVersion)
	}
	return checkVersion(kmsg.JoinGroup, g.Version)
}

// topics are the topics to which the members subscribe.
func (g *GroupOptions) topics(o *Options) []string { return o.topicsIn(g.Topics) }

func groupID(i int) string { return "g" + strconv.Itoa(i) }

// minGroupSession is the brokers' group.min.session.timeout.ms.
const minGroupSession = 100 * time.Millisecond

// plainOffsets is __consumer_offsets of which a schedule's line says nothing else.
func plainOffsets() TopicOptions {
	return TopicOptions{Name: config.ConsumerOffsets, Partitions: 1, RF: 3, MinISR: 2, SegmentBytes: 1 << 20, Compact: true}
}

// checkGroups finds groups that cannot be.
func (o *Options) checkGroups() error {
	if len(o.Groups) == 0 {
		return nil
	}
	if o.Offsets.Partitions == 0 {
		return errors.New("groups and no line for the offsets")
	}
	for i := range o.Groups {
		if err := o.Groups[i].check(o); err != nil {
			return fmt.Errorf("group %d: %w", i, err)
		}
	}
	return nil
}

// memberCount is how many members all groups have.
func (o *Options) memberCount() (n int) {
	for i := range o.Groups {
		n += o.Groups[i].Members
	}
	return n
}

// drawOffsetsAndGroups gives one seed in four groups.
func (o *Options) drawOffsetsAndGroups(seed uint64) {
	r := virtual.Rand(seed, "options/groups")
	if r.IntN(4) > 0 {
		return
	}
	o.Offsets = drawOffsets(virtual.Rand(seed, "options/offsets"), o.Cluster.Brokers)
	for i := range pick(r, 1, 1, 2) {
		o.Groups = append(o.Groups, drawGroup(virtual.Rand(seed, "options/group/"+strconv.Itoa(i)), o))
		o.Groups[i].Protocol = pick(virtual.Rand(seed, "options/protocol/"+strconv.Itoa(i)), "", "", "", nativeProtocol, nativeProtocol, bothProtocols)
	}
}

func drawOffsets(r *rand.Rand, brokers int) TopicOptions {
	t := plainOffsets()
	t.Partitions = pick(r, 1, 1, 2)
	t.RF = min(pick(r, 3, 3, 3, 3, 2, 1), brokers)
	t.MinISR = min(pick(r, 2, 2, 2, 1), t.RF)
	t.Unclean = r.IntN(10) == 0
	t.FlushMessages = pick[int64](r, 0, 0, 0, 1)
	t.SegmentBytes = pick[int64](r, 1<<20, 16<<10, 4<<10) // the active segment is not compacted
	return t
}

func drawGroup(r *rand.Rand, o *Options) GroupOptions {
	g := plainGroup()
	g.Members = pick(r, 1, 2, 2, 3, 4)
	g.Session = pickMillis(r, 500, 1000, 3000, 6000)
	g.Rebalance = pickMillis(r, 300, 1000, 3000, 6000)
	g.Static = r.IntN(3) == 0
	g.Commit = pickMillis(r, 100, 500, 2000)
	g.Churn = pickMillis(r, 0, 1000, 3000, 10_000)
	g.Version = pick(r, 3, 4, 5, 7, 9)
	if all := r.IntN(3) > 0; !all {
		g.Topics = pick(r, o.Topics...).Name
	}
	if g.Static {
		g.Version = max(g.Version, firstStaticVersion)
	}
	return g
}

// offsetsPartition is the partition of __consumer_offsets that a group has.
func (o *Options) offsetsPartition(group int) event.Partition {
	return event.Partition{Topic: config.ConsumerOffsets, Index: coordinator.PartitionFor(groupID(group), o.Offsets.Partitions)}
}

// focusOnGroup has every other seed with groups put its faults where a group has its offsets.
func (p *plan) focusOnGroup(r *rand.Rand) {
	if n := len(p.options.Groups); n > 0 && r.IntN(2) == 0 {
		p.partition = p.options.offsetsPartition(r.IntN(n))
	}
}

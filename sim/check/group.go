package check

import (
	"fmt"
	"slices"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler"
)

// I12, consumer groups (P7): a partition has one owner in a generation; a commit of a generation that is over is refused; and whoever asks how far the
// group has come is told a commit that no other has replaced for sure. What one was told is committed, so nobody is told anything older later,
// whoever coordinates the group by then. In a group of the consumer protocol (KIP-848) members are in epochs of their own: there a partition has one owner at
// a time, and a commit is refused if another was given the partition since the sender was. Where the configuration allows that records of __consumer_offsets are lost, and some were, nothing is judged.

// Fate is what a member knows of a commit.
type Fate uint8

// The fates.
const (
	Unknown      Fate = iota // it may have happened, or happen yet
	Acknowledged             // it has happened
	Refused                  // it never will
)

// Commit names a commit of one partition. Metadata goes with it to the coordinator and comes back with the offset.
type Commit struct {
	Partition, Number int
	Metadata          string
}

// Groups is what the members of all groups saw.
type Groups struct {
	state      *State
	partitions []event.Partition
	groups     []*group
	violations []Violation
}

// group is one group as its members see it.
type group struct {
	id          string
	home        event.Partition // of __consumer_offsets
	generations []generation    // in which somebody got its share, by number
	offsets     [][]committedOffset
	kept        bool // there is a commit: from then on brokers do not forget the group
	keptSince   scheduler.Instant
	instances   map[string]*instance
	GroupKind
	given [][]gift // by partition, in time; of native groups
}

// GroupKind is what a group's members are like.
type GroupKind struct {
	Native        bool // some speak the consumer protocol
	Mixed         bool // and some the classic one: then generations begin anew when it changes its kind
	Transactional bool // they commit offsets in transactions, which come to nothing if the decision about one is lost
}

// gift is a partition that somebody was told to have. It was his at some time between the question and the answer.
type gift struct {
	owner     string
	asked, at scheduler.Instant
}

// generation is one that is in the coordinator's log: else nobody would have been told of its share.
type generation struct {
	number int32
	since  scheduler.Instant // when the first was told
	owners []string          // by partition; empty: not told
	synced []string          // who was told
}

// committedOffset is one commit of one partition.
type committedOffset struct {
	offset      int64
	generation  int32
	by          string            // who sent it
	since       scheduler.Instant // when it was told to have the partition
	sent, ended scheduler.Instant // ended: when it was known to have happened
	fate        Fate
}

// instance is a static member (KIP-345).
type instance struct {
	waiting int    // times that it asked to take its place and has no answer
	known   string // the member id with which it got a share last; empty: none
}

// NewGroups starts the history of groups that share some partitions.
func NewGroups(state *State, partitions []event.Partition) *Groups {
	return &Groups{state: state, partitions: partitions}
}

// Add adds a group, whose offsets are in a partition of __consumer_offsets.
func (g *Groups) Add(id string, home event.Partition, kind GroupKind) {
	g.groups = append(g.groups, &group{
		id: id, home: home, offsets: make([][]committedOffset, len(g.partitions)), instances: map[string]*instance{},
		GroupKind: kind, given: make([][]gift, len(g.partitions)),
	})
}

// isWhole reports whether the coordinators have all that was ever committed of the group.
func (g *Groups) isWhole(of *group) bool {
	_, whole := g.state.committedEnd(of.home)
	return whole && (!of.Transactional || g.state.decisionsWhole())
}

func (g *Groups) violate(of *group, t scheduler.Instant, cause, format string, args ...any) {
	if !g.isWhole(of) {
		return
	}
	g.violations = append(g.violations, Violation{
		Promise: "P7", Checker: "I12", Text: "P7 broken: " + fmt.Sprintf(format, args...), T: t, FirstCause: cause,
	})
}

func (g *Groups) take() (found []Violation) {
	found, g.violations = g.violations, nil
	return found
}

// Owns says that a member, or the instance that it is, which asked then, was told now its share in a generation.
func (g *Groups) Owns(at int, number int32, owner string, partitions []int, asked, t scheduler.Instant) []Violation {
	of := g.groups[at]
	if of.Native {
		g.give(of, number, owner, partitions, asked, t)
		return g.take()
	}
	if !of.kept && of.isOlder(number) {
		of.generations = nil // nobody had committed when all were gone: the group was forgotten, and began anew
	}
	n := of.generation(number, len(g.partitions), t)
	if !of.kept && n.contradicts(owner, partitions) {
		of.generations = nil // so, and it has come as far again
		n = of.generation(number, len(g.partitions), t)
	}
	if asked < of.keptSince && n.contradicts(owner, partitions) {
		return nil // told late of its share in a group that was forgotten since
	}
	again := slices.Contains(n.synced, owner)
	for _, p := range partitions {
		if other := n.owners[p]; other != "" && other != owner {
			g.violate(of, t, fmt.Sprintf("%s was told so after %s", other, seconds(n.since)), "%s has two owners in generation %d of group %s, %s and %s", g.partitions[p], number, of.id, other, owner)
		} else if again && other == "" {
			g.violate(of, t, fmt.Sprintf("it was told so after %s", seconds(n.since)), "%s was told two shares in generation %d of group %s, first without %s", owner, number, of.id, g.partitions[p])
		}
		n.owners[p] = owner
	}
	if !again {
		n.synced = append(n.synced, owner)
	}
	return g.take()
}

// give is Owns for a group with members of the consumer protocol. They get their shares a little at a time, in the same epoch or several.
func (g *Groups) give(of *group, number int32, owner string, partitions []int, asked, t scheduler.Instant) {
	if !of.kept {
		of.generations = nil
	}
	n := of.generation(number, len(g.partitions), t)
	for _, p := range partitions {
		if other := n.owners[p]; other != "" && other != owner && asked >= of.keptSince && !of.Mixed {
			g.violate(of, t, fmt.Sprintf("%s was told so after %s", other, seconds(n.since)), "%s has two owners in epoch %d of group %s, %s and %s", g.partitions[p], number, of.id, other, owner)
		}
		n.owners[p] = owner
		of.given[p] = append(of.given[p], gift{owner, asked, t})
	}
}

// Has says that a member that was told to have a partition then, and has had it ever since, sent a heartbeat at another time and was told now that all
// is well. So nobody else was given the partition in between.
func (g *Groups) Has(at, partition int, owner string, since, sent, now scheduler.Instant) []Violation {
	of := g.groups[at]
	for _, x := range slices.Backward(of.given[partition]) {
		if x.at <= since {
			break
		}
		if x.owner != owner && x.asked > since && x.at < sent {
			g.violate(of, now, fmt.Sprintf("%s was told at %s to have it", x.owner, seconds(x.at)), "%s had two owners at %s in group %s: %s, who had it from %s to %s, and %s",
				g.partitions[partition], seconds(x.at), of.id, owner, seconds(since), seconds(sent), x.owner)
			break
		}
	}
	return g.take()
}

// contradicts reports whether a share is not the one of the generation.
func (n *generation) contradicts(owner string, partitions []int) bool {
	return slices.ContainsFunc(partitions, func(p int) bool { return n.owners[p] != "" && n.owners[p] != owner }) ||
		slices.Contains(n.synced, owner) && slices.ContainsFunc(partitions, func(p int) bool { return n.owners[p] == "" })
}

// isOlder reports whether somebody got a share in a later generation.
func (of *group) isOlder(number int32) bool {
	n := len(of.generations)
	return n > 0 && of.generations[n-1].number > number
}

// generation finds a generation, or makes it.
func (of *group) generation(number int32, partitions int, t scheduler.Instant) *generation {
	at := len(of.generations)
	for at > 0 && of.generations[at-1].number >= number {
		at--
	}
	if at == len(of.generations) || of.generations[at].number != number {
		of.generations = slices.Insert(of.generations, at, generation{number: number, since: t, owners: make([]string, partitions)})
	}
	return &of.generations[at]
}

// over is when a generation was over at the latest: somebody had a share in a later one.
func (of *group) over(number int32) (at scheduler.Instant, known bool) {
	for i := len(of.generations) - 1; i >= 0 && of.generations[i].number > number; i-- {
		if n := &of.generations[i]; !known || n.since < at {
			at, known = n.since, true
		}
	}
	return at, known
}

// overFor is when a commit of a partition could no more be accepted at the latest: its generation was over; of a native group, when somebody else
// had been given the partition since the sender was.
func (of *group) overFor(partition int, o *committedOffset) (at scheduler.Instant, known bool) {
	if !of.Native {
		return of.over(o.generation)
	}
	for _, x := range of.given[partition] {
		if x.asked > o.since && x.owner != o.by {
			return x.at, true
		}
	}
	return 0, false
}

// Sent says that a member of a generation, who was told then to have the partition, commits an offset.
func (g *Groups) Sent(at, partition int, offset int64, generation int32, by string, since, t scheduler.Instant) Commit {
	of := g.groups[at]
	of.offsets[partition] = append(of.offsets[partition], committedOffset{offset: offset, generation: generation, by: by, since: since, sent: t})
	n := len(of.offsets[partition]) - 1
	return Commit{partition, n, fmt.Sprintf("%d/%d", generation, n)}
}

// Answered says what the member was told of a commit.
func (g *Groups) Answered(at int, c Commit, f Fate, t scheduler.Instant) []Violation {
	of := g.groups[at]
	o := &of.offsets[c.Partition][c.Number]
	switch over, known := of.overFor(c.Partition, o); {
	case f == Acknowledged && known && over < o.sent && of.Native:
		g.violate(of, t, fmt.Sprintf("somebody else was told at %s to have it", seconds(over)), "a commit of %s by %s of group %s, sent at %s, was accepted, though it was another's by then",
			g.partitions[c.Partition], o.by, of.id, seconds(o.sent))
	case f == Acknowledged && known && over < o.sent && !of.kept:
		of.forgetAfter(o.generation) // they were of the group before this one: those who had a share in it heard of it late
	case f == Acknowledged && known && over < o.sent:
		g.violate(of, t, fmt.Sprintf("somebody was told its share in a later generation at %s", seconds(over)), "a commit of generation %d of group %s, sent at %s, was accepted, though that was over",
			o.generation, of.id, seconds(o.sent))
	case f == Refused && o.fate == Acknowledged:
		g.violate(of, t, fmt.Sprintf("it was told so before %s", seconds(o.ended)), "group %s was told offset %d of %s, whose commit was refused", of.id, o.offset, g.partitions[c.Partition])
	}
	if o.fate == Unknown && f != Unknown {
		o.fate, o.ended = f, t
		if f == Acknowledged {
			of.keep(t)
		}
	}
	return g.take()
}

// Fetched says that somebody who asked then how far the group has come in a partition was told so now. It need not be the latest if it may be a
// coordinator that told it which has a successor: one that leads nothing any more, and does not know, tells what was true once, and Kafka's does too.
func (g *Groups) Fetched(at, partition int, offset int64, metadata string, latest bool, asked, now scheduler.Instant) []Violation {
	of := g.groups[at]
	if offset < 0 && !latest {
		return nil
	}
	if offset < 0 {
		g.checkReplaced(of, partition, -1, -1, "nothing", asked, now)
		return g.take()
	}
	number, generation := -1, int32(-1)
	_, err := fmt.Sscanf(metadata, "%d/%d", &generation, &number)
	all := of.offsets[partition]
	if err != nil || number < 0 || number >= len(all) || all[number].generation != generation || all[number].offset != offset {
		g.violate(of, now, fmt.Sprintf("it asked at %s", seconds(asked)), "group %s was told offset %d of %s with metadata %q, which nobody committed", of.id, offset, g.partitions[partition], metadata)
		return g.take()
	}
	o := &all[number]
	if o.fate == Refused {
		g.violate(of, now, fmt.Sprintf("it was refused at %s", seconds(o.ended)), "group %s was told offset %d of %s, whose commit was refused", of.id, offset, g.partitions[partition])
	}
	if latest {
		g.checkReplaced(of, partition, number, of.end(partition, o), fmt.Sprintf("offset %d, sent at %s,", offset, seconds(o.sent)), asked, now)
	}
	if o.fate == Unknown {
		o.fate, o.ended = Acknowledged, now
		of.keep(now)
	}
	return g.take()
}

// keep says that brokers do not forget the group any more. What was told of a native one before may have been of another of that name.
func (of *group) keep(t scheduler.Instant) {
	if of.kept {
		return
	}
	if of.Native {
		of.generations = nil
	}
	of.kept, of.keptSince = true, t
}

// forgetAfter leaves out the generations after one.
func (of *group) forgetAfter(number int32) {
	of.generations = slices.DeleteFunc(of.generations, func(n generation) bool { return n.number > number })
}

// forever is later than any run.
const forever = scheduler.Instant(1<<63 - 1)

// end is when a commit had happened, or could no more happen, at the latest.
func (of *group) end(partition int, o *committedOffset) scheduler.Instant {
	if o.fate == Acknowledged {
		return o.ended
	}
	if over, known := of.overFor(partition, o); known {
		return max(over, o.sent)
	}
	return forever
}

// checkReplaced looks for a commit that had come after the one that was told, and was there before anybody asked.
func (g *Groups) checkReplaced(of *group, partition, told int, ended scheduler.Instant, what string, asked, now scheduler.Instant) {
	for i := range of.offsets[partition] {
		o := &of.offsets[partition][i]
		if i == told || o.fate != Acknowledged || o.sent <= ended || o.ended >= asked {
			continue
		}
		g.violate(of, now, fmt.Sprintf("that commit was answered at %s", seconds(o.ended)), "group %s was told %s of %s, though the commit of %d in generation %d, sent at %s, came later and was acknowledged",
			of.id, what, g.partitions[partition], o.offset, o.generation, seconds(o.sent))
		return
	}
}

// Joining says that a static member asks to take its place, without the id that it had.
func (g *Groups) Joining(at int, name string) {
	of := g.groups[at]
	if of.instances[name] == nil {
		of.instances[name] = &instance{}
	}
	i := of.instances[name]
	i.waiting++
	i.known = ""
}

// Joined says that it was answered.
func (g *Groups) Joined(at int, name string) { g.groups[at].instances[name].waiting-- }

// Synced says that it got its share under that id: the coordinator's log has it.
func (g *Groups) Synced(at int, name, id string) { g.groups[at].instances[name].known = id }

// Fenced says that it was told that another has taken its place.
func (g *Groups) Fenced(at int, name, id string, t scheduler.Instant) []Violation {
	of := g.groups[at]
	if i := of.instances[name]; i.waiting == 0 && id != "" && i.known == id {
		g.violate(of, t, fmt.Sprintf("it was told so at %s", seconds(t)), "%s of group %s, which had its share as %s, was fenced, though nobody else came in its place", name, of.id, id)
	}
	return g.take()
}

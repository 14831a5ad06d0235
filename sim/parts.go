package sim

import (
	"cmp"
	"slices"
	"strings"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// The parts of a schedule, for whoever draws schedules in another way than from a seed.

// Kinds are all kinds of fault.
func Kinds() (kinds []Kind) {
	for k := range numKinds {
		kinds = append(kinds, k)
	}
	return kinds
}

// HasPeer says that the fault is between two hosts.
func (k Kind) HasPeer() bool { return k.hasPeer() }

// Places are names of whom a kind of fault can strike: those of hosts, and the roles that some host has at any time.
func Places(k Kind, o *Options) []string {
	places := append(hostNames(o), roleController, roleVoter, roleLastVoter)
	for _, t := range o.topicPointers() {
		for p := range t.Partitions {
			for _, role := range partitionRoles {
				places = append(places, of(role, event.Partition{Topic: t.Name, Index: int32(p)}))
			}
		}
	}
	return slices.DeleteFunc(places, func(place string) bool { return k.checkTarget(place, o) != nil })
}

// SizeOf is one of the sizes that mean something to a kind of fault.
func SizeOf(k Kind, variant uint64) int64 {
	return drawSize(virtual.Rand(variant, "size"), k, allFiles())
}

// SortFaults puts faults in the order in which they begin.
func SortFaults(faults []Fault) {
	slices.SortStableFunc(faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
}

// IsScheduleLine reports whether a line could be one of a schedule's.
func IsScheduleLine(line string) bool {
	words := strings.Fields(line)
	return len(words) > 1 && new(Schedule).parseLine(words[0], words[1:]) == nil
}

// GoString is the schedule as text on lines of its own, for rapid's log.
func (s *Schedule) GoString() string { return "\n" + s.String() }

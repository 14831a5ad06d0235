package check

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/lockstep/lockstep/core/event"
)

// I14: a log starts at most at its high watermark; the metadata log at most where a snapshot ends.

func (s *State) checkLogStart(r *replica, log Replica) {
	start, hw, end := log.LogStartOffset(), log.HighWatermark(), log.LogEndOffset()
	if start > hw || hw > end {
		s.violate(r.safety("P3"), "I14", s.did(r.node.id, fmt.Sprintf("started its log at %d", start)), "%s on broker %d starts at %d, has its high watermark at %d and ends at %d", r.part.id, r.node.id, start, hw, end)
	}
	if r.part.id == event.MetadataPartition && start > 0 && s.newestSnapshot(r) < start {
		s.violate("P4", "I10", s.did(r.node.id, fmt.Sprintf("started its log at %d", start)), "the metadata log of node %d starts at %d, but no snapshot reaches there", r.node.id, start)
	}
}

// checkFirstSegment: the files hold what lies above the log start.
func (s *State) checkFirstSegment(r *replica, log Replica) {
	if s.isBeingReplaced(r) {
		return
	}
	for _, name := range s.in.Files(r.node.id, r.part.topicID, r.part.dir) {
		base, ok := segmentBase(name, r.part.dir)
		if !ok {
			continue
		}
		if start := log.LogStartOffset(); base > start {
			s.violate(r.safety("P3"), "I14", s.causeInFiles(r, base), "%s on broker %d starts at %d, but its first segment begins at %d", r.part.id, r.node.id, start, base)
		}
		return
	}
}

// newestSnapshot is where the newest metadata snapshot on a node's disk ends; 0 if there is none.
func (s *State) newestSnapshot(r *replica) (end int64) {
	for _, name := range s.in.Files(r.node.id, r.part.topicID, r.part.dir) {
		base, ok := strings.CutPrefix(name, r.part.dir)
		if !ok || !strings.HasSuffix(base, ".checkpoint") || len(base) < 20 {
			continue
		}
		if at, err := strconv.ParseInt(base[:20], 10, 64); err == nil {
			end = max(end, at)
		}
	}
	return end
}

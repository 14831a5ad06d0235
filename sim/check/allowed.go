package check

import "slices"

// Reasons for losses that the configuration allows.
const (
	reasonUnclean   = "unclean leader election"
	reasonAlone     = "power loss, and every eligible replica shut down uncleanly (KIP-966), min.insync.replicas=1"
	reasonLast      = "power loss, and every eligible replica shut down uncleanly (KIP-966), min.insync.replicas of 2 or more"
	reasonPower     = "power loss of as many replicas as min.insync.replicas, without fsync and without eligible leader replicas"
	reasonRetention = "retention, before the rest of the log was lost"
	reasonForgotten = "records of the transaction coordinator were lost: an epoch was given out twice, and a batch taken for one that came before"
	reasonWiped     = "disks lost on as many replicas as min.insync.replicas"
)

// allowedLoss is why the leader of epoch may miss a batch that was committed in an earlier one, "" if it may not.
//
// A topic may elect uncleanly, and did. KIP-966 cannot tell a kill from a power loss: when all who were safe come back from
// unclean shutdowns, it elects the last leader, and then the batch may be gone if a replica that had it lost it
// with its power or its disk. While eligible leader replicas are kept that is the only way; without them it is
// enough that as many replicas lost it as the least that had it when it was committed; or one, if it came back unnoticed and the
// ISR then shrank to it, for which the fault budget leaves no room.
func (s *State) allowedLoss(r *replica, id int32, committed commitRun, epoch int32) string {
	p := r.part
	if p == s.metadata {
		return s.allowedMetadataLoss(r.node, id)
	}
	power, disks := s.copiesLost(p, id)
	if p.topic.FlushEveryAppend {
		power = 0
	}
	for _, u := range p.unclean {
		switch since := !u.harmless && u.epoch > committed.epoch && u.epoch <= epoch; {
		case since && u.allowed:
			return reasonUnclean
		case since && disks >= committed.minISR:
			return reasonWiped
		case since && power+disks > 0 && committed.minISR < 2:
			return reasonAlone
		case since && power+disks > 0:
			return reasonLast
		}
	}
	switch {
	case !s.lapsedELR:
	case disks >= committed.minISR:
		return reasonWiped
	case power+disks >= committed.minISR, power+disks > 0 && s.promises.Unbounded:
		return reasonPower
	}
	return ""
}

// copiesLost counts the replicas, of some brokers or of all, that had a batch, lost it with their power or their disk and have not got it back.
func (s *State) copiesLost(p *partition, id int32, among ...int32) (power, disks int) {
	for _, r := range p.replicas {
		if among != nil && !slices.Contains(among, r.node.id) {
			continue
		}
		m := s.lastRemoval(p, r.node.id, id)
		switch {
		case m != nil && m.kind == powerLost, r.crashed && r.powerLoss && s.isGoneFromDisk(r, id):
			power++
		case m != nil && (m.kind == wiped || m.kind == damaged):
			disks++
		}
	}
	return power, disks
}

package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/metadata"
)

// AssignReplicasToDirs notes in which of its log directories a broker has replicas (KIP-858). One in a directory that the broker has not
// registered as online, or in none (the reserved id of a lost one), leaves ISR and leadership.
func (c *Controller) AssignReplicasToDirs(req *kmsg.AssignReplicasToDirsRequest, done func(*kmsg.AssignReplicasToDirsResponse)) {
	if !c.Active() {
		done(assignDirsError(kerr.NotController))
		return
	}
	if err := c.checkBrokerEpoch(req.BrokerID, req.BrokerEpoch); err != nil {
		answer(c, nil, assignDirsError(err), assignDirsError, done)
		return
	}
	b := c.img.Broker(req.BrokerID)
	var records []metadata.Record
	resp := kmsg.NewPtrAssignReplicasToDirsResponse()
	named := map[dirEntry]bool{}
	for _, d := range req.Directories {
		rd := kmsg.NewAssignReplicasToDirsResponseDirectory()
		rd.ID = d.ID
		for _, t := range d.Topics {
			rt := kmsg.NewAssignReplicasToDirsResponseDirectoryTopic()
			rt.TopicID = t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewAssignReplicasToDirsResponseDirectoryTopicPartition()
				rp.Partition = p.Partition
				entry := dirEntry{t.TopicID, p.Partition}
				r, err := c.assignDir(b, d.ID, entry, named[entry])
				named[entry] = true
				if err != nil {
					rp.ErrorCode = err.Code
				}
				if r != nil {
					records = append(records, r)
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			rd.Topics = append(rd.Topics, rt)
		}
		resp.Directories = append(resp.Directories, rd)
	}
	answerInParts(c, records, resp, assignDirsError, done)
}

// dirEntry is a partition as a request names it.
type dirEntry struct {
	topicID [16]byte
	index   int32
}

func assignDirsError(err *kerr.Error) *kmsg.AssignReplicasToDirsResponse {
	resp := kmsg.NewPtrAssignReplicasToDirsResponse()
	resp.ErrorCode = err.Code
	return resp
}

// assignDir is the change of one partition, or why there is none. Two changes of one partition in a request would not know of each
// other: of one that is named again the first counts.
func (c *Controller) assignDir(b *metadata.Broker, dir [16]byte, entry dirEntry, again bool) (metadata.Record, *kerr.Error) {
	topic := c.img.TopicByID(entry.topicID)
	if topic == nil {
		return nil, kerr.UnknownTopicID
	}
	p := topic.Partition(entry.index)
	switch {
	case p == nil:
		return nil, kerr.UnknownTopicOrPartition
	case !p.HasReplica(b.ID):
		return nil, kerr.NotLeaderForPartition
	case again:
		return nil, kerr.InvalidRequest
	}
	online := slices.Contains(b.Dirs, dir)
	change := c.changeOf(p)
	change.dirs = p.DirsWith(b.ID, dir)
	if !online {
		change.targetISR = without(p.ISR, b.ID)
	}
	change.acceptable = func(id int32) bool {
		if id == b.ID {
			return online && b.Active()
		}
		return c.mayLead(p, id, false)
	}
	if r := change.build(); r != nil {
		return r, nil
	}
	return nil, nil
}

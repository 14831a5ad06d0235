package api

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeLogDirs (key 35), versions 1 to 5: what lies in this broker's one log directory; of the named partitions, or of
// all for null. The sizes of the volume (KIP-827) are -1: a disk.Disk does not tell. No log is a future one: replicas do not
// move between directories where there is one.
func (k *call) describeLogDirs() {
	req := k.req.Body.(*kmsg.DescribeLogDirsRequest)
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = k.server.Config.LogDir
	asked := askedLogs(req)
	k.server.Replicas.Partitions(func(p *replica.Partition) {
		if p.Log() == nil || asked != nil && !asked[p.ID()] {
			return
		}
		if n := len(dir.Topics); n == 0 || dir.Topics[n-1].Topic != p.ID().Topic {
			t := kmsg.NewDescribeLogDirsResponseDirTopic()
			t.Topic = p.ID().Topic
			dir.Topics = append(dir.Topics, t)
		}
		t := &dir.Topics[len(dir.Topics)-1]
		t.Partitions = append(t.Partitions, describeLog(p))
	})
	resp := kmsg.NewPtrDescribeLogDirsResponse()
	resp.Dirs = append(resp.Dirs, dir)
	k.reply(resp)
}

// askedLogs is nil for all.
func askedLogs(req *kmsg.DescribeLogDirsRequest) map[event.Partition]bool {
	if req.Topics == nil {
		return nil
	}
	asked := map[event.Partition]bool{}
	for _, t := range req.Topics {
		for _, index := range t.Partitions {
			asked[event.Partition{Topic: t.Topic, Index: index}] = true
		}
	}
	return asked
}

func describeLog(p *replica.Partition) kmsg.DescribeLogDirsResponseDirTopicPartition {
	rp := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
	rp.Partition, rp.Size = p.ID().Index, p.Log().Size()
	rp.OffsetLag = max(0, p.HighWatermark()-p.Log().LogEndOffset())
	return rp
}

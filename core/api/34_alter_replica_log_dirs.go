package api

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AlterReplicaLogDirs (key 34), versions 1 and 2: replicas on this broker move to other log directories of it (KIP-113). The answer says that the
// move has begun; DescribeLogDirs tells how far it is. Of a partition that is named twice the last directory counts. There is no
// throttle (replica.alter.log.dirs.io.max.bytes.per.second): a move reads a piece at a time.
func (k *call) alterReplicaLogDirs() {
	req := k.req.Body.(*kmsg.AlterReplicaLogDirsRequest)
	wanted := map[event.Partition]string{}
	var all []event.Partition
	for _, d := range req.Dirs {
		for _, t := range d.Topics {
			for _, index := range t.Partitions {
				id := event.Partition{Topic: t.Topic, Index: index}
				if _, again := wanted[id]; !again {
					all = append(all, id)
				}
				wanted[id] = d.Dir
			}
		}
	}
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	at := map[string]int{}
	for _, id := range all {
		t, known := at[id.Topic]
		if !known {
			t = len(resp.Topics)
			at[id.Topic] = t
			resp.Topics = append(resp.Topics, kmsg.AlterReplicaLogDirsResponseTopic{Topic: id.Topic})
		}
		rp := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
		rp.Partition, rp.ErrorCode = id.Index, wire.Code(k.server.Replicas.AlterReplicaLogDir(id, wanted[id]))
		resp.Topics[t].Partitions = append(resp.Topics[t].Partitions, rp)
	}
	k.reply(resp)
}

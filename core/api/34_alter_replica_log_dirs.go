package api

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AlterReplicaLogDirs (key 34), versions 1 and 2: to which of this broker's directories a replica is to move (KIP-113). There is one, so
// that a replica is already where it may be; any other is not found. Of several directories for one partition the last counts.
func (k *call) alterReplicaLogDirs() {
	req := k.req.Body.(*kmsg.AlterReplicaLogDirsRequest)
	dirs := map[event.Partition]string{}
	var order []event.Partition
	for i := range req.Dirs {
		for _, t := range req.Dirs[i].Topics {
			for _, index := range t.Partitions {
				id := event.Partition{Topic: t.Topic, Index: index}
				if _, named := dirs[id]; !named {
					order = append(order, id)
				}
				dirs[id] = req.Dirs[i].Dir
			}
		}
	}
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	at := map[string]int{} // of topics in the answer
	for _, id := range order {
		n, ok := at[id.Topic]
		if !ok {
			n = len(resp.Topics)
			at[id.Topic] = n
			resp.Topics = append(resp.Topics, kmsg.AlterReplicaLogDirsResponseTopic{Topic: id.Topic})
		}
		t := &resp.Topics[n]
		t.Partitions = append(t.Partitions, kmsg.AlterReplicaLogDirsResponseTopicPartition{Partition: id.Index, ErrorCode: wire.Code(k.moveTo(dirs[id], id))})
	}
	k.reply(resp)
}

// moveTo is why a replica cannot be in a directory.
func (k *call) moveTo(dir string, id event.Partition) error {
	switch {
	case dir != k.server.Config.LogDir:
		return kerr.LogDirNotFound
	case k.server.Replicas.Partition(id) != nil:
		return nil
	case k.server.Image().Partition(id) != nil:
		return kerr.ReplicaNotAvailable
	}
	return kerr.UnknownTopicOrPartition
}

package api

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeLogDirs (key 35), versions 1 to 5: what lies in each of this broker's log directories; of the named partitions, or of
// all for null. One that is offline has KAFKA_STORAGE_ERROR (KIP-113). With the size of each volume, and what is free of it (KIP-827).
func (k *call) describeLogDirs() {
	asked := askedLogs(k.req.Body.(*kmsg.DescribeLogDirsRequest))
	resp := kmsg.NewPtrDescribeLogDirsResponse()
	dirs := k.server.Replicas.LogDirs()
	k.describeNextLogDir(resp, dirs, asked)
}

// describeNextLogDir describes the first of dirs when its disk has told its size, and then the others.
func (k *call) describeNextLogDir(resp *kmsg.DescribeLogDirsResponse, dirs []*storage.LogDir, asked map[event.Partition]bool) {
	if len(dirs) == 0 {
		k.reply(resp)
		return
	}
	d := dirs[0]
	describe := func(total, usable int64, _ error) { // -1 where the disk has failed
		dir := k.describeLogDir(d, asked)
		if d.IsOnline() {
			dir.TotalBytes, dir.UsableBytes = total, usable
		}
		resp.Dirs = append(resp.Dirs, dir)
		k.describeNextLogDir(resp, dirs[1:], asked)
	}
	if !d.IsOnline() {
		describe(-1, -1, nil)
		return
	}
	d.Disk().Space(describe)
}

func (k *call) describeLogDir(d *storage.LogDir, asked map[event.Partition]bool) kmsg.DescribeLogDirsResponseDir {
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = d.Path
	if !d.IsOnline() {
		dir.ErrorCode = kerr.KafkaStorageError.Code
		return dir
	}
	k.server.Replicas.Partitions(func(p *replica.Partition) {
		if asked == nil || asked[p.ID()] {
			addLog(&dir, d, p)
		}
	})
	return dir
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

// addLog adds what a partition has in the directory d: its log, or the one that will be.
func addLog(dir *kmsg.DescribeLogDirsResponseDir, d *storage.LogDir, p *replica.Partition) {
	l, future := p.Log(), p.FutureLog()
	rp := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
	switch rp.Partition = p.ID().Index; {
	case l == nil:
		return
	case l.LogDir() == d:
		rp.Size, rp.OffsetLag = l.Size(), max(0, p.HighWatermark()-l.LogEndOffset())
	case future != nil && future.LogDir() == d:
		rp.Size, rp.OffsetLag, rp.IsFuture = future.Size(), l.LogEndOffset()-future.LogEndOffset(), true
	default:
		return
	}
	if n := len(dir.Topics); n == 0 || dir.Topics[n-1].Topic != p.ID().Topic {
		t := kmsg.NewDescribeLogDirsResponseDirTopic()
		t.Topic = p.ID().Topic
		dir.Topics = append(dir.Topics, t)
	}
	t := &dir.Topics[len(dir.Topics)-1]
	t.Partitions = append(t.Partitions, rp)
}

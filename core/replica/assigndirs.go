package replica

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	assignRetry = 100 * time.Millisecond // the pause after a request failed
	maxAssigned = 2000                   // replicas in one request
)

// AssignDirsSender sends a request to the active controller and calls done once, with its response or why there is none.
type AssignDirsSender func(req *kmsg.AssignReplicasToDirsRequest, done func(*kmsg.AssignReplicasToDirsResponse, error))

// assignQueue tells the controller in which log directory each replica is, where it has another, or none (KIP-858). What is to be told is
// looked up when it is sent: by then it may be known, or another. That it was told shows in the metadata log.
type assignQueue struct {
	controllerQueue
	send AssignDirsSender // nil: nobody is told
}

// submit has the controller told of p, if there is anything to tell.
func (q *assignQueue) submit(p *Partition) {
	if _, untold := p.untoldDir(); !untold || q.send == nil || q.stopped {
		return
	}
	q.queue(p)
	q.schedule()
}

func (q *assignQueue) flush() {
	if !q.begin() {
		return
	}
	n := min(len(q.waiting), maxAssigned)
	sent := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	req := q.request(sent)
	if len(req.Directories) == 0 {
		q.schedule()
		return
	}
	q.inFlight = true
	q.send(req, func(resp *kmsg.AssignReplicasToDirsResponse, err error) { q.onResponse(sent, resp, err) })
}

func (q *assignQueue) request(all []*Partition) *kmsg.AssignReplicasToDirsRequest {
	req := kmsg.NewPtrAssignReplicasToDirsRequest()
	req.BrokerID, req.BrokerEpoch = q.m.cfg.NodeID, q.m.brokerEpoch
	for _, p := range all {
		dir, untold := p.untoldDir()
		if !untold || p.removed {
			continue
		}
		d := slices.IndexFunc(req.Directories, func(x kmsg.AssignReplicasToDirsRequestDirectory) bool { return x.ID == dir })
		if d < 0 {
			d = len(req.Directories)
			x := kmsg.NewAssignReplicasToDirsRequestDirectory()
			x.ID = dir
			req.Directories = append(req.Directories, x)
		}
		addAssigned(&req.Directories[d], p)
	}
	return req
}

// addAssigned adds p, whose topic comes last if it is there.
func addAssigned(d *kmsg.AssignReplicasToDirsRequestDirectory, p *Partition) {
	if n := len(d.Topics); n == 0 || d.Topics[n-1].TopicID != p.topicID {
		t := kmsg.NewAssignReplicasToDirsRequestDirectoryTopic()
		t.TopicID = p.topicID
		d.Topics = append(d.Topics, t)
	}
	t := &d.Topics[len(d.Topics)-1]
	part := kmsg.NewAssignReplicasToDirsRequestDirectoryTopicPartition()
	part.Partition = p.id.Index
	t.Partitions = append(t.Partitions, part)
}

// onResponse tries again what failed as a whole. What the controller refused of one replica alone is of a partition that is no more,
// or moved away: the metadata log tells.
func (q *assignQueue) onResponse(sent []*Partition, resp *kmsg.AssignReplicasToDirsResponse, err error) {
	q.inFlight = false
	if q.stopped {
		return
	}
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err == nil {
		q.schedule()
		return
	}
	for _, p := range sent {
		if !p.removed {
			q.queue(p)
		}
	}
	q.retryLater()
}

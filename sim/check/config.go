package check

import (
	"strconv"
	"strings"

	"github.com/lockstep/lockstep/core/controller"
	"github.com/lockstep/lockstep/core/metadata"
)

// What a topic promises follows its committed configuration: an operator may change it in the middle of a run. Who acts on it
// knows it later, or as the active controller earlier, than most: a judge of one node's act asks that node's own image.

// The topic configs that a promise depends on.
const (
	keyMinISR         = "min.insync.replicas"
	keyUnclean        = "unclean.leader.election.enable"
	keyFlushMessages  = "flush.messages"
	keyRetentionMs    = "retention.ms"
	keyRetentionBytes = "retention.bytes"
	keyCleanupPolicy  = "cleanup.policy"
	keyDeleteRetain   = "delete.retention.ms"
)

// configured is the topic as an image has it. What the image does not set is as the run promised.
func (s *State) configured(img *metadata.Image, name string) Topic {
	t := s.topic(name)
	for _, e := range img.Config(metadata.ResourceTopic, name) {
		n, _ := strconv.ParseInt(e.Value, 10, 64)
		switch e.Key {
		case keyMinISR:
			t.MinISR = int(n)
		case keyUnclean:
			t.Unclean = e.Value == "true"
		case keyFlushMessages:
			t.FlushEveryAppend = n == 1
		case keyRetentionMs:
			t.RetentionMs = n
		case keyRetentionBytes:
			t.RetentionBytes = n
		case keyCleanupPolicy:
			t.Compact = strings.Contains(e.Value, "compact")
		case keyDeleteRetain:
			t.DeleteRetentionMs = n
		}
	}
	return t
}

// topic is what the run promised of a topic at first.
func (s *State) topic(name string) Topic {
	if t, ok := s.promises.Topics[name]; ok {
		return t
	}
	return s.promises.Default
}

// refreshTopic takes a partition's topic from the newest committed image. What was promised for a while only is not promised:
// nobody knows which records were synced before flush.messages was set.
func (p *partition) refreshTopic(s *State, img *metadata.Image, reg *metadata.Partition) {
	entries := img.Config(metadata.ResourceTopic, p.id.Topic)
	changed := len(entries) != len(p.config) || len(entries) > 0 && &entries[0] != &p.config[0]
	if !changed && p.topic.RF == len(reg.Replicas) {
		return
	}
	p.config = entries
	was := p.topic
	p.topic = s.configured(img, p.id.Topic)
	p.topic.RF = len(reg.Replicas)
	if p.truth.known {
		p.topic.FlushEveryAppend = p.topic.FlushEveryAppend && was.FlushEveryAppend
	}
	p.retention = p.retention.or(p.topic.retention())
	// A leader that does not know yet commits as before.
	p.leastISR = p.topic.minISR()
	if p.truth.known {
		p.leastISR = min(p.leastISR, was.minISR())
	}
}

// minISRAt is the min.insync.replicas that a node knows of.
func (s *State) minISRAt(node int32, p *partition) int {
	img := s.in.Image(node)
	if img == nil {
		return 1
	}
	t := s.configured(img, p.id.Topic)
	if reg := p.in(img); reg != nil {
		t.RF = len(reg.Replicas)
	}
	return t.minISR()
}

// keepsELR reports whether the cluster keeps eligible leader replicas (KIP-966).
func keepsELR(img *metadata.Image) bool { return img.Feature(controller.FeatureELR) >= 1 }

// hasPartitions reports whether there is anything to be eligible for: the first images have not even the features of the cluster.
func hasPartitions(img *metadata.Image) (has bool) {
	img.Partitions(func(*metadata.Partition) bool { has = true; return false })
	return has
}

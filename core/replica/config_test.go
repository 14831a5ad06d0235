package replica

import (
	"testing"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/storage"
)

// flushing is a broker whose topic asks for a sync of each append, as far as the image that it has says so.
func flushing(t *testing.T, known *bool) *cluster {
	return newCluster(t, 1, func(cfg *Config) {
		cfg.LogConfig = func(event.Partition) storage.LogConfig {
			c := storage.DefaultLogConfig()
			if *known {
				c.FlushMessages = 1
			}
			return c
		}
	})
}

// mustSurvivePowerLoss produces a record and takes the power away.
func (c *cluster) mustSurvivePowerLoss(n *testNode) {
	c.Helper()
	c.mustProduce(n, 1, "synced")
	leo := n.leo()
	n.kill(true)
	n.start()
	c.publish(1)
	c.until("opened", func() bool { return n.partition() != nil && n.partition().log != nil })
	if n.leo() != leo {
		c.Errorf("the log ends at %d, %d was synced", n.leo(), leo)
	}
}

func TestLogFromBeforeARestartGetsItsTopicsConfiguration(t *testing.T) {
	known := true
	c := flushing(t, &known)
	n := c.nodes[1]
	known = false // as when the log directory is opened: before any image
	n.kill(false)
	n.start()
	known = true
	c.publish(1)
	c.until("leading", func() bool { return n.partition() != nil && n.partition().IsLeader() })
	c.mustSurvivePowerLoss(n)
}

func TestSnapshotMayBringAnotherConfiguration(t *testing.T) {
	known := false
	c := flushing(t, &known)
	n := c.nodes[1]
	known = true
	n.loop.Post(func() { n.m.Apply(c.image.Clone(), nil) })
	c.mustSurvivePowerLoss(n)
}

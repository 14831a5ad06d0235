package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/disk/simdisk"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const twoDirs = "log.dirs=a,b\nbroker.session.timeout.ms=3000"

// dirOf is which of a node's log directories has a partition: 0, 1, or -1.
func (n *node) dirOf(topic string, index int32) int {
	p := n.broker.Replicas().Partition(event.Partition{Topic: topic, Index: index})
	if p == nil || p.Log() == nil {
		return -1
	}
	return slices.Index(n.broker.Replicas().LogDirs(), p.Log().LogDir())
}

// inDir is the partitions of a topic that a node has in a directory.
func (n *node) inDir(topic string, partitions int32, dir int) (all []int32) {
	for i := range partitions {
		if n.dirOf(topic, i) == dir {
			all = append(all, i)
		}
	}
	return all
}

// breakDir has a node's second directory fail at its next write.
func (n *node) breakDir() {
	n.more[0].FailWrites(disk.ErrIO)
	n.more[0].FailSyncs(disk.ErrIO)
	n.more[0].FailReads(disk.ErrIO)
}

func (n *node) mendDir() {
	n.more[0].FailWrites(nil)
	n.more[0].FailSyncs(nil)
	n.more[0].FailReads(nil)
}

func (x *client) describeLogDirs() *kmsg.DescribeLogDirsResponse {
	x.Helper()
	req := kmsg.NewPtrDescribeLogDirsRequest()
	req.Version = 4
	return ask[*kmsg.DescribeLogDirsResponse](x, req)
}

// produceTo appends to a partition until that is acknowledged, at whoever leads it.
func (c *cluster) produceTo(topic string, index int32, values ...string) {
	c.Helper()
	c.until(fmt.Sprintf("%s-%d takes records", topic, index), func() bool {
		p := c.nodes[0].broker.Image().Partition(event.Partition{Topic: topic, Index: index})
		if p == nil || p.Leader < 0 {
			return false
		}
		x := c.dial(p.Leader, clientPort)
		resp := ask[*kmsg.ProduceResponse](x, produceRequest(9, -1, topic, [16]byte{}, index, plain(values...)))
		return resp.Topics[0].Partitions[0].ErrorCode == 0
	})
}

// knows waits until the metadata says where each replica of a topic is.
func (c *cluster) knowsDirs(topic string) {
	c.Helper()
	c.until("the controller knows all directories of "+topic, func() bool {
		known := true
		for _, p := range c.nodes[0].broker.Image().Topic(topic).Partitions {
			for _, id := range p.Replicas {
				dir := c.nodes[id-1].dirOf(topic, p.Index)
				known = known && dir >= 0 && c.nodes[id-1].broker.Replicas().LogDirs()[dir].ID == p.Dir(id)
			}
		}
		return known
	})
}

func TestNewPartitionsGoToTheDirectoryWithTheFewest(t *testing.T) {
	c := start(t, 3, twoDirs)
	x := c.client()
	x.topicOf("t", 4, 3)
	c.knowsDirs("t")
	for _, n := range c.nodes {
		if a, b := n.inDir("t", 4, 0), n.inDir("t", 4, 1); len(a) != 2 || len(b) != 2 {
			t.Errorf("node %d has %v and %v", n.id, a, b)
		}
	}
	for i := range int32(4) {
		c.produceTo("t", i, "x")
	}
	c.wait(10 * time.Second) // checkpoints
	n := c.nodes[0]
	for i, d := range []*simdisk.Disk{n.disk, n.more[0]} {
		for _, file := range []string{"meta.properties", "recovery-point-offset-checkpoint", "replication-offset-checkpoint", "log-start-offset-checkpoint"} {
			if d.Peek(file) == nil {
				t.Errorf("directory %d has no %s", i, file)
			}
		}
		if points := string(d.Peek("replication-offset-checkpoint")); strings.Count(points, "t ") != 2 {
			t.Errorf("directory %d: %q", i, points)
		}
	}
	if string(n.disk.Peek("meta.properties")) == string(n.more[0].Peek("meta.properties")) {
		t.Error("both directories have one id")
	}
	if slices.ContainsFunc(n.more[0].Names(), func(name string) bool { return strings.HasPrefix(name, "__cluster_metadata") }) {
		t.Error("the metadata log is in both")
	}
	dirs := c.client().describeLogDirs().Dirs
	if len(dirs) != 2 || dirs[0].Dir != "a" || dirs[1].Dir != "b" || len(dirs[0].Topics) != 1 || len(dirs[1].Topics[0].Partitions) != 2 {
		t.Errorf("%+v", dirs)
	}
	was := n.inDir("t", 4, 1)
	if err := c.restart(1); err != nil {
		t.Fatal(err)
	}
	c.until("the logs are found again", func() bool { return slices.Equal(n.inDir("t", 4, 1), was) })
	c.knowsDirs("t")
}

// One of a broker's two directories fails. Its partitions there are offline, others lead them, the broker goes on with the rest, and when the
// directory is mended and the broker restarted, all is as before.
func TestABrokerGoesOnWithoutOneOfItsDirectories(t *testing.T) {
	c := start(t, 3, twoDirs)
	x := c.client()
	x.topicOf("t", 6, 3, "min.insync.replicas=2")
	c.knowsDirs("t")
	n := c.nodes[0]
	lost, kept := n.inDir("t", 6, 1), n.inDir("t", 6, 0)
	began := c.world.Now()
	n.breakDir()
	for i := range int32(6) {
		c.produceTo("t", i, "a")
	}
	if took := c.world.Now().Sub(began); took > 15*time.Second { // replica.lag.time.max.ms is 30 s
		t.Errorf("nothing was committed for %v", took)
	}
	img := func() *metadata.Image { return c.nodes[1].broker.Image() }
	c.until("node 1 leaves the ISR of what it lost", func() bool {
		for _, i := range lost {
			if p := img().Partition(event.Partition{Topic: "t", Index: i}); p.Leader == 1 || slices.Contains(p.ISR, 1) {
				return false
			}
		}
		return true
	})
	for _, i := range kept {
		if p := img().Partition(event.Partition{Topic: "t", Index: i}); !slices.Contains(p.ISR, 1) {
			t.Errorf("t-%d: node 1 left the ISR %v", i, p.ISR)
		}
	}
	if b := img().Broker(1); b.Fenced || len(b.Dirs) != 1 || b.Dirs[0] != n.broker.Replicas().LogDirs()[0].ID {
		t.Errorf("registered: %+v", b)
	}
	dirs := x.describeLogDirs().Dirs
	if dirs[0].ErrorCode != 0 || len(dirs[0].Topics) != 1 || dirs[1].ErrorCode != kerr.KafkaStorageError.Code || len(dirs[1].Topics) != 0 {
		t.Errorf("%+v", dirs)
	}
	resp := ask[*kmsg.ProduceResponse](x, produceRequest(9, -1, "t", [16]byte{}, lost[0], plain("x")))
	x.code("produce to an offline partition", resp.Topics[0].Partitions[0].ErrorCode, kerr.KafkaStorageError)
	fetched := ask[*kmsg.FetchResponse](x, fetchRequest(12, "t", [16]byte{}, lost[0], 0))
	x.code("fetch from an offline partition", fetched.Topics[0].Partitions[0].ErrorCode, kerr.KafkaStorageError)
	meta := kmsg.NewPtrMetadataRequest()
	meta.Version = 12
	for _, p := range ask[*kmsg.MetadataResponse](x, meta).Topics[0].Partitions {
		if offline := slices.Contains(lost, p.Partition); offline != slices.Contains(p.OfflineReplicas, 1) {
			t.Errorf("t-%d: offline replicas %v", p.Partition, p.OfflineReplicas)
		}
	}

	x.topicOf("u", 2, 3) // new partitions go where there is a directory
	if got := n.inDir("u", 2, 0); len(got) != 2 {
		t.Errorf("u is in %v", got)
	}

	n.mendDir()
	if err := c.restart(1); err != nil {
		t.Fatal(err)
	}
	c.until("node 1 is in all ISRs again", func() bool {
		for i := range int32(6) {
			if !slices.Contains(img().Partition(event.Partition{Topic: "t", Index: i}).ISR, 1) {
				return false
			}
		}
		return slices.Equal(n.inDir("t", 6, 1), lost)
	})
}

// A broker that starts without one of its directories makes no empty logs in the others of what may lie there.
func TestADirectoryThatIsAwayIsNotReplaced(t *testing.T) {
	c := start(t, 3, twoDirs)
	x := c.client()
	x.topicOf("t", 12, 1)
	c.knowsDirs("t")
	var mine []int32
	n := c.nodes[0]
	for i := range int32(12) {
		c.produceTo("t", i, "a")
		if n.dirOf("t", i) == 1 {
			mine = append(mine, i)
		}
	}
	if len(mine) == 0 {
		t.Fatal("nothing of t is in the second directory of node 1")
	}
	n.breakDir()
	if err := c.restart(1); err != nil {
		t.Fatal(err)
	}
	c.wait(20 * time.Second)
	for _, i := range mine {
		if n.dirOf("t", i) != -1 {
			t.Errorf("t-%d has a new log", i)
		}
		if p := c.nodes[1].broker.Image().Partition(event.Partition{Topic: "t", Index: i}); p.Leader != -1 {
			t.Errorf("t-%d is led by %d", i, p.Leader)
		}
	}
	n.mendDir()
	if err := c.restart(1); err != nil {
		t.Fatal(err)
	}
	for _, i := range mine {
		c.produceTo("t", i, "b")
		if end := n.broker.Replicas().Partition(event.Partition{Topic: "t", Index: i}).Log().LogEndOffset(); end != 2 {
			t.Errorf("t-%d ends at %d", i, end)
		}
	}
}

// A wiped second directory gets a new id; its replicas are made anew, and the controller learns where.
func TestADirectoryThatWasReplacedIsFilledAgain(t *testing.T) {
	c := start(t, 3, twoDirs)
	c.client().topicOf("t", 4, 3)
	c.knowsDirs("t")
	for i := range int32(4) {
		c.produceTo("t", i, "a")
	}
	n := c.nodes[0]
	was := n.broker.Replicas().LogDirs()[1].ID
	n.more[0].Wipe()
	if err := c.restart(1); err != nil {
		t.Fatal(err)
	}
	if n.broker.Replicas().LogDirs()[1].ID == was {
		t.Error("a wiped directory has its old id")
	}
	c.until("all is copied", func() bool {
		for i := range int32(4) {
			p := n.broker.Replicas().Partition(event.Partition{Topic: "t", Index: i})
			if p == nil || p.Log() == nil || p.Log().LogEndOffset() != 1 {
				return false
			}
			if !slices.Contains(c.nodes[1].broker.Image().Partition(p.ID()).ISR, 1) {
				return false
			}
		}
		return true
	})
	c.knowsDirs("t")
}

func TestWithoutTheMetadataLogsDirectoryABrokerStops(t *testing.T) {
	c := start(t, 3, twoDirs)
	c.client().topicOf("t", 4, 3)
	n := c.nodes[0]
	n.disk.FailWrites(disk.ErrIO)
	i := n.inDir("t", 4, 0)[0]
	c.until("node 1 stops", func() bool {
		c.produceTo("t", i, "a")
		return !n.broker.Ready()
	})
}

func TestAPartitionInTwoDirectoriesIsAnError(t *testing.T) {
	c := start(t, 1, twoDirs)
	c.client().topic("t", 1)
	n := c.nodes[0]
	dir := n.dirOf("t", 0)
	disks := []*simdisk.Disk{n.disk, n.more[0]}
	for _, name := range disks[dir].Names() {
		if strings.HasPrefix(name, "t-0/") {
			copyFile(c, n, disks[1-dir], name, disks[dir].Peek(name))
		}
	}
	err := c.restart(1)
	if err == nil || !strings.Contains(err.Error(), "t-0 is in a and in b") {
		t.Fatalf("got %v", err)
	}
}

func copyFile(c *cluster, n *node, to *simdisk.Disk, name string, content []byte) {
	written := false
	n.loop.After(0, func() {
		dir, _, _ := strings.Cut(name, "/")
		to.Mkdir(dir, func(error) {
			to.Open(name, func(f disk.File, _ int64, err error) {
				f.WriteAt([][]byte{content}, 0, func(error) { written = true })
			})
		})
	})
	c.until("copied", func() bool { return written })
}

func (x *client) alterLogDir(topic string, dir string, partitions ...int32) []int16 {
	x.Helper()
	req := kmsg.NewPtrAlterReplicaLogDirsRequest()
	req.Version = 2
	d := kmsg.NewAlterReplicaLogDirsRequestDir()
	d.Dir = dir
	d.Topics = append(d.Topics, kmsg.AlterReplicaLogDirsRequestDirTopic{Topic: topic, Partitions: partitions})
	req.Dirs = append(req.Dirs, d)
	var codes []int16
	for _, p := range ask[*kmsg.AlterReplicaLogDirsResponse](x, req).Topics[0].Partitions {
		codes = append(codes, p.ErrorCode)
	}
	return codes
}

// other is the name of the other of two directories.
func other(dir int) string { return []string{"b", "a"}[dir] }

// filesOf is the names on a node's disks that begin so: of the first, and of the second.
func (n *node) filesOf(prefix string) (all [2][]string) {
	for i, d := range []*simdisk.Disk{n.disk, n.more[0]} {
		for _, name := range d.Names() {
			if strings.HasPrefix(name, prefix) {
				all[i] = append(all[i], name)
			}
		}
	}
	return all
}

// A leader's and a follower's replica move to the other directory while clients produce; nothing is lost, and nothing is left behind.
func TestAReplicaMovesToAnotherDirectory(t *testing.T) {
	c := start(t, 3, twoDirs)
	x := c.client()
	id := x.topicOf("t", 1, 3, "min.insync.replicas=2", "segment.bytes=1048576")
	c.knowsDirs("t")
	leader := c.nodes[0].broker.Image().Partition(event.Partition{Topic: "t"}).Leader
	at := c.dial(leader, clientPort)
	sent := 0
	produce := func(n int) {
		for range n {
			at.code("produce", at.produce(13, -1, "t", id, plain(fmt.Sprint("value ", sent), strings.Repeat("x", 50_000))).ErrorCode, nil)
			sent++
		}
	}
	produce(60)
	for _, n := range []*node{c.nodes[leader-1], c.nodes[leader%3]} {
		from := n.dirOf("t", 0)
		to := c.dial(n.id, clientPort)
		if codes := to.alterLogDir("t", other(from), 0); codes[0] != 0 {
			t.Fatal(codes)
		}
		sawFuture := false
		c.until("moved", func() bool {
			for _, d := range to.describeLogDirs().Dirs {
				for _, topic := range d.Topics {
					sawFuture = sawFuture || topic.Partitions[0].IsFuture && topic.Partitions[0].OffsetLag > 0
				}
			}
			produce(1)
			return n.dirOf("t", 0) == 1-from
		})
		if !sawFuture {
			t.Error("nobody saw a future log")
		}
		c.knowsDirs("t")
		produce(5)
		c.wait(time.Second)
		if files := n.filesOf("t-0"); len(files[from]) != 0 || slices.ContainsFunc(files[1-from], func(name string) bool { return !strings.HasPrefix(name, "t-0/") }) {
			t.Errorf("files: %v", files)
		}
	}
	if err := c.restart(leader); err != nil {
		t.Fatal(err)
	}
	c.until("all replicas have all", func() bool {
		for _, n := range c.nodes {
			p := n.broker.Replicas().Partition(event.Partition{Topic: "t"})
			if p == nil || p.Log() == nil || p.Log().LogEndOffset() != int64(2*sent) {
				return false
			}
		}
		return true
	})
}

func TestAlterReplicaLogDirsRefusesWhatCannotBe(t *testing.T) {
	c := start(t, 3, twoDirs)
	x := c.client()
	x.topicOf("t", 2, 3)
	x.topicOf("u", 3, 1)
	c.knowsDirs("t")
	c.knowsDirs("u")
	if codes := x.alterLogDir("t", "nowhere", 0); codes[0] != kerr.LogDirNotFound.Code {
		t.Errorf("an unknown directory: %v", codes)
	}
	if codes := x.alterLogDir("t", "a", 0, 7); codes[0] != 0 || codes[1] != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("an unknown partition: %v", codes)
	}
	if codes := x.alterLogDir(strings.Repeat("t", 240), "a", 0); codes[0] != kerr.InvalidTopicException.Code {
		t.Errorf("a long name: %v", codes)
	}
	for i := range int32(3) {
		if c.nodes[0].dirOf("u", i) < 0 {
			if codes := x.alterLogDir("u", "b", i); codes[0] != kerr.ReplicaNotAvailable.Code {
				t.Errorf("a replica of others: %v", codes)
			}
			if moved := ask[*kmsg.AlterPartitionAssignmentsResponse](x, reassignmentOf("u", i, 1)); moved.ErrorCode != 0 {
				t.Fatal(moved)
			}
			c.until("it comes, where it was wanted", func() bool { return c.nodes[0].dirOf("u", i) == 1 })
		}
	}
	c.nodes[0].breakDir()
	x.until("the second directory is offline", func() bool {
		c.produceTo("t", 0, "a")
		c.produceTo("t", 1, "a")
		return x.describeLogDirs().Dirs[1].ErrorCode != 0
	})
	if codes := x.alterLogDir("t", "b", 0, 1); codes[0] != kerr.KafkaStorageError.Code || codes[1] != kerr.KafkaStorageError.Code {
		t.Errorf("a directory that is offline: %v", codes)
	}
}

func reassignmentOf(topic string, index int32, replicas ...int32) *kmsg.AlterPartitionAssignmentsRequest {
	req := reassignment(topic, replicas)
	req.Topics[0].Partitions[0].Partition = index
	return req
}

// A move that is taken back half way, one whose topic is deleted, and one that a crash ends: it goes on by itself.
func TestAMoveThatIsInterrupted(t *testing.T) {
	c := start(t, 1, twoDirs)
	x, n := c.client(), c.nodes[0]
	id := x.topic("t", 1)
	c.knowsDirs("t")
	for i := range 100 {
		x.code("produce", x.produce(13, -1, "t", id, plain(fmt.Sprint(i), strings.Repeat("x", 50_000))).ErrorCode, nil)
	}
	from := n.dirOf("t", 0)
	p := func() *replica.Partition { return n.broker.Replicas().Partition(event.Partition{Topic: "t"}) }
	x.alterLogDir("t", other(from), 0)
	c.until("something is copied", func() bool { f := p().FutureLog(); return f != nil && f.LogEndOffset() > 50 })
	x.alterLogDir("t", other(1-from), 0)
	c.until("the copy is gone", func() bool { return p().FutureLog() == nil && len(n.filesOf("t-0")[1-from]) == 0 })
	c.wait(time.Second)
	if n.dirOf("t", 0) != from {
		t.Error("it moved all the same")
	}

	x.alterLogDir("t", other(from), 0)
	c.until("something is copied", func() bool { f := p().FutureLog(); return f != nil && f.LogEndOffset() > 50 })
	if err := c.restart(1); err != nil {
		t.Fatal(err)
	}
	c.until("it moved after the crash", func() bool { return p() != nil && n.dirOf("t", 0) == 1-from })
	if end := p().Log().LogEndOffset(); end != 200 {
		t.Errorf("it ends at %d", end)
	}
	c.knowsDirs("t")
	x = c.client()
	x.alterLogDir("t", other(1-from), 0)
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TopicNames, req.TimeoutMillis = 5, []string{"t"}, 5000
	ask[*kmsg.DeleteTopicsResponse](x, req)
	c.until("nothing is left of it", func() bool { f := n.filesOf("t-0"); return len(f[0])+len(f[1]) == 0 })
	x.topic("t", 1)
	x.produce(9, -1, "t", [16]byte{}, plain("a"))
}

package api_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core"
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/disk/simdisk"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/network/simnet"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/scheduler/virtual"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	clientPort     = 9092
	controllerPort = 9093
)

// cluster is brokers in the virtual world, and clients that speak bytes to them.
type cluster struct {
	testing.TB
	world *virtual.World
	net   *simnet.Net
	nodes []*node // node n is at n-1
	hosts int32   // of clients so far
}

type node struct {
	id     int32
	loop   *virtual.Node
	host   *simnet.Host
	disk   *simdisk.Disk
	more   []*simdisk.Disk // of log.dirs after the first
	config *config.Config
	starts int
	broker *core.Broker
	events []event.Event
}

func (n *node) Emit(e *event.Event) {
	if e.Kind == event.BadRequest {
		n.events = append(n.events, *e)
	}
}

// start runs size combined nodes until all are ready. more are properties, key=value, in which {id} is the node's.
func start(t testing.TB, size int, more ...string) *cluster {
	return startFormatted(t, size, nil, more...)
}

// startFormatted is start with disks that format has got ready, if it is not nil: then nothing says who votes but the disks.
func startFormatted(t testing.TB, size int, format func(id int32) core.Formatting, more ...string) *cluster {
	w := virtual.New(1)
	c := &cluster{TB: t, world: w}
	c.net = simnet.New(w, 1, simnet.Options{ReadRegion: func(r disk.Region, p []byte) { simdisk.ReadRegion(r, p) }})
	var voters, servers []string
	for id := 1; id <= size; id++ {
		voters = append(voters, fmt.Sprintf("%d@n%d:%d", id, id, controllerPort))
		servers = append(servers, fmt.Sprintf("n%d:%d", id, controllerPort))
	}
	quorum := "controller.quorum.voters=" + strings.Join(voters, ",")
	if format != nil {
		quorum = "controller.quorum.bootstrap.servers=" + strings.Join(servers, ",")
	}
	ready := 0
	for id := int32(1); id <= int32(size); id++ {
		n := &node{id: id, loop: w.Node(id)}
		n.disk = simdisk.New(n.loop, 1, simdisk.Options{})
		n.host = c.net.Host(fmt.Sprint("n", id), n.loop)
		c.nodes = append(c.nodes, n)
		props := append([]string{
			fmt.Sprint("node.id=", id), "process.roles=broker,controller",
			fmt.Sprintf("listeners=PLAINTEXT://n%d:%d,CONTROLLER://n%d:%d", id, clientPort, id, controllerPort),
			quorum,
		}, strings.Split(strings.ReplaceAll(strings.Join(more, "\n"), "{id}", fmt.Sprint(id)), "\n")...)
		n.config = parse(t, props)
		for range n.config.LogDirs[1:] {
			n.more = append(n.more, simdisk.New(n.loop, 1, simdisk.Options{}))
		}
		started := func(err error) {
			if err != nil {
				t.Fatalf("node %d: %v", n.id, err)
			}
			ready++
		}
		if format == nil {
			c.boot(n, started)
			continue
		}
		n.loop.After(0, func() {
			e := c.env(n)
			core.Format(&e, n.config, format(id), func(_ storage.MetaProperties, err error) {
				if err != nil {
					t.Fatalf("node %d: %v", n.id, err)
				}
				c.boot(n, started)
			})
		})
	}
	c.until("the nodes are ready", func() bool { return ready == size })
	return c
}

// boot starts an incarnation of a node.
func (c *cluster) boot(n *node, started func(error)) {
	n.starts++
	n.broker = core.New(c.env(n), n.config)
	broker := n.broker
	n.loop.After(0, func() { broker.Start(started) })
}

// restart kills a node's process and waits until the next one is ready, or for the error that it cannot be.
func (c *cluster) restart(id int32) (err error) {
	c.Helper()
	n := c.nodes[id-1]
	n.loop.Kill()
	for _, d := range append([]*simdisk.Disk{n.disk}, n.more...) {
		d.Kill()
	}
	n.host.Crash(false)
	started := false
	c.boot(n, func(e error) { err, started = e, true })
	c.until("started", func() bool { return started })
	return err
}

func parse(t testing.TB, lines []string) *config.Config {
	var props []config.Property
	for _, line := range lines {
		if line == "" {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		props = append(props, config.Property{Key: key, Value: value, Origin: "test"})
	}
	cfg, _, err := config.Parse(props)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func (c *cluster) env(n *node) env.Env {
	var disks []disk.Disk
	if len(n.more) > 0 {
		disks = append(disks, n.disk)
	}
	for _, d := range n.more {
		disks = append(disks, d)
	}
	return env.Env{
		Loop: n.loop, Disk: n.disk, Disks: disks, Net: n.host, Event: n,
		Rand: func(purpose string) *rand.Rand { return virtual.Rand(1, fmt.Sprint(n.id, "/", n.starts, purpose)) },
	}
}

// patience is how long, in virtual time, a test waits for what it expects.
const patience = time.Minute

// until runs the world until something is so.
func (c *cluster) until(what string, so func() bool) {
	c.Helper()
	deadline := c.world.Now().Add(patience)
	for !so() {
		if c.world.Now() > deadline || !c.world.Step() {
			c.Fatalf("not in %v: %s", patience, what)
		}
	}
}

// wait lets time pass.
func (c *cluster) wait(d time.Duration) { c.world.RunUntil(c.world.Now().Add(d)) }

// client is one connection.
type client struct {
	*cluster
	loop    *virtual.Node
	conn    network.Conn
	sent    int32
	frames  [][]byte // answers not yet looked at
	closed  error
	answers scheduler.Instant // when the last one came
}

// dial connects to node id.
func (c *cluster) dial(id int32, port int) *client {
	c.hosts++
	n := c.world.Node(1000 + c.hosts)
	x := &client{cluster: c, loop: n}
	host := c.net.Host(fmt.Sprint("client", c.hosts), n)
	protocol := network.Protocol{MaxFrame: 256 << 20, Decode: func(frame []byte) (any, error) { return append([]byte(nil), frame...), nil }}
	n.After(0, func() {
		host.Dial(network.Addr(fmt.Sprintf("n%d:%d", id, port)), protocol, x, func(conn network.Conn, err error) {
			if err != nil {
				c.Fatal(err)
			}
			x.conn = conn
		})
	})
	c.until("connected", func() bool { return x.conn != nil })
	return x
}

func (c *cluster) client() *client           { return c.dial(1, clientPort) }
func (c *cluster) controllerClient() *client { return c.dial(1, controllerPort) }

func (x *client) Receive(_ network.Conn, msg any, f *network.Frame) {
	x.frames, x.answers = append(x.frames, msg.([]byte)), x.world.Now()
	f.Release()
}

func (x *client) Closed(_ network.Conn, err error) { x.closed = err }

// send sends a frame and waits for nothing.
func (x *client) sendBytes(frame []byte) {
	x.loop.After(0, func() {
		if x.closed == nil {
			x.conn.Send([]network.Chunk{{Bytes: frame}}, nil)
		}
	})
}

func (x *client) send(req kmsg.Request) {
	x.sendBytes(encode(req, x.sent))
	x.sent++
}

func encode(req kmsg.Request, id int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, id)[4:]
}

// next waits for the answer to the request numbered id.
func (x *client) next(req kmsg.Request, id int32) kmsg.Response {
	x.Helper()
	x.until(fmt.Sprintf("an answer to %s v%d", kmsg.NameForKey(req.Key()), req.GetVersion()), func() bool { return len(x.frames) > 0 || x.closed != nil })
	if len(x.frames) == 0 {
		x.Fatalf("%s v%d: connection closed: %v (%v)", kmsg.NameForKey(req.Key()), req.GetVersion(), x.closed, x.nodes[0].events)
	}
	frame := x.frames[0]
	x.frames = x.frames[1:]
	return decode(x, req, frame, id)
}

// decode reads an answer to req, by kmsg alone.
func decode(t testing.TB, req kmsg.Request, frame []byte, id int32) kmsg.Response {
	t.Helper()
	if got := int32(binary.BigEndian.Uint32(frame)); got != id {
		t.Fatalf("answer to request %d, want %d", got, id)
	}
	body := frame[4:]
	if req.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		if body[0] != 0 {
			t.Fatalf("%d tags in the header", body[0])
		}
		body = body[1:]
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(body); err != nil {
		t.Fatalf("%s v%d: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	if again := resp.AppendTo(nil); len(again) != len(body) {
		t.Errorf("%s v%d: %d bytes, of which kmsg knows %d", kmsg.NameForKey(req.Key()), req.GetVersion(), len(body), len(again))
	}
	return resp
}

// ask sends a request and returns its answer.
func ask[R kmsg.Response](x *client, req kmsg.Request) R {
	x.Helper()
	id := x.sent
	x.send(req)
	return x.next(req, id).(R)
}

func (x *client) expectClosed() {
	x.Helper()
	x.until("the connection is closed", func() bool { return x.closed != nil })
	if len(x.frames) > 0 {
		x.Errorf("%d answers before the end", len(x.frames))
	}
}

// topic creates a topic and waits until the broker at x leads or follows all of it.
func (x *client) topic(name string, partitions int, configs ...string) [16]byte {
	return x.topicOf(name, partitions, 1, configs...)
}

func (x *client) topicOf(name string, partitions, factor int, configs ...string) [16]byte {
	x.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 10_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, int32(partitions), int16(factor)
	for _, kv := range configs {
		key, value, _ := strings.Cut(kv, "=")
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = key, &value
		t.Configs = append(t.Configs, c)
	}
	req.Topics = append(req.Topics, t)
	resp := ask[*kmsg.CreateTopicsResponse](x, req)
	x.code("create "+name, resp.Topics[0].ErrorCode, nil)
	x.until("all replicas of "+name+" are up", func() bool { return x.isUp(name) })
	return resp.Topics[0].TopicID
}

func (c *cluster) isUp(topic string) bool {
	for _, n := range c.nodes {
		t := n.broker.Image().Topic(topic)
		if t == nil {
			return false
		}
		for _, p := range t.Partitions {
			id := event.Partition{Topic: topic, Index: p.Index}
			for _, replica := range p.Replicas {
				hosted := c.nodes[replica-1].broker.Replicas().Partition(id)
				if hosted == nil || hosted.Log() == nil || replica == p.Leader && !hosted.IsLeader() {
					return false
				}
			}
		}
	}
	return true
}

// code checks an error code.
func (c *cluster) code(what string, got int16, want *kerr.Error) {
	c.Helper()
	if want == nil {
		want = &kerr.Error{Message: "NONE"}
	}
	if got != want.Code {
		c.Errorf("%s: %v, want %s", what, kerr.ErrorForCode(got), want.Message)
	}
}

// batch makes a batch of values.
func batch(o record.BatchOptions, values ...string) []byte {
	b := record.NewBuilder(nil, o)
	for i, v := range values {
		b.Append(1_767_225_600_000+int64(i), nil, []byte(v))
	}
	return b.Build()
}

func plain(values ...string) []byte { return batch(record.BatchOptions{ProducerID: -1}, values...) }

// produceRequest names one partition, by name and id.
func produceRequest(version, acks int16, topic string, id [16]byte, partition int32, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, acks, 5000
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = topic, id
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, records
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// produce appends records to partition 0 and returns their answer.
func (x *client) produce(version, acks int16, topic string, id [16]byte, records []byte) kmsg.ProduceResponseTopicPartition {
	x.Helper()
	resp := ask[*kmsg.ProduceResponse](x, produceRequest(version, acks, topic, id, 0, records))
	return resp.Topics[0].Partitions[0]
}

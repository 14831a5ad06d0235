package api_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// hostile draws requests that nobody with good intentions would send.
type hostile struct {
	*rand.Rand
	topicID [16]byte // of a topic that exists
	room    int      // elements that may still be made
}

var (
	hostileInts    = []int64{0, 0, 0, 1, 1, 2, 3, 4, 5, 8, 16, 32, -1, -1, -2, -3, 7, 60, 1_000, math.MaxInt8, math.MaxInt16, math.MinInt16, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64}
	hostileFloats  = []float64{0, 1, 1e-300, 0.5, -1, 1e18, 1e300, math.NaN(), math.Inf(1), math.Inf(-1)}
	hostileStrings = []string{"t", "t", "t", "", "unknown", "a/b", ".", "..", "__cluster_metadata", "retention.ms", "cleanup.policy", "1", "2", "-1", "compact", "PLAINTEXT",
		"CONTROLLER", "\x00\xff", "user", "client-id", "ip", "producer_byte_rate", "request_percentage", "metrics", "match", "client_id=[", "log.retention.ms",
		"consumer.session.timeout.ms", "*", "root", " 7 ", "TRUE", "interval.ms", strings.Repeat("x", 249), strings.Repeat("y", 300)}
	// The longest string that there is, and some that only a compact length can tell of. Rare, for few requests with one are taken up.
	hostileLongs = []string{strings.Repeat("l", math.MaxInt16), strings.Repeat("m", math.MaxInt16+1), strings.Repeat("n", 40_000), strings.Repeat("o", 1<<16+3)}
)

// request makes a request of a key and version, all of whose fields are drawn.
func (h *hostile) request(key, version int16) kmsg.Request {
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	h.room = 200
	h.fill(reflect.ValueOf(req).Elem())
	req.SetVersion(version)
	if heartbeat, ok := req.(*kmsg.BrokerHeartbeatRequest); ok {
		heartbeat.WantShutdown = false // who knows a broker's epoch can have it stopped, and is believed
	}
	return req
}

func (h *hostile) fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Name != "UnknownTags" && f.IsExported() {
				h.fill(v.Field(i))
			}
		}
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(hostileInts[h.IntN(len(hostileInts))])
	case reflect.Float64:
		v.SetFloat(hostileFloats[h.IntN(len(hostileFloats))])
	case reflect.Uint16, reflect.Uint32:
		v.SetUint(uint64(hostileInts[h.IntN(len(hostileInts))]))
	case reflect.Bool:
		v.SetBool(h.IntN(2) == 0)
	case reflect.String:
		v.SetString(h.string())
	case reflect.Pointer:
		if h.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			h.fill(v.Elem())
		}
	case reflect.Array:
		h.fillID(v)
	case reflect.Slice:
		h.fillSlice(v)
	}
}

func (h *hostile) string() string {
	if h.IntN(300) == 0 {
		return hostileLongs[h.IntN(len(hostileLongs))]
	}
	return hostileStrings[h.IntN(len(hostileStrings))]
}

func (h *hostile) fillID(v reflect.Value) {
	id := h.topicID
	switch h.IntN(4) {
	case 0:
		id = [16]byte{}
	case 1:
		id = [16]byte{byte(h.IntN(256)), 1, 2, 3}
	}
	reflect.Copy(v, reflect.ValueOf(id))
}

func (h *hostile) fillSlice(v reflect.Value) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		v.SetBytes(h.bytes())
		return
	}
	n := [...]int{0, 0, 1, 1, 1, 2, 3, 40}[h.IntN(8)]
	n = min(n, h.room)
	h.room -= n
	if n == 0 && h.IntN(2) == 0 {
		return // null, where that is possible
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i := range n {
		h.fill(v.Index(i))
	}
}

func (h *hostile) bytes() []byte {
	switch h.IntN(5) {
	case 0:
		return nil
	case 1:
		return []byte("no batch, whatever it is that one expects here, at all, but long enough for a header of one")
	case 2:
		b := plain("v")
		b[h.IntN(len(b))] ^= 1 << h.IntN(8)
		return b
	case 3:
		inner := h.request(int16(kmsg.CreateTopics), 7)
		return encode(inner, 1<<30)
	}
	return plain("a", "b")
}

// mangle is the frame, or what is left of it on its way through bad hands.
func (h *hostile) mangle(frame []byte) []byte {
	switch h.IntN(8) {
	case 0:
		return frame[:h.IntN(len(frame)+1)]
	case 1:
		return append(frame, make([]byte, h.IntN(100))...)
	case 2:
		for range 1 + h.IntN(4) {
			frame[h.IntN(len(frame))] = byte(h.IntN(256))
		}
	case 3:
		if len(frame) > 30 { // a length or a count
			copy(frame[14+h.IntN(len(frame)-20):], []byte{0xff, 0xff, 0xff, 0xff, 0x0f})
		}
	}
	return frame
}

// served lists the keys and versions of a listener as it advertises them.
func (x *client) served() (apis []kmsg.ApiVersionsResponseApiKey) {
	req := kmsg.NewPtrApiVersionsRequest()
	return ask[*kmsg.ApiVersionsResponse](x, req).ApiKeys
}

// maxHostileBytes bounds what one hostile request of a few KiB may make the broker allocate, along with all that the broker does
// in the minutes of virtual time that such a request can take. A partition that it lawfully creates costs a log more.
const (
	maxHostileBytes      = 64 << 20
	maxBytesOfAPartition = 40 << 10
)

// attack sends requests drawn from a seed, each on a connection of its own, and checks that the broker lives on.
func attack(t testing.TB, seed uint64, requests int) {
	c := start(t, 1, smallInternalTopics(1)...)
	good := c.client()
	good.awaitCoordinator(0, "t")
	h := &hostile{Rand: rand.New(rand.NewPCG(seed, 1)), topicID: good.topic("t", 2)}
	good.produce(13, -1, "t", h.topicID, plain("a", "b", "c"))
	apis := map[int][]kmsg.ApiVersionsResponseApiKey{clientPort: good.served(), controllerPort: c.controllerClient().served()}
	for n := range requests {
		port := clientPort
		if h.IntN(3) == 0 {
			port = controllerPort
		}
		api := apis[port][h.IntN(len(apis[port]))]
		low, _ := wire.Lookup(api.ApiKey) // Produce says 0
		version := low.Min + int16(h.IntN(int(low.Max-low.Min)+1))
		frame := h.mangle(encode(h.request(api.ApiKey, version), int32(n)))
		c.hit(port, frame, kmsg.NameForKey(api.ApiKey))
	}
}

// hit sends one frame and waits until it is answered or refused, or cannot be.
func (c *cluster) hit(port int, frame []byte, what string) {
	c.settle()
	before, leo, partitions := c.nodes[0].broker.Image().Hash(), c.logEnd(), c.partitions()
	var was, is runtime.MemStats
	runtime.ReadMemStats(&was)
	x := c.dial(1, port)
	x.sendBytes(frame)
	deadline := c.world.Now().Add(6 * time.Minute) // more than any request may wait
	for len(x.frames) == 0 && x.closed == nil && c.world.Now() < deadline && !mute(frame) {
		c.world.Step()
	}
	if mute(frame) {
		c.wait(time.Second)
	} else if len(x.frames) == 0 && x.closed == nil {
		c.Fatalf("%s: neither answered nor refused: %x", what, frame)
	}
	runtime.ReadMemStats(&is)
	created := max(0, c.partitions()-partitions)
	if spent := is.TotalAlloc - was.TotalAlloc; spent > maxHostileBytes+uint64(created)*maxBytesOfAPartition {
		c.Errorf("%s: %d bytes allocated for a frame of %d", what, spent, len(frame))
	}
	c.checkEffects(frame, what, before, leo)
	good := c.client()
	c.until("the broker is unfenced, should somebody have forged its heartbeat: "+what, good.answersMetadata)
}

// answersMetadata reports whether the answer lists the broker.
func (x *client) answersMetadata() bool {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	listed := len(ask[*kmsg.MetadataResponse](x, req).Brokers) > 0
	if !listed {
		x.wait(100 * time.Millisecond)
	}
	return listed
}

// settle waits until the metadata stands still: topics are created after the answer to a Metadata, and a broker that was
// registered may be fenced after its session.
func (c *cluster) settle() {
	image := c.nodes[0].broker.Image
	for quiet, hash := 0, image().Hash(); quiet < 20; quiet++ {
		c.wait(500 * time.Millisecond)
		if now := image().Hash(); now != hash {
			quiet, hash = 0, now
		}
	}
}

// checkEffects: who only asks changes nothing.
func (c *cluster) checkEffects(frame []byte, what string, hash uint64, leo int64) {
	if len(frame) < 2 || frame[0] != 0 {
		return
	}
	switch kmsg.Key(frame[1]) {
	case kmsg.Fetch, kmsg.ListOffsets, kmsg.ApiVersions, kmsg.OffsetForLeaderEpoch, kmsg.DescribeConfigs, kmsg.DescribeQuorum, kmsg.FetchSnapshot,
		kmsg.DescribeCluster, kmsg.DescribeTopicPartitions, kmsg.Produce, kmsg.SASLHandshake, kmsg.SASLAuthenticate, kmsg.DescribeACLs,
		kmsg.CreateACLs, kmsg.DeleteACLs, kmsg.DescribeClientQuotas, kmsg.DescribeUserSCRAMCredentials, kmsg.GetTelemetrySubscriptions,
		kmsg.PushTelemetry, kmsg.ListConfigResources:
		if now := c.nodes[0].broker.Image().Hash(); now != hash {
			c.Errorf("%s changed the metadata: %x", what, frame)
		}
	}
	switch kmsg.Key(frame[1]) {
	case kmsg.Produce, kmsg.WriteTxnMarkers: // that is what they are for
		return
	}
	if c.logEnd() != leo && c.logEnd() != 0 {
		c.Errorf("%s changed the log: %x", what, frame)
	}
}

// partitions is how many partitions there are.
func (c *cluster) partitions() (n int) {
	c.nodes[0].broker.Image().Partitions(func(*metadata.Partition) bool {
		n++
		return true
	})
	return n
}

func (c *cluster) logEnd() (sum int64) {
	for i := range int32(2) {
		if p := c.nodes[0].broker.Replicas().Partition(event.Partition{Topic: "t", Index: i}); p != nil && p.Log() != nil {
			sum += p.Log().LogEndOffset()
		}
	}
	return sum
}

// mute reports whether a frame gets no answer even if all is well: a produce with acks=0.
func mute(frame []byte) bool {
	msg, err := wire.DecodeRequest(append([]byte(nil), frame...))
	if err != nil {
		return false
	}
	req := msg.(*wire.Request)
	return req.Produce != nil && req.Produce.Acks == 0
}

func TestHostileRequestsLeaveTheBrokerServing(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { attack(t, seed, 60) })
	}
}

func FuzzHostileRequests(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { attack(t, seed, 10) })
}

// FuzzFrames sends whatever bytes the fuzzer makes of requests of every key.
func FuzzFrames(f *testing.F) {
	h := &hostile{Rand: rand.New(rand.NewPCG(1, 2))}
	for _, api := range wire.APIs {
		f.Add(encode(h.request(api.Key, api.Max), 1), api.Broker)
	}
	f.Fuzz(func(t *testing.T, frame []byte, broker bool) {
		port := controllerPort
		if broker {
			port = clientPort
		}
		c := start(t, 1)
		c.client().topic("t", 2)
		c.hit(port, frame, "frame")
	})
}

// Requests as large as they may be, of as many items as fit. Each took minutes, or gigabytes, when items were compared in
// pairs or answered as often as they were named.
func TestHugeRequestsAreAnsweredAtOnce(t *testing.T) {
	c := start(t, 1)
	c.client().topic("t", 20)
	const many = 60_000
	name := func(i int) string { return fmt.Sprint("u", i) }
	create, alter := kmsg.NewPtrCreateTopicsRequest(), kmsg.NewPtrIncrementalAlterConfigsRequest()
	meta, describe, offsets := kmsg.NewPtrMetadataRequest(), kmsg.NewPtrDescribeConfigsRequest(), kmsg.NewPtrListOffsetsRequest()
	replace, quotas, scram := kmsg.NewPtrAlterConfigsRequest(), kmsg.NewPtrAlterClientQuotasRequest(), kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	users, partitions, remove := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest(), kmsg.NewPtrCreatePartitionsRequest(), kmsg.NewPtrDeleteTopicsRequest()
	fetch := fetchRequest(12, "t", [16]byte{}, 0, 0)
	fetch.SessionEpoch, fetch.Topics = 0, nil
	for i := range many {
		create.Topics = append(create.Topics, kmsg.CreateTopicsRequestTopic{Topic: name(i), NumPartitions: -7, ReplicationFactor: -1})
		alter.Resources = append(alter.Resources, kmsg.IncrementalAlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name(i)})
		replace.Resources = append(replace.Resources, kmsg.AlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name(i)})
		quotas.Entries = append(quotas.Entries, kmsg.AlterClientQuotasRequestEntry{Entity: quotaEntity("user=" + name(i)), Ops: []kmsg.AlterClientQuotasRequestEntryOp{{Key: "producer_byte_rate", Value: 1}}})
		scram.Upsertions = append(scram.Upsertions, kmsg.AlterUserSCRAMCredentialsRequestUpsertion{Name: name(i), Mechanism: 1, Iterations: 4096})
		users.Users = append(users.Users, kmsg.DescribeUserSCRAMCredentialsRequestUser{Name: name(i)})
		partitions.Topics = append(partitions.Topics, kmsg.CreatePartitionsRequestTopic{Topic: "t", Count: 30})
		remove.TopicNames = append(remove.TopicNames, name(i))
		meta.Topics = append(meta.Topics, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr("t")})
		describe.Resources = append(describe.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t"})
		offsets.Topics = append(offsets.Topics, kmsg.ListOffsetsRequestTopic{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: 1}}})
		fetch.Topics = append(fetch.Topics, fetchTopic("t", [16]byte{}, int32(i), 0))
	}
	partitions.Version, remove.Version = 3, 5
	create.Version, alter.Version, meta.Version, describe.Version, offsets.Version = 4, 0, 8, 3, 4
	for _, req := range []kmsg.Request{create, alter, meta, describe, offsets, fetch, replace, quotas, scram, users, partitions, remove} {
		x := c.client()
		ask[kmsg.Response](x, req)
		if len(x.frames) != 0 {
			t.Error("more than one answer")
		}
	}
}

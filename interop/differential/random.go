package differential

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Left out of random requests, because Kafka 4.4.0 never answers: no transactions in AddPartitionsToTxn from version 4 on, no markers or partitions in
// WriteTxnMarkers, two equal protocols in JoinGroup, and null records in Produce.

// notRandom are keys whose requests could take the cluster apart: who leads it, and who belongs to it.
var notRandom = map[int16]string{
	17: "closes the connection", 36: "closes the connection", // told in a story
	62: "a broker of its own", 70: "a controller of its own", 82: "a voter of its own",
}

// mineOnly are keys whose answers may list what others have made.
var mineOnly = map[int16]bool{3: true, 16: true, 35: true, 43: true, 46: true, 48: true, 50: true, 66: true, 74: true, 75: true}

// neverEmpty are keys whose requests have elements in all their lists.
var neverEmpty = map[int16]bool{24: true, 27: true}

// randomStories have generated requests for every key that a listener has. The same seed gives the same ones in every version: names, ids and
// generations that a cluster gives stand for what it gave.
func (r *run) randomStories(l *listener) (all []story) {
	for _, key := range slices.Sorted(maps.Keys(l.lowest)) {
		if notRandom[key] != "" {
			continue
		}
		all = append(all, story{key, "random", func(t *talk) {
			p := t.props(l.name != "")
			for i := range r.Random {
				g := &generator{Rand: rand.New(rand.NewPCG(r.Seed, uint64(key)<<32|uint64(i))), key: key, props: p}
				req, recipe := g.request()
				t.askRandom(fmt.Sprint("request ", i), req, recipe)
			}
		}})
	}
	return all
}

// askRandom asks again for a moment while that may help: how long a coordinator takes is nobody's difference.
func (t *talk) askRandom(label string, req kmsg.Request, recipe string) {
	var fields map[string]string
	for range 20 {
		resp, err := t.send(req)
		fields = told(resp, err)
		if !tooEarly(fields) {
			break
		}
		time.Sleep(30 * time.Millisecond)
	}
	t.answers = append(t.answers, answer{label: label, key: req.Key(), request: recipe, fields: fields})
	if mineOnly[req.Key()] {
		t.onlyMine()
	}
}

// props are what random requests are about.
type props struct {
	t            *talk
	isController bool
	topics       []any // names: the first two exist
	ids          []any // of those
	member       string
	generation   int32
	transaction  transaction
}

func (t *talk) props(isController bool) *props {
	a, b := t.topic("a", 2), t.topic("b", 1, "cleanup.policy", "compact")
	p := &props{t: t, isController: isController, topics: []any{a, b, t.name("none"), "", "a/b", "__consumer_offsets"}, ids: []any{t.topicIDs[a], t.topicIDs[b]}}
	if isController {
		return p
	}
	t.produce(a, batch{records: 3})
	t.produce(a, batch{records: 2})
	t.produce(b, batch{})
	p.member, p.generation = t.join(t.name("g"))
	t.until(8, M{"Group": t.name("e"), "Generation": -1, "Topics": L{t.committing(a, 0, 5, "note")}})
	p.transaction = t.transaction()
	t.addPartition(p.transaction, a)
	return p
}

// generator draws one request.
type generator struct {
	*rand.Rand
	*props
	key    int16
	recipe []string // what was drawn that is not the protocol's default
}

func (g *generator) request() (kmsg.Request, string) {
	req := kmsg.RequestForKey(g.key)
	req.(interface{ Default() }).Default()
	g.draw(reflect.ValueOf(req).Elem(), "")
	return req, strings.Join(g.recipe, " ")
}

func (g *generator) draw(v reflect.Value, path string) {
	defer g.matchID(v)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Name == "Version" || f.Name == "UnknownTags" || !f.IsExported() {
			continue
		}
		g.drawField(v.Field(i), f.Name, strings.TrimPrefix(path+"."+f.Name, "."))
	}
}

// matchID gives a topic the id that goes with its name: a request has one or the other, by its version.
func (g *generator) matchID(v reflect.Value) {
	name, id := v.FieldByName("Topic"), v.FieldByName("TopicID")
	if !name.IsValid() || !id.IsValid() {
		return
	}
	at := slices.Index(g.topics, any(scalar(name)))
	if name.Kind() == reflect.Pointer && name.IsNil() {
		at = g.IntN(2)
	}
	unknown := [16]byte{9, byte(at)}
	if at >= 0 && at < 2 {
		unknown = g.ids[at].([16]byte)
	}
	if g.key == 3 && !name.IsNil() {
		unknown = [16]byte{} // here a request has both
	}
	id.Set(reflect.ValueOf(unknown))
}

func (g *generator) drawField(v reflect.Value, name, path string) {
	isList := v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8
	switch {
	case v.Kind() == reflect.Struct:
		g.draw(v, path)
	case v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct:
		if g.IntN(3) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			g.draw(v.Elem(), path)
		}
	case isList:
		g.drawList(v, name, path)
	default:
		g.drawScalar(v, name, path)
	}
}

// drawList draws mostly one element, sometimes two, none, or no list at all.
func (g *generator) drawList(v reflect.Value, name, path string) {
	n := [...]int{-1, 0, 1, 1, 1, 1, 1, 1, 2, 2}[g.IntN(10)]
	if mostlyAbsent[name] && g.IntN(5) > 0 {
		n = -1
	}
	if neverEmpty[g.key] {
		n = max(n, 1)
	}
	if n < 0 {
		g.recipe = append(g.recipe, path+"=null")
		v.SetZero()
		return
	}
	if n == 0 {
		g.recipe = append(g.recipe, path+"=[]")
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i := 0; i < n && i < v.Len(); i++ {
		g.drawElement(v, i, name, fmt.Sprintf("%s[%d]", path, i))
	}
}

// drawElement draws one that is not called as those before it: what is named twice is told in stories.
func (g *generator) drawElement(list reflect.Value, i int, name, path string) {
	recipe := len(g.recipe)
	for range 20 {
		g.recipe = g.recipe[:recipe]
		e := list.Index(i)
		e.SetZero()
		if d, ok := e.Addr().Interface().(interface{ Default() }); ok {
			d.Default()
		}
		g.drawField(e, name, path)
		if !slices.ContainsFunc(slices.Collect(elements(list.Slice(0, i))), func(o reflect.Value) bool { return sameKey(o, e) }) {
			return
		}
	}
	list.Set(list.Slice(0, i))
}

func sameKey(a, b reflect.Value) bool {
	if a.Kind() == reflect.Struct && a.Type().Name() == "AlterClientQuotasRequestEntryEntity" {
		return a.FieldByName("Type").String() == b.FieldByName("Type").String()
	}
	return keyOf(a) == keyOf(b)
}

func elements(list reflect.Value) func(yield func(reflect.Value) bool) {
	return func(yield func(reflect.Value) bool) {
		for i := range list.Len() {
			if !yield(list.Index(i)) {
				return
			}
		}
	}
}

// mostlyAbsent are lists without which a request says more.
var mostlyAbsent = map[string]bool{"ReplicaAssignment": true, "Assignment": true, "ForgottenTopics": true, "StatesFilter": true, "TypesFilter": true, "StateFilters": true, "ProducerIDFilters": true}

// drawScalar draws from what fits the field, mostly the first, which is right in a right request.
func (g *generator) drawScalar(v reflect.Value, name, path string) {
	pool := g.pool(v, name)
	n := 0
	if g.IntN(3) == 0 {
		n = g.IntN(len(pool))
	}
	x := pool[n]
	if x == nil {
		v.SetZero()
	} else {
		fill(v, x)
	}
	text := fmt.Sprintf("%v", x)
	if len(text) > 40 || v.Kind() == reflect.Slice || v.Kind() == reflect.Array {
		text = fmt.Sprintf("#%d", n)
	}
	if name == "MemberID" || strings.HasPrefix(name, "Producer") || name == "Generation" {
		text = fmt.Sprintf("#%d", n) // the cluster gave it
	}
	if n > 0 || v.Kind() == reflect.String || v.Kind() == reflect.Pointer {
		g.recipe = append(g.recipe, path+"="+text)
	}
}

// pool is what a field may hold.
func (g *generator) pool(v reflect.Value, name string) []any {
	kind := v.Kind()
	if kind == reflect.Pointer {
		kind = v.Type().Elem().Kind()
	}
	switch kind {
	case reflect.String:
		return g.strings(v, name)
	case reflect.Bool:
		if g.key == 57 {
			return []any{true} // ValidateOnly; version 0 has no flag that does harm
		}
		return []any{false, true}
	case reflect.Float64:
		return []any{1000.5, -1.0, 0.0}
	case reflect.Slice:
		return g.bytes(v, name)
	case reflect.Array:
		return []any{[16]byte{}, [16]byte{1}} // a topic's id: see matchID
	}
	return g.numbers(name)
}

func (g *generator) strings(v reflect.Value, name string) []any {
	t := g.t
	topics := g.topics
	if g.key == 20 || g.key == 61 {
		topics = topics[:5] // without the coordinators' topic: others need it, and who writes to it is each cluster's own
	}
	pool := map[string][]any{
		"Topic": topics, "Topics": topics, "TopicNames": topics,
		"Group": {t.name("g"), t.name("e"), t.name("none"), ""}, "Groups": {t.name("g"), t.name("e"), t.name("none"), ""},
		"CoordinatorKey": {t.name("g"), ""}, "CoordinatorKeys": {t.name("g"), t.name("none"), ""},
		"MemberID": {g.member, "", "someone"}, "InstanceID": {nil, "i"}, "ProtocolType": {"consumer", "", "connect"}, "Protocol": {"range", "", "odd"},
		"TransactionalID": {g.transaction.id, nil, t.name("none"), ""}, "TransactionID": {nil, g.transaction.id, t.name("none"), ""}, "TransactionalIDs": {g.transaction.id, t.name("none"), ""},
		"ResourceName": {g.topics[0], t.name("none"), "", t.name("g")}, "ConfigNames": {"retention.ms", "cleanup.policy", "no.such.key", ""},
		"Value": {"5000", "compact", "-1", "soon", "", nil}, "Feature": {"transaction.version", "metadata.version", "odd", ""},
		"EntityType": {"client-id", "user", "ip", "odd", ""}, "Type": {"client-id", "user", "ip", "odd", ""}, "Match": {t.name("c"), nil, ""}, "Key": {"producer_byte_rate", "connection_creation_rate", "odd", ""},
		"StatesFilter": {"Stable", "Empty", "nonsense", ""}, "TypesFilter": {"classic", "consumer", "nonsense", ""}, "StateFilters": {"Ongoing", "Empty", "nonsense", ""},
		"ClusterID": {"wrong"}, "Dir": {"/no/such/dir", "x", ""}, "Rack": {"", "rack-1"}, "TransactionalIDPattern": {nil, "", ".*", "["},
		"ClientSoftwareName": {"differential", "", "a b", "-a"}, "ClientSoftwareVersion": {"1", "", "a b", "1-"},
		"SubscribedTopicNames": g.topics[:3], "SubscribedTopicRegex": {nil, "", ".*", "["}, "ServerAssignor": {nil, "uniform", "range", "odd"}, "Reason": {nil, "because"},
	}[name]
	if name == "Name" {
		pool = g.names()
	}
	if pool == nil {
		pool = []any{"x", ""}
	}
	if v.Kind() == reflect.Pointer && !slices.Contains(pool, nil) && nullable[name] {
		return append(slices.Clone(pool), nil)
	}
	return slices.DeleteFunc(slices.Clone(pool), func(x any) bool { return x == nil && v.Kind() != reflect.Pointer })
}

// nullable are strings whose absence means something.
var nullable = map[string]bool{"Topic": true, "ErrorMessage": true, "Name": true}

// names are what is called just a name.
func (g *generator) names() []any {
	switch g.key {
	case 19, 33, 44:
		return []any{"retention.ms", "cleanup.policy", "segment.bytes", "consumer.session.timeout.ms", "interval.ms", "no.such.key", ""}
	case 11:
		return []any{"range", "roundrobin", ""}
	case 49:
		return []any{g.t.name("c"), nil, ""}
	}
	return []any{g.t.name("u"), "", "odd"}
}

func (g *generator) bytes(v reflect.Value, name string) []any {
	if name != "Records" {
		return []any{[]byte("x"), []byte{}}
	}
	of := batch{producer: g.transaction.producer, epoch: g.transaction.epoch}
	next, other := of, of
	next.sequence, other.epoch = 1, of.epoch+1
	inTransaction := of
	inTransaction.attributes = 0x10
	var pool []any
	for _, b := range []batch{{}, {records: 3}, of, next, other, inTransaction, {badCRC: true}, {magic: 1}, {attributes: 0x20}, {attributes: 7}, {lastDelta: 1}, {noKey: true}, {attributes: 8}, {producer: 4000, sequence: 3}} {
		pool = append(pool, b.bytes())
	}
	two := append(batch{}.bytes(), batch{}.bytes()...)
	return append(pool, []byte{}, two, two[:70], []byte("x"))
}

func (g *generator) numbers(name string) []any {
	t := g.transaction
	pool := map[string][]any{
		"Partition": {0, 1, 7, -1}, "Partitions": {0, 1, 7, -1}, "Acks": {-1, 1, 2, -2}, "TimeoutMillis": {5000}, "MaxWaitMillis": {10, 0}, "MinBytes": {1, 0, -1}, "MaxBytes": {1 << 20, 0, 1}, "PartitionMaxBytes": {1 << 20, 0, 1},
		"SessionID": {0}, "SessionEpoch": {-1, 0}, "ReplicaID": {-1, -2}, "IsolationLevel": {0, 1}, "ProducerID": {t.producer, 4000, -1}, "ProducerEpoch": {t.epoch, t.epoch - 1, t.epoch + 1, -1},
		"Generation": {g.generation, g.generation - 1, g.generation + 1, -1, 0}, "FetchOffset": {0, 1, 3, 5, 99, -1}, "Offset": {0, 2, 4, 5, 99, -1, -2}, "Timestamp": {-1, -2, -3, -4, -5, -6, -7, 0, baseTime, baseTime + 1},
		"LeaderEpoch": {-1, 0, 3, -5}, "CurrentLeaderEpoch": {-1, 0, 3, -5}, "LastFetchedEpoch": {-1, 0, 3}, "LogStartOffset": {-1, 0}, "MaxNumOffsets": {1},
		"ResourcePatternType": {3, 4}, "Operation": {3, 2, 10}, "PermissionType": {3, 2}, "HighWatermark": {math.MaxInt64}, "Epoch": {-1, 0}, "ID": {-1, 5},
		"SessionTimeoutMillis": {10000, 1, 1 << 30}, "RebalanceTimeoutMillis": {1000}, "TransactionTimeoutMillis": {30000, 0, -1, 1 << 30}, "CoordinatorType": {0, 1, 9}, "RetentionTimeMillis": {-1, 5000},
		"NumPartitions": {1, 2, -1, 0, -2}, "ReplicationFactor": {1, -1, 0, 3}, "Count": {3, 1, 2, -1}, "Replicas": {1, 99, -1}, "ElectionType": {0, 1, 5}, "ResourceType": {ofTopic, ofGroup, ofClientMetrics, 99, 0}, "ResourceTypes": {ofTopic, ofGroup, ofClientMetrics, 99, 0},
		"Op": {0, 1, 2, 3, 9}, "MatchType": {0, 1, 2, 7}, "MaxVersionLevel": {2, 1, 0, 90, -1}, "UpgradeType": {1, 2, 3, 9}, "BrokerID": {77, -1}, "BrokerEpoch": {-1, 0, 99}, "EndpointType": {1, 2, 9}, "Mechanism": {1, 2, 9, 0}, "Iterations": {4096, 10, 1 << 20},
		"ResponsePartitionLimit": {2000, 1, 0, -1}, "DurationFilterMillis": {-1, 0, 1 << 50}, "ProducerIDFilters": {t.producer, 987654321}, "MemberEpoch": {0, -1, -2, 1, 7}, "CoordinatorEpoch": {0, -1}, "TransactionVersion": {0, 1, 2},
	}[name]
	if g.isController && name == "FetchOffset" {
		return []any{1 << 40, -1} // what lies in between is each cluster's own
	}
	if (g.key == 29 || g.key == 30 || g.key == 31) && name == "ResourceType" {
		return []any{2, 3, 4} // Kafka closes the connection at any other
	}
	if pool == nil {
		return []any{0, 1, -1, 2, 100}
	}
	return pool
}

package differential

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Difference is where the answers to a request of a story part.
type Difference struct {
	API      string
	Story    string // and the step in it
	Request  string // in full, of a random one
	Path     string // of the field
	Versions []int16
	Kafka    string
	Lockstep string
	Reason   string // from the file of known differences; empty for one that nobody has explained
}

func (d Difference) String() string {
	text := fmt.Sprintf("%s v%s [%s] %s: Kafka %s, lockstepd %s", d.API, ranges(d.Versions), d.Story, d.Path, shown(d.Kafka), shown(d.Lockstep))
	if d.Request != "" {
		text += "; asked " + d.Request
	}
	return text
}

func shown(s string) string {
	if s == "" {
		return "nothing"
	}
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	return s
}

// ranges writes sorted versions as "0-3,5".
func ranges(versions []int16) string {
	var parts []string
	for i := 0; i < len(versions); {
		j := i
		for j+1 < len(versions) && versions[j+1] == versions[j]+1 {
			j++
		}
		part := fmt.Sprint(versions[i])
		if j > i {
			part += fmt.Sprintf("-%d", versions[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}

// Options say what to compare.
type Options struct {
	Kafka, Lockstep string // addresses of one broker each
	Only            string // stories whose API and name contain this
	Seed            uint64 // of the random requests
	Random          int    // how many of each API
	Known           *Known
	Progress        func(string)
}

// run is one comparison.
type run struct {
	Options
	prefix      string
	brokers     listener
	controllers listener
	told        int // stories
	asked       int
	found       []Difference
}

// listener is a broker's listener, or a controller's, of both clusters.
type listener struct {
	name            string // before the names of stories; empty for the broker's
	kafka, lock     *conn
	lowest, highest map[int16]int16 // versions that both know
}

// Run tells all stories to both and returns the number of answers compared and the differences.
func Run(o Options) (asked int, found []Difference, err error) {
	r := &run{Options: o, prefix: fmt.Sprintf("d%x-", rand.Int32N(1<<20))}
	r.brokers = listener{kafka: &conn{addr: o.Kafka}, lock: &conn{addr: o.Lockstep}}
	defer r.brokers.close()
	if err := r.agree(&r.brokers); err != nil {
		return 0, nil, err
	}
	r.warmUp(r.brokers.kafka)
	r.warmUp(r.brokers.lock)
	if r.controllers, err = r.findControllers(); err != nil {
		return 0, nil, err
	}
	defer r.controllers.close()
	if err := r.agree(&r.controllers); err != nil {
		return 0, nil, err
	}
	r.tellAll(&r.brokers, stories())
	r.tellAll(&r.controllers, stories())
	r.tellAll(&r.brokers, r.randomStories(&r.brokers))
	r.tellAll(&r.controllers, r.randomStories(&r.controllers))
	r.found = merge(r.found)
	for i := range r.found {
		r.found[i].Reason = o.Known.reason(r.found[i])
	}
	return r.asked, r.found, nil
}

func (l *listener) close() {
	l.kafka.close()
	l.lock.close()
}

// warmUp has the coordinators' topics made and producer ids fetched, so that no story waits for them.
func (r *run) warmUp(c *conn) {
	t := &talk{conn: c, broker: c, highest: r.brokers.highest, prefix: r.prefix, key: -1, topicIDs: map[string][16]byte{}}
	defer func() { recover() }() // a broker without coordinators: the stories will tell
	for kind, topic := range []string{"__consumer_offsets", "__transaction_state"} {
		t.until(10, M{"CoordinatorType": kind, "CoordinatorKey": "x", "CoordinatorKeys": L{t.name("warm")}})
		t.awaitTopic(topic, 50)
	}
	t.join(t.name("warm"))
	t.transaction()
	t.until(22, M{})
}

// findControllers asks each cluster for the address of its controller.
func (r *run) findControllers() (listener, error) {
	l := listener{name: "controller, "}
	for _, side := range []struct{ broker, to **conn }{{&r.brokers.kafka, &l.kafka}, {&r.brokers.lock, &l.lock}} {
		req := request(55, M{"Topics": L{M{"Topic": "__cluster_metadata", "Partitions": L{M{"Partition": 0}}}}})
		req.SetVersion(2)
		resp, err := (*side.broker).ask(req)
		if err != nil {
			return l, fmt.Errorf("who is the controller: %w", err)
		}
		nodes := resp.(*kmsg.DescribeQuorumResponse).Nodes
		if len(nodes) != 1 || len(nodes[0].Listeners) != 1 {
			return l, fmt.Errorf("who is the controller: %d nodes", len(nodes))
		}
		at := nodes[0].Listeners[0]
		*side.to = &conn{addr: net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port)))}
	}
	return l, nil
}

// agree finds the versions that both know, and reports where they know others.
func (r *run) agree(l *listener) error {
	kafka, err := apiVersions(l.kafka)
	if err != nil {
		return fmt.Errorf("Kafka: %w", err)
	}
	lock, err := apiVersions(l.lock)
	if err != nil {
		return fmt.Errorf("lockstepd: %w", err)
	}
	l.lowest, l.highest = map[int16]int16{}, map[int16]int16{}
	for _, key := range slices.Sorted(maps.Keys(kafka)) {
		k, l2 := kafka[key], lock[key]
		if k != l2 {
			r.found = append(r.found, Difference{API: kmsg.NameForKey(key), Story: l.name + "advertised versions", Path: "versions", Kafka: k.String(), Lockstep: l2.String()})
		}
		if l2.known {
			l.lowest[key], l.highest[key] = max(k.min, l2.min), min(k.max, l2.max)
		}
	}
	return nil
}

type versionRange struct {
	known    bool
	min, max int16
}

func (v versionRange) String() string {
	if !v.known {
		return ""
	}
	return fmt.Sprintf("%d-%d", v.min, v.max)
}

func apiVersions(c *conn) (map[int16]versionRange, error) {
	req := request(18, M{"ClientSoftwareName": "differential", "ClientSoftwareVersion": "1"})
	req.SetVersion(3)
	resp, err := c.ask(req)
	if err != nil {
		return nil, err
	}
	known := map[int16]versionRange{}
	for _, k := range resp.(*kmsg.ApiVersionsResponse).ApiKeys {
		if kmsg.RequestForKey(k.ApiKey) != nil {
			known[k.ApiKey] = versionRange{true, k.MinVersion, min(k.MaxVersion, kmsg.RequestForKey(k.ApiKey).MaxVersion())}
		}
	}
	return known, nil
}

// tellAll tells the stories whose key the listener has, once for each version.
func (r *run) tellAll(l *listener, all []story) {
	for _, s := range all {
		r.told++
		low, ok := l.lowest[s.key]
		s.name = l.name + s.name
		if !ok || !strings.Contains(kmsg.NameForKey(s.key)+" "+s.name, r.Only) { // what is not advertised is reported as such
			continue
		}
		if r.Progress != nil {
			r.Progress(kmsg.NameForKey(s.key) + ": " + s.name)
		}
		for v := low; v <= l.highest[s.key]; v++ {
			prefix := fmt.Sprintf("%s%d-%d-", r.prefix, r.told, v)
			r.compare(s, v, r.tell(l.kafka, r.brokers.kafka, s, v, prefix), r.tell(l.lock, r.brokers.lock, s, v, prefix))
		}
	}
}

func (r *run) tell(c, broker *conn, s story, version int16, prefix string) (answers []answer) {
	t := &talk{conn: c, broker: broker, key: s.key, version: version, highest: r.brokers.highest, prefix: prefix, topicIDs: map[string][16]byte{}}
	defer func() {
		if p := recover(); p != nil {
			answers = append(t.answers, answer{label: "the end", key: s.key, fields: map[string]string{"story": fmt.Sprint(p)}})
		}
	}()
	s.tell(t)
	return t.answers
}

func (r *run) compare(s story, version int16, kafka, lock []answer) {
	for i := range max(len(kafka), len(lock)) {
		r.asked++
		var k, l answer
		if i < len(kafka) {
			k = kafka[i]
		}
		if i < len(lock) {
			l = lock[i]
		}
		label := s.name
		if step := k.label + " " + fmt.Sprint(i+1); k.fields != nil {
			label += ": " + strings.TrimSpace(step)
		}
		r.compareFields(label, k.request, k.key, version, k.fields, l.fields)
	}
}

func (r *run) compareFields(label, request string, key, version int16, kafka, lock map[string]string) {
	if kafka["connection"] != lock["connection"] { // that one of them answers says it all
		kafka, lock = map[string]string{"connection": whatCame(kafka)}, map[string]string{"connection": whatCame(lock)}
	}
	paths := map[string]bool{}
	for p := range kafka { // order: a set
		paths[p] = true
	}
	for p := range lock { // order: a set
		paths[p] = true
	}
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		k, kok := kafka[p]
		l, lok := lock[p]
		switch {
		case k == l && kok == lok, !kok && lacksElement(kafka, p), !lok && lacksElement(lock, p):
			continue // the list that it would be in is reported
		case strings.HasSuffix(p, " holds"):
			k, l = only(k, l, kok), only(l, k, lok)
		}
		r.found = append(r.found, Difference{API: kmsg.NameForKey(key), Story: label, Request: r.clean(request), Path: r.clean(p), Versions: []int16{version}, Kafka: r.clean(k), Lockstep: r.clean(l)})
	}
}

func whatCame(fields map[string]string) string {
	if why, ok := fields["connection"]; ok {
		return why
	}
	return "an answer"
}

// lacksElement says whether an answer has nothing of the list's element that a path goes through.
func lacksElement(fields map[string]string, path string) bool {
	end := strings.LastIndexByte(path, ']')
	if end < 0 {
		return false
	}
	for p := range fields { // order: any one will do
		if strings.HasPrefix(p, path[:end+1]) {
			return false
		}
	}
	return true
}

// only are the elements of a list that another one has not.
func only(a, b string, there bool) string {
	has := strings.Fields(b)
	words := strings.Join(slices.DeleteFunc(strings.Fields(a), func(w string) bool { return slices.Contains(has, w) }), " ")
	if words == "" && there {
		return "no more than that"
	}
	return words
}

// clean takes the run and the version out of names.
func (r *run) clean(s string) string {
	for {
		at := strings.Index(s, r.prefix)
		if at < 0 {
			return s
		}
		rest := s[at+len(r.prefix):]
		for range 2 {
			if i := strings.IndexByte(rest, '-'); i >= 0 {
				rest = rest[i+1:]
			}
		}
		s = s[:at] + "~" + rest
	}
}

// merge joins differences that are the same in several versions.
func merge(found []Difference) []Difference {
	index := map[string]int{}
	var merged []Difference
	for _, d := range found {
		key := strings.Join([]string{d.API, d.Story, d.Request, d.Path, d.Kafka, d.Lockstep}, "\x00")
		if i, ok := index[key]; ok {
			merged[i].Versions = append(merged[i].Versions, d.Versions...)
			continue
		}
		index[key] = len(merged)
		merged = append(merged, d)
	}
	return merged
}

package differential

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// story is a sequence of requests that is told to both brokers, once for each version of its key.
type story struct {
	key  int16
	name string
	tell func(t *talk)
}

// answer is what a broker said to one request of a story.
type answer struct {
	label   string
	key     int16
	request string // in full, where the label does not say what was asked
	fields  map[string]string
}

// talk is one telling of a story to one cluster.
type talk struct {
	conn     *conn // for requests of the story's key
	broker   *conn // for all others; the same where the story is told to a broker
	key      int16
	version  int16           // of the story's key
	highest  map[int16]int16 // versions that both brokers know
	prefix   string          // of names, the same for both brokers
	answers  []answer
	topicIDs map[string][16]byte
}

// name is a name that no other story and no other version of this one uses.
func (t *talk) name(what string) string { return t.prefix + what }

// ask sends a request, in the story's version if it is of the story's key and else in the highest that both know, and records the answer.
func (t *talk) ask(label string, key int16, fields M) kmsg.Response {
	resp, err := t.send(request(key, fields))
	for range 20 { // how long it takes to end a transaction is nobody's difference
		if !hasCode(told(resp, err), map[string]bool{"51": true}) {
			break
		}
		time.Sleep(30 * time.Millisecond)
		resp, err = t.send(request(key, fields))
	}
	t.answers = append(t.answers, answer{label: label, key: key, fields: told(resp, err)})
	return resp
}

// told are the fields of an answer, or what came instead.
func told(resp kmsg.Response, err error) map[string]string {
	switch {
	case err != nil:
		return map[string]string{"connection": err.Error()}
	case resp == nil:
		return map[string]string{}
	}
	return canon(resp)
}

// mine asks for a list of all there is and records what this telling has put there.
func (t *talk) mine(label string, key int16, fields M) {
	t.ask(label, key, fields)
	t.onlyMine()
}

// onlyMine takes out of the last answer what this telling has not put there.
func (t *talk) onlyMine() {
	all := t.answers[len(t.answers)-1].fields
	for path, value := range all { // order: each is on its own
		list, _, element := strings.Cut(path, "[")
		switch {
		case element && !strings.HasPrefix(path, list+"["+t.prefix):
			delete(all, path)
		case strings.HasSuffix(path, " holds") && !element:
			all[path] = strings.Join(slices.DeleteFunc(strings.Fields(value), func(name string) bool { return !strings.HasPrefix(name, t.prefix) }), " ")
		}
	}
}

// quiet asks without comparing: a step on the way to what the story is about.
func (t *talk) quiet(key int16, fields M) kmsg.Response {
	resp, _ := t.send(request(key, fields))
	return resp
}

func (t *talk) send(req kmsg.Request) (resp kmsg.Response, err error) {
	if req.Key() == t.key {
		resp, err = t.conn.patient(inVersion(req, t.version))
	} else {
		resp, err = t.broker.patient(inVersion(req, t.highest[req.Key()]))
	}
	if err == nil && resp != nil {
		t.nameTopics(resp)
	}
	return resp, err
}

// nameTopics gives topics that an answer names by id only the names that they have here: ids are each cluster's own.
func (t *talk) nameTopics(resp kmsg.Response) {
	topics := reflect.ValueOf(resp).Elem().FieldByName("Topics")
	if !topics.IsValid() || topics.Kind() != reflect.Slice || topics.Type().Elem().Kind() != reflect.Struct {
		return
	}
	for i := range topics.Len() {
		name, id := topics.Index(i).FieldByName("Topic"), topics.Index(i).FieldByName("TopicID")
		if !name.IsValid() || !id.IsValid() || name.Kind() != reflect.String || name.Len() > 0 {
			continue
		}
		for known, at := range t.topicIDs { // order: ids are apart
			if at == id.Interface().([16]byte) {
				name.SetString(known)
			}
		}
	}
}

// inVersion takes the tagged fields out of a request that its version does not have: Kafka closes the connection at those.
func inVersion(req kmsg.Request, version int16) kmsg.Request {
	req.SetVersion(version)
	switch r := req.(type) {
	case *kmsg.FetchRequest:
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				p := &r.Topics[i].Partitions[j]
				if version < 17 {
					p.ReplicaDirectoryID = [16]byte{}
				}
				if version < 18 {
					p.HighWatermark = math.MaxInt64
				}
			}
		}
		if version < 15 {
			r.ReplicaState = kmsg.NewFetchRequestReplicaState()
		}
	case *kmsg.FetchSnapshotRequest:
		if version < 1 {
			for i := range r.Topics {
				for j := range r.Topics[i].Partitions {
					r.Topics[i].Partitions[j].ReplicaDirectoryID = [16]byte{}
				}
			}
		}
	case *kmsg.BrokerHeartbeatRequest:
		if version < 1 {
			r.OfflineLogDirs = nil
		}
		if version < 2 {
			r.CordonedLogDirs = nil
		}
	}
	return req
}

// until repeats a step on the way while the answer's error says that it is too early, for half a minute at most.
func (t *talk) until(key int16, fields M) (resp kmsg.Response) {
	for range 1000 {
		resp = t.quiet(key, fields)
		if resp == nil || !tooEarly(told(resp, nil)) {
			break
		}
		time.Sleep(30 * time.Millisecond)
	}
	return resp
}

// passing are the codes of what is over soon: a coordinator that loads or is not there yet, and a transaction that is being ended.
var passing = map[string]bool{"14": true, "15": true, "16": true, "51": true}

func tooEarly(fields map[string]string) bool { return hasCode(fields, passing) }

func hasCode(fields map[string]string, codes map[string]bool) bool {
	for path, value := range fields { // order: any one will do
		if strings.HasSuffix(path, "ErrorCode") && codes[value] {
			return true
		}
	}
	return false
}

// topic makes a topic for this telling.
func (t *talk) topic(what string, partitions int, configs ...string) string {
	name := t.name(what)
	var settings L
	for i := 0; i < len(configs); i += 2 {
		settings = append(settings, M{"Name": configs[i], "Value": configs[i+1]})
	}
	version := t.highest[19]
	req := request(19, M{"TimeoutMillis": 20000, "Topics": L{M{"Topic": name, "NumPartitions": partitions, "ReplicationFactor": 1, "Configs": settings}}})
	req.SetVersion(version)
	if resp, err := t.broker.ask(req); err == nil {
		t.topicIDs[name] = resp.(*kmsg.CreateTopicsResponse).Topics[0].TopicID
		t.awaitTopic(name, partitions)
	}
	return name
}

// awaitTopic returns when the broker knows the topic and its leaders.
func (t *talk) awaitTopic(name string, partitions int) {
	for range 500 {
		req := request(3, M{"Topics": L{M{"Topic": name}}})
		req.SetVersion(12)
		resp, err := t.broker.ask(req)
		if err != nil {
			return
		}
		if ready(resp.(*kmsg.MetadataResponse)) == partitions && t.leads(name, partitions) {
			return
		}
		pause()
	}
	panic(fmt.Sprintf("%s: topic %s does not come up", t.conn.addr, name))
}

// leads says whether the broker has begun to lead: metadata tells of it a little earlier.
func (t *talk) leads(name string, partitions int) bool {
	var ps L
	for i := range partitions {
		ps = append(ps, M{"Partition": i, "Timestamp": -2, "CurrentLeaderEpoch": -1})
	}
	req := request(2, M{"ReplicaID": -1, "Topics": L{M{"Topic": name, "Partitions": ps}}})
	req.SetVersion(5)
	resp, err := t.broker.ask(req)
	if err != nil {
		return false
	}
	for _, p := range resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
		if p.ErrorCode != 0 {
			return false
		}
	}
	return true
}

func ready(m *kmsg.MetadataResponse) (n int) {
	for _, p := range m.Topics[0].Partitions {
		if p.Leader >= 0 {
			n++
		}
	}
	return n
}

package differential

import (
	"fmt"
	"slices"
	"strings"

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
	label  string
	key    int16
	fields map[string]string
}

// talk is one telling of a story to one broker.
type talk struct {
	conn     *conn
	key      int16
	version  int16 // of the story's key
	highest  map[int16]int16
	prefix   string // of names, the same for both brokers
	answers  []answer
	topicIDs map[string][16]byte
}

// name is a name that no other story and no other version of this one uses.
func (t *talk) name(what string) string { return t.prefix + what }

// ask sends a request, in the story's version if it is of the story's key and else in the highest that both know, and records the answer.
func (t *talk) ask(label string, key int16, fields M) kmsg.Response {
	resp, err := t.send(key, fields)
	a := answer{label: label, key: key, fields: map[string]string{}}
	switch {
	case err != nil:
		a.fields["connection"] = err.Error()
	case resp != nil:
		a.fields = canon(resp)
	}
	t.answers = append(t.answers, a)
	return resp
}

// mine asks for a list of all there is and records what this telling has put there.
func (t *talk) mine(label string, key int16, fields M) {
	t.ask(label, key, fields)
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
	resp, _ := t.send(key, fields)
	return resp
}

func (t *talk) send(key int16, fields M) (kmsg.Response, error) {
	req := request(key, fields)
	req.SetVersion(t.highest[key])
	if key == t.key {
		req.SetVersion(t.version)
	}
	return t.conn.ask(req)
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
	if resp, err := t.conn.ask(req); err == nil {
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
		resp, err := t.conn.ask(req)
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
	resp, err := t.conn.ask(req)
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

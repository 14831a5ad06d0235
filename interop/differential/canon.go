package differential

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Fields that say nothing about behaviour: addresses, times, sizes of a disk, and the load of a moment.
var ignored = map[string]bool{
	"Version": true, "UnknownTags": true, "ThrottleMillis": true, "Host": true, "Port": true, "ClusterID": true, "FinalizedFeaturesEpoch": true,
	"TotalBytes": true, "UsableBytes": true, "Dir": true, "LogDir": true, "BrokerEpoch": true, "LastFetchTimestamp": true, "LastCaughtUpTimestamp": true,
	"ClientHost": true, "PushIntervalMillis": true, "ReplicaDirectoryID": true, "IssueTimestamp": true, "SubscriptionID": true,
}

// Fields whose value is an id, a time or words for people: only whether there is one is compared.
var presence = map[string]bool{
	"TopicID": true, "ProducerID": true, "MemberID": true, "LeaderID": true, "SessionID": true, "ErrorMessage": true, "LogAppendTime": true, "ClientInstanceID": true,
	"LastTimestamp": true, "StartTimestamp": true, "Documentation": true, "IncarnationID": true,
}

// canon turns an answer into strings by path. Elements of an array stand in the order of their keys, not of the wire: Kafka's order is
// that of a hash map.
func canon(resp kmsg.Response) map[string]string {
	out := map[string]string{}
	canonStruct(out, "", reflect.ValueOf(resp).Elem())
	return out
}

func canonStruct(out map[string]string, path string, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if ignored[f.Name] || !f.IsExported() {
			continue
		}
		if f.Name == "RecordBatches" {
			out[strings.TrimPrefix(path+".RecordBatches", ".")] = batches(v.Field(i).Bytes())
			continue
		}
		at := strings.TrimPrefix(path+"."+f.Name, ".")
		if presence[f.Name] {
			out[at] = present(v.Field(i))
			continue
		}
		canonValue(out, at, v.Field(i))
	}
}

func present(v reflect.Value) string {
	if v.Kind() == reflect.Pointer && !v.IsNil() && v.Elem().Len() > 0 {
		return "set"
	}
	if v.Kind() == reflect.Pointer {
		return "none" // an empty message says as much as null
	}
	if v.IsZero() || v.CanInt() && v.Int() == -1 {
		return fmt.Sprint("none ", scalar(v))
	}
	return "set"
}

func canonValue(out map[string]string, path string, v reflect.Value) {
	switch {
	case v.Kind() == reflect.Struct:
		canonStruct(out, path, v)
	case v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct:
		if out[path] = "null"; !v.IsNil() {
			delete(out, path)
			canonStruct(out, path, v.Elem())
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		canonSlice(out, path, v)
	default:
		out[path] = scalar(v)
	}
}

func canonSlice(out map[string]string, path string, v reflect.Value) {
	if v.IsNil() {
		out[path] = "null"
		return
	}
	v = merged(v)
	elements := make([]element, v.Len())
	for i := range elements {
		elements[i] = canonElement(v.Index(i))
	}
	inOrder := strings.HasSuffix(v.Type().Elem().Name(), "ConfigSynonym") // the first is the one that counts
	slices.SortStableFunc(elements, func(a, b element) int {
		if a.key != b.key || inOrder {
			return cmp.Compare(a.key, b.key)
		}
		return cmp.Compare(a.text, b.text)
	})
	seen := map[string]int{}
	var keys []string
	for _, e := range elements {
		key := e.key
		if seen[key]++; seen[key] > 1 {
			key = fmt.Sprintf("%s#%d", key, seen[key])
		}
		keys = append(keys, key)
		for at, value := range e.fields { // order: a set
			out[strings.TrimSuffix(path+"["+key+"]."+at, ".")] = value
		}
	}
	slices.Sort(keys)
	out[path+" holds"] = strings.Join(keys, " ")
}

// element is one of an array; text puts those of one key in an order.
type element struct {
	key, text string
	fields    map[string]string
}

func canonElement(v reflect.Value) element {
	e := element{key: keyOf(v), fields: map[string]string{}}
	canonValue(e.fields, "", v)
	for _, at := range slices.Sorted(maps.Keys(e.fields)) {
		e.text += at + "=" + e.fields[at] + "\n"
	}
	return e
}

// merged joins the parts of a topic that stand apart: where a topic is split is a matter of order.
func merged(v reflect.Value) reflect.Value {
	if v.Type().Elem().Kind() != reflect.Struct || v.Len() < 2 {
		return v
	}
	e := v.Type().Elem()
	if partitions, ok := e.FieldByName("Partitions"); !ok || partitions.Type.Kind() != reflect.Slice {
		return v
	}
	if _, ok := e.FieldByName("Topic"); !ok {
		return v
	}
	out, at := reflect.MakeSlice(v.Type(), 0, v.Len()), map[string]int{}
	for i := range v.Len() {
		key := scalar(v.Index(i).FieldByName("Topic"))
		if id := v.Index(i).FieldByName("TopicID"); id.IsValid() {
			key += scalar(id)
		}
		n, seen := at[key]
		if !seen {
			at[key] = out.Len()
			out = reflect.Append(out, v.Index(i))
			continue
		}
		parts := out.Index(n).FieldByName("Partitions")
		parts.Set(reflect.AppendSlice(parts, v.Index(i).FieldByName("Partitions")))
	}
	return out
}

// names of fields that tell elements apart, the most telling first.
var keyFields = []string{"Topic", "Name", "ResourceName", "Group", "GroupID", "ConfigName", "APIKey", "ApiKey", "Key", "TransactionalID", "User", "Type", "Partition", "NodeID", "ReplicaID", "BrokerID", "ErrorCode"}

// keyOf names an element of an array.
func keyOf(e reflect.Value) string {
	if e.Kind() != reflect.Struct {
		return scalar(e)
	}
	for _, name := range keyFields {
		if f := e.FieldByName(name); f.IsValid() {
			if s := scalar(f); s != "null" {
				return s
			}
		}
	}
	return "-"
}

func scalar(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil(), v.Kind() == reflect.Slice && v.IsNil():
		return "null"
	case v.Kind() == reflect.Pointer:
		return scalar(v.Elem())
	case v.Kind() == reflect.Slice:
		return fmt.Sprintf("%d bytes %08x", v.Len(), crc32.ChecksumIEEE(v.Bytes()))
	}
	return fmt.Sprint(v.Interface())
}

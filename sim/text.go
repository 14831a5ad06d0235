package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// field is one key=value of a schedule's line: where the value lives decides how it is written.
type field struct {
	key string
	at  any
}

// formatFields writes "key=value key=value"; values hold no blanks.
func formatFields(fields []field) string {
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = f.key + "=" + formatValue(f.at)
	}
	return strings.Join(parts, " ")
}

// given leaves out what a line without it means: empty words and zeros.
func given(fields []field) (rest []field) {
	for _, f := range fields {
		if s := formatValue(f.at); s != "" && s != "0" && s != "0s" {
			rest = append(rest, f)
		}
	}
	return rest
}

// newAreGiven leaves out, of the fields from one on, what a line without it means: they came when there were schedules already.
func newAreGiven(fields []field, from string) []field {
	at := slices.IndexFunc(fields, func(f field) bool { return f.key == from })
	rest := fields[:at:at]
	for _, f := range given(fields[at:]) {
		if formatValue(f.at) != "false" {
			rest = append(rest, f)
		}
	}
	return rest
}

func formatValue(at any) string {
	switch v := at.(type) {
	case *int:
		return strconv.Itoa(*v)
	case *int64:
		return strconv.FormatInt(*v, 10)
	case *bool:
		return strconv.FormatBool(*v)
	case *time.Duration:
		return v.String()
	case *string:
		return *v
	case *Kind:
		return v.String()
	}
	panic(fmt.Sprintf("sim: no text form for %T", at))
}

// parseFields reads what formatFields wrote. A key that is missing keeps its value; one that is
// unknown is an error: the schedule would not mean what its writer meant.
func parseFields(words []string, fields []field) error {
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return fmt.Errorf("%q is not key=value", word)
		}
		if err := parseField(key, value, fields); err != nil {
			return err
		}
	}
	return nil
}

func parseField(key, value string, fields []field) error {
	for _, f := range fields {
		if f.key != key {
			continue
		}
		if err := parseValue(value, f.at); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	}
	return fmt.Errorf("unknown key %q", key)
}

func parseValue(s string, at any) (err error) {
	switch v := at.(type) {
	case *int:
		*v, err = strconv.Atoi(s)
	case *int64:
		*v, err = strconv.ParseInt(s, 10, 64)
	case *bool:
		*v, err = strconv.ParseBool(s)
	case *time.Duration:
		*v, err = time.ParseDuration(s)
	case *string:
		*v = s
	case *Kind:
		*v, err = ParseKind(s)
	default:
		panic(fmt.Sprintf("sim: no text form for %T", at))
	}
	return err
}

func (c *ClusterOptions) fields() []field {
	return []field{
		{"brokers", &c.Brokers}, {"voters", &c.Voters}, {"combined", &c.Combined}, {"controllers", &c.Controllers}, {"auto.join", &c.AutoJoin},
		{"session", &c.Session}, {"heartbeat", &c.Heartbeat}, {"lag", &c.ReplicaLag}, {"fetch.wait", &c.FetchWait},
		{"snapshot.bytes", &c.SnapshotBytes}, {"metadata.segment.bytes", &c.SegmentBytes}, {"quorum.timeout", &c.QuorumTimeout}, {"link.delay", &c.MaxLinkDelay}, {"disk.sync", &c.DiskSync},
		{"rebalance", &c.AutoRebalance}, {"dial.timeout", &c.DialTimeout}, {"request.timeout", &c.RequestTimeout},
		{"metadata.age", &c.MetadataAge}, {"retransmit", &c.Retransmit}, {"retention.check", &c.RetentionCheck}, {"cleaner.backoff", &c.CleanerBackoff}, {"log.dirs", &c.LogDirs},
	}
}

func (t *TopicOptions) fields() []field {
	return []field{
		{"name", &t.Name}, {"partitions", &t.Partitions}, {"rf", &t.RF}, {"min.isr", &t.MinISR}, {"unclean", &t.Unclean},
		{"flush.messages", &t.FlushMessages}, {"segment.bytes", &t.SegmentBytes}, {"retention", &t.Retention}, {"retention.bytes", &t.RetentionBytes}, {"compact", &t.Compact}, {"replicas", &t.Replicas},
	}
}

func (p *ProducerOptions) fields() []field {
	return []field{
		{"acks", &p.Acks}, {"idempotent", &p.Idempotent}, {"interval", &p.Interval}, {"records", &p.Records},
		{"size", &p.Size}, {"version", &p.Version}, {"keep", &p.Keep},
	}
}

func (c *ConsumerOptions) fields() []field {
	return []field{{"wait", &c.Wait}, {"max.bytes", &c.MaxBytes}, {"sessions", &c.Sessions}, {"version", &c.Version}, {"committed", &c.Committed}}
}

func (f *Fault) fields() []field {
	return []field{
		{"label", &f.Label}, {"kind", &f.Kind}, {"at", &f.At}, {"on", &f.On}, {"series", &f.Series}, {"delay", &f.Delay}, {"for", &f.For}, {"target", &f.Target},
		{"peer", &f.Peer}, {"size", &f.Size},
	}
}

package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// GroupKeys are the keys of a group, of whatever protocol, sorted by name (Kafka's GroupConfig). Each that is the default of all
// groups has a broker key as its synonym.
var GroupKeys = []Key{
	{Name: "consumer.assignment.interval.ms", Type: Int, Default: "1000", Max: math.MaxInt32, Doc: "Shortest time between two assignments of a consumer group.", Synonyms: same("group.consumer.assignment.interval.ms")},
	{Name: "consumer.heartbeat.interval.ms", Type: Int, Default: "5000", Min: 1, Max: math.MaxInt32, Doc: "How often members of a consumer group shall send heartbeats.", Synonyms: same("group.consumer.heartbeat.interval.ms")},
	{Name: "consumer.session.timeout.ms", Type: Int, Default: "45000", Min: 1, Max: math.MaxInt32, Doc: "Silence after which a member of a consumer group is removed.", Synonyms: same("group.consumer.session.timeout.ms")},
	{Name: "errors.deadletterqueue.copy.record.enable", Type: Boolean, Default: "false"},
	{Name: "errors.deadletterqueue.topic.name", Type: String, Default: ""},
	{Name: "share.assignment.interval.ms", Type: Int, Default: "1000", Max: math.MaxInt32, Synonyms: same("group.share.assignment.interval.ms")},
	{Name: "share.auto.offset.reset", Type: String, Default: "latest"},
	{Name: "share.delivery.count.limit", Type: Int, Default: "5", Min: 2, Max: math.MaxInt32, Synonyms: same("group.share.delivery.count.limit")},
	{Name: "share.heartbeat.interval.ms", Type: Int, Default: "5000", Min: 1, Max: math.MaxInt32, Synonyms: same("group.share.heartbeat.interval.ms")},
	{Name: "share.isolation.level", Type: String, Default: "read_uncommitted", Values: []string{"read_committed", "read_uncommitted"}},
	{Name: "share.partition.max.record.locks", Type: Int, Default: "2000", Min: 100, Max: math.MaxInt32, Synonyms: same("group.share.partition.max.record.locks")},
	{Name: "share.record.lock.duration.ms", Type: Int, Default: "30000", Min: 1000, Max: math.MaxInt32, Synonyms: same("group.share.record.lock.duration.ms")},
	{Name: "share.renew.acknowledge.enable", Type: Boolean, Default: "true"},
	{Name: "share.session.timeout.ms", Type: Int, Default: "45000", Min: 1, Max: math.MaxInt32, Synonyms: same("group.share.session.timeout.ms")},
	{Name: "streams.assignment.interval.ms", Type: Int, Default: "1000", Max: math.MaxInt32, Synonyms: same("group.streams.assignment.interval.ms")},
	{Name: "streams.heartbeat.interval.ms", Type: Int, Default: "5000", Min: 1, Max: math.MaxInt32, Synonyms: same("group.streams.heartbeat.interval.ms")},
	{Name: "streams.initial.rebalance.delay.ms", Type: Int, Default: "3000", Max: math.MaxInt32, Synonyms: same("group.streams.initial.rebalance.delay.ms")},
	{Name: "streams.num.standby.replicas", Type: Int, Default: "0", Max: math.MaxInt32, Synonyms: same("group.streams.num.standby.replicas")},
	{Name: "streams.session.timeout.ms", Type: Int, Default: "45000", Min: 1, Max: math.MaxInt32, Synonyms: same("group.streams.session.timeout.ms")},
}

// groupBound keeps a group's value between two values of the broker's.
type groupBound struct{ key, least, most string }

var groupBounds = []groupBound{
	{"consumer.assignment.interval.ms", "group.consumer.min.assignment.interval.ms", "group.consumer.max.assignment.interval.ms"},
	{"consumer.heartbeat.interval.ms", "group.consumer.min.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"},
	{"consumer.session.timeout.ms", "group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms"},
	{"share.heartbeat.interval.ms", "group.share.min.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms"},
	{"share.session.timeout.ms", "group.share.min.session.timeout.ms", "group.share.max.session.timeout.ms"},
	{"streams.heartbeat.interval.ms", "group.streams.min.heartbeat.interval.ms", "group.streams.max.heartbeat.interval.ms"},
	{"streams.session.timeout.ms", "group.streams.min.session.timeout.ms", "group.streams.max.session.timeout.ms"},
}

// CheckGroup says what is wrong with all configs of a group together, each of which was checked: the broker bounds some of
// them, and a session must outlast a heartbeat.
func (c *Config) CheckGroup(configs map[string]string) error {
	for _, b := range groupBounds {
		v, ok := configs[b.key]
		if !ok {
			continue
		}
		least, most := c.number(b.least), c.number(b.most)
		if n, _ := strconv.ParseInt(FindGroup(b.key).Normal(v), 10, 64); n < least || n > most {
			return fmt.Errorf("%s: %d is not between %d and %d", b.key, n, least, most)
		}
	}
	if reset := configs["share.auto.offset.reset"]; reset != "" && reset != "earliest" && reset != "latest" && !strings.HasPrefix(reset, "by_duration:") {
		return fmt.Errorf("share.auto.offset.reset: %q is neither earliest nor latest nor by_duration:<duration>", reset)
	}
	for _, kind := range []string{"consumer", "share", "streams"} {
		session, heartbeat := kind+".session.timeout.ms", kind+".heartbeat.interval.ms"
		if c.groupNumber(configs, session) <= c.groupNumber(configs, heartbeat) {
			return fmt.Errorf("%s must be greater than %s", session, heartbeat)
		}
	}
	return nil
}

func (c *Config) groupNumber(configs map[string]string, key string) int64 {
	n, _ := strconv.ParseInt(FindGroup(key).Normal(c.GroupChain(key, configs, Dynamic{})[0].Value), 10, 64)
	return n
}

// number is the static value of a broker key that may have no effect of its own.
func (c *Config) number(key string) int64 {
	v, _ := c.BrokerValue(key, Dynamic{})
	n, _ := strconv.ParseInt(v, 10, 64)
	return n
}

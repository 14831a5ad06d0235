package config

import (
	"strconv"
	"strings"
	"time"
)

// Listener is a named address that a node listens on or advertises.
type Listener struct {
	Name string
	Host string
	Port int
}

// Addr is the listener's "host:port".
func (l Listener) Addr() string { return HostPort(l.Host, l.Port) }

// Voter is a controller of the quorum.
type Voter struct {
	ID   int32
	Host string
	Port int
}

// Addr is the voter's "host:port".
func (v Voter) Addr() string { return HostPort(v.Host, v.Port) }

// Config is the configuration of a node. It does not change after Parse.
type Config struct {
	NodeID     int32
	Broker     bool // process.roles has broker
	Controller bool // process.roles has controller
	Rack       string
	LogDir     string   // of the metadata log
	LogDirs    []string // of all others

	Listeners               []Listener // brokers' and controllers', as configured
	Advertised              []Listener // of the broker's listeners only
	ControllerListenerNames []string
	InterBrokerListener     string
	Voters                  []Voter    // static ones; none if the metadata log is to say who votes
	BootstrapServers        []Listener // of controllers that know the leader; without a name
	ControllerEndpoints     []Listener // where others reach this node's controller
	AutoJoin                bool

	ElectionTimeout    time.Duration // longest wait for votes
	ElectionBackoffMax time.Duration
	QuorumFetchTimeout time.Duration
	QuorumRequest      time.Duration
	SnapshotEveryBytes int64
	MetadataSegment    int32

	HeartbeatInterval    time.Duration
	LogDirFailureTimeout time.Duration // longest time to tell the controller
	SessionTimeout       time.Duration

	ReplicaLagTimeMax    time.Duration
	ReplicaFetchWaitMax  time.Duration
	ReplicaFetchBackoff  time.Duration
	ReplicaSocketTimeout time.Duration
	ReplicaFetchMinBytes int32
	ReplicaFetchMaxBytes int32
	ReplicaResponseMax   int32
	HWCheckpointInterval time.Duration
	RetentionCheck       time.Duration

	NumPartitions            int32
	DefaultReplicationFactor int16
	AutoCreateTopics         bool
	DeleteTopics             bool
	ControlledShutdown       bool
	AutoLeaderRebalance      bool
	LeaderImbalanceCheck     time.Duration
	MaxRequestBytes          int
	FetchSessionSlots        int
	TelemetryMaxBytes        int32
	QuotaWindow              time.Duration
	QuotaWindows             int
	MutationQuotaWindow      time.Duration
	MutationQuotaWindows     int
	ConnectionsMaxIdle       time.Duration

	Groups       Groups
	Transactions Transactions

	values map[string]string // what was set, by key
}

// Default is a working node: broker and controller on 127.0.0.1:9092 and 9093.
func Default() *Config {
	c, _, err := Parse(nil)
	if err != nil {
		panic(err) // the defaults are ours
	}
	return c
}

// IsSet reports whether a key was given.
func (c *Config) IsSet(key string) bool {
	_, ok := c.values[key]
	return ok
}

// Value is a broker key's value, given or default; ok is false if it has none.
func (c *Config) Value(key string) (value string, ok bool) {
	if v, ok := c.values[key]; ok {
		return v, true
	}
	k := FindBroker(key)
	if k == nil || k.Null {
		return "", false
	}
	return k.Default, true
}

// The typed readers trust Parse to have checked each value.

func (c *Config) long(key string) int64 {
	v, _ := c.Value(key)
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		panic("config: " + key + " was not checked: " + v)
	}
	return n
}

func (c *Config) text(key string) string { v, _ := c.Value(key); return v }

func (c *Config) int32(key string) int32           { return int32(c.long(key)) }
func (c *Config) millis(key string) time.Duration  { return Duration(c.long(key), time.Millisecond) }
func (c *Config) seconds(key string) time.Duration { return Duration(c.long(key), time.Second) }
func (c *Config) minutes(key string) time.Duration { return Duration(c.long(key), time.Minute) }
func (c *Config) boolean(key string) bool          { v, _ := c.Value(key); return strings.EqualFold(v, "true") }
func (c *Config) list(key string) []string         { v, _ := c.Value(key); return SplitList(v) }

// IsControllerListener reports whether controllers speak on the listener of that name.
func (c *Config) IsControllerListener(n string) bool { return contains(c.ControllerListenerNames, n) }

// HasStaticVoters reports whether the voters were configured, or are this node alone for want of anything else.
func (c *Config) HasStaticVoters() bool { return len(c.Voters) > 0 }

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// InterBroker is the advertised listener that other brokers use.
func (c *Config) InterBroker() (Listener, bool) {
	for _, l := range c.Advertised {
		if l.Name == c.InterBrokerListener {
			return l, true
		}
	}
	return Listener{}, false
}

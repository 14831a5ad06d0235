package config

// Kafka's own values of replica.selector.class.
const (
	rackAwareSelector = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
	leaderSelector    = "org.apache.kafka.common.replica.LeaderSelector"
)

// RackAware reports whether consumers are sent to a replica in their rack (KIP-392).
func (c *Config) RackAware() bool {
	class, _ := c.Value("replica.selector.class")
	return class == rackAwareSelector
}

package config

import (
	"errors"
	"fmt"
)

// check says what is wrong with the values of several keys together, and of keys that may be given in several units: what Kafka's
// KafkaConfig.validateValues refuses, of that which has an effect here.
func (c *Config) check() error {
	return errors.Join(c.checkNodeID(), c.checkRetention(), c.checkDedupeBuffer(), c.checkFetchWait(), c.checkGroups())
}

func (c *Config) checkNodeID() error {
	if old := c.int32("broker.id"); old != c.NodeID { // deriveRoles made them the same unless both are given
		return fmt.Errorf("broker.id: %d is not %d, which is node.id; node.id alone is enough", old, c.NodeID)
	}
	return nil
}

// checkRetention: a topic may ask for no retention at all, but it is not the default of all topics.
func (c *Config) checkRetention() error {
	if t := c.TopicConfig(nil, Dynamic{}); t.Long("retention.ms") == 0 {
		return fmt.Errorf("%s: 0 would delete all records at once; it is -1 for no limit, or at least 1", t.Chain("retention.ms")[0].Name)
	}
	return nil
}

func (c *Config) checkDedupeBuffer() error {
	size, threads := c.long("log.cleaner.dedupe.buffer.size"), c.number("log.cleaner.threads")
	if size/max(threads, 1) <= leastDedupeBuffer {
		return fmt.Errorf("log.cleaner.dedupe.buffer.size: %d is not above %d for each of log.cleaner.threads, which is %d", size, leastDedupeBuffer, threads)
	}
	return nil
}

// checkFetchWait: who waits for records must ask again before it is given up, or taken for lagging.
func (c *Config) checkFetchWait() error {
	const key = "replica.fetch.wait.max.ms"
	wait := c.long(key)
	for _, bound := range []string{"replica.socket.timeout.ms", "replica.lag.time.max.ms"} {
		if most := c.long(bound); wait > most {
			return fmt.Errorf("%s: %d is above %s, which is %d", key, wait, bound, most)
		}
	}
	return nil
}

package group

import (
	"fmt"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
)

// upgrade makes a consumer group of a classic one that has members.
func (m *machine) upgrade(c *classic, _ *[]coordinator.Record) (*consumerGroup, error) {
	return nil, refusal{kerr.GroupIDNotFound, fmt.Sprintf("group %q is a classic one", c.group.id)}
}

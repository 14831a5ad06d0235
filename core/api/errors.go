package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// errInternalTopic refuses records for a topic that belongs to the brokers: its coordinator would not know of them.
var errInternalTopic = fmt.Errorf("cannot append to an internal topic: %w", kerr.InvalidTopicException)

// messageOf is an error's text for a client.
func messageOf(err error) *string {
	if k, ok := err.(*kerr.Error); ok {
		return &k.Description
	}
	text := err.Error()
	return &text
}

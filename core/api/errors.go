package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// errNoTransactions refuses what is done in the name of a transactional id. The code is one at which every client gives up.
var errNoTransactions = fmt.Errorf("there is no transaction coordinator here: %w", kerr.TransactionalIDAuthorizationFailed)

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

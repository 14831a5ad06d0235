package api

import "github.com/twmb/franz-go/pkg/kerr"

// messageOf is an error's text for a client.
func messageOf(err error) *string {
	if k, ok := err.(*kerr.Error); ok {
		return &k.Description
	}
	text := err.Error()
	return &text
}

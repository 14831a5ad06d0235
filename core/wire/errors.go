// Package wire is Kafka's protocol between frames and values: requests and responses of every API
// key, and the connections to other nodes on which they travel.
//
// The message bodies are franz-go's kmsg, except Produce requests and Fetch responses, whose
// record bytes pass here without a copy. Nothing is decoded before guard.go has walked it: no
// claimed count or length costs more than the bytes that are there.
package wire

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
)

var (
	// ErrTimeout says that a request was not answered in time. It may have taken effect.
	ErrTimeout = errors.New("wire: request timed out")
	// ErrDisconnected says that there was no connection, or that it ended before the answer. The
	// request may have taken effect.
	ErrDisconnected = errors.New("wire: disconnected")
	// ErrMalformed says that bytes are not the message they should be.
	ErrMalformed = errors.New("wire: malformed message")
)

// Code is Kafka's error code of an error: 0 for nil, that of a *kerr.Error in the chain, else
// UNKNOWN_SERVER_ERROR.
func Code(err error) int16 {
	if err == nil {
		return 0
	}
	if k, ok := err.(*kerr.Error); ok {
		return k.Code
	}
	var k *kerr.Error
	if errors.As(err, &k) {
		return k.Code
	}
	return kerr.UnknownServerError.Code
}

// Foreign names what a connection that announces an impossible frame size probably speaks, from
// the first four bytes it sent; empty if that is not known.
func Foreign(prefix [4]byte) string {
	if prefix[0] == 0x16 && prefix[1] == 0x03 {
		return "a TLS handshake"
	}
	switch string(prefix[:]) {
	case "GET ", "POST", "PUT ", "HEAD", "DELE", "OPTI", "PATC", "CONN", "TRAC", "PRI ":
		return "an HTTP request"
	case "SSH-":
		return "an SSH client"
	}
	return ""
}

package group

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
)

// codeOf is an error's code for a client. That a record is too large for the topic is not the client's concern, as in Kafka.
func codeOf(err error) int16 {
	if err == nil {
		return 0
	}
	var k *kerr.Error
	if !errors.As(err, &k) || k == kerr.MessageTooLarge || k == kerr.RecordListTooLarge || k == kerr.InvalidFetchSize {
		return kerr.UnknownServerError.Code
	}
	return k.Code
}

// appendError is the same for an error that is no code yet.
func appendError(err error) error {
	if err == nil {
		return nil
	}
	return kerr.ErrorForCode(codeOf(err))
}

// refusal is an error for a client with what there is to say about it.
type refusal struct {
	code *kerr.Error
	text string
}

func (r refusal) Error() string { return r.text }
func (r refusal) Unwrap() error { return r.code }

// textOf is what a client is told about an error besides its code.
func textOf(err error) string {
	if k := kerr.TypedErrorForCode(codeOf(err)); k != nil && errors.Is(err, k) && err == error(k) {
		return k.Description
	}
	return err.Error()
}

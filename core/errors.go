package core

import (
	"errors"

	"github.com/lockstep/lockstep/core/event"
	"github.com/twmb/franz-go/pkg/kerr"
)

// rejected reports that the controller did not take what this broker sent. That there is no controller yet is
// not worth a word.
func (b *Broker) rejected(what string, err error) {
	if errors.Is(err, kerr.NotController) {
		return
	}
	reason := err.Error()
	if errors.Is(err, kerr.DuplicateBrokerRegistration) {
		reason += " If it was this node before a crash, its session ends soon."
	}
	b.emit(event.ConnectionLost, what+": "+reason)
}

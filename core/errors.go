package core

import (
	"errors"
	"fmt"
	"slices"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/twmb/franz-go/pkg/kerr"
)

// rejected reports that the controller did not take what this broker sent. That there is no controller yet is
// not worth a word.
func (b *Broker) rejected(what string, err error) {
	if errors.Is(err, kerr.NotController) {
		return
	}
	reason := err.Error()
	switch {
	case errors.Is(err, kerr.DuplicateBrokerRegistration):
		reason += " If it was this node before a crash, its session ends soon."
	case errors.Is(err, kerr.UnsupportedVersion):
		reason += b.missingFeatures()
	}
	b.emit(event.ConnectionLost, what+": "+reason)
}

// missingFeatures tells of the cluster's features that this node does not have, as far as it knows the metadata.
func (b *Broker) missingFeatures() (told string) {
	supported := b.server.SupportedFeatures(false)
	b.Image().Features(func(f metadata.Feature) bool {
		if !slices.ContainsFunc(supported, func(s metadata.SupportedFeature) bool {
			return s.Name == f.Name && s.Min <= f.Level && f.Level <= s.Max
		}) {
			told += fmt.Sprintf(", %s %d", f.Name, f.Level)
		}
		return true
	})
	if told != "" {
		told = " The cluster uses features that this node does not have: " + told[2:] + "."
	}
	return told
}

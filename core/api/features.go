package api

import (
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/group"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/txn"
)

// Features are the feature levels this release can run, by name (KIP-584). metadata.version 7 is Kafka 3.3, the first of KRaft in
// production, and 30 is 4.3-IV0. A node without the consumer protocol cannot run group.version 1.
func Features(c *config.Config) []metadata.SupportedFeature {
	features := []metadata.SupportedFeature{{Name: "eligible.leader.replicas.version", Min: 0, Max: 1}}
	if c.Groups.Consumer {
		features = append(features, metadata.SupportedFeature{Name: group.Version, Min: 0, Max: 1})
	}
	return append(features, metadata.SupportedFeature{Name: metadata.MetadataVersion, Min: 7, Max: 30}, metadata.SupportedFeature{Name: txn.Version, Min: 0, Max: 2})
}

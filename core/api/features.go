package api

import (
	"slices"
	"strings"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/group"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/raft"
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

// SupportedFeatures are those of this node, on the listeners of one side. Of kraft.version only controllers speak where the voters
// are static: the leader asks them before it upgrades (KIP-853).
func (s *Server) SupportedFeatures(controllerSide bool) []metadata.SupportedFeature {
	features := Features(s.Config)
	if controllerSide || s.Quorum.IsDynamic() {
		features = append(features, metadata.SupportedFeature{Name: raft.FeatureKRaftVersion, Min: 0, Max: 1})
		slices.SortFunc(features, func(a, b metadata.SupportedFeature) int { return strings.Compare(a.Name, b.Name) })
	}
	return features
}

// finalized is the level of a feature that the cluster runs. That of kraft.version is the quorum's own, not the controller's.
func (s *Server) finalized(name string) int16 {
	if name == raft.FeatureKRaftVersion {
		return s.Quorum.KRaftVersion()
	}
	return s.Image().Feature(name)
}

package api

import (
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/txn"
)

// Features are the feature levels this release can run, by name (KIP-584). metadata.version 7 is Kafka 3.3, the first of KRaft in
// production, and 30 is 4.3-IV0. Groups and transactions join when there are coordinators.
var Features = []metadata.SupportedFeature{
	{Name: "eligible.leader.replicas.version", Min: 0, Max: 1},
	{Name: metadata.MetadataVersion, Min: 7, Max: 30},
	{Name: txn.Version, Min: 0, Max: 2},
}

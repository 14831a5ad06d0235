package core

import (
	"testing"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

func formatted(t *testing.T, seed uint64, props ...config.Property) string {
	t.Helper()
	cfg, _, err := config.Parse(props)
	if err != nil {
		t.Fatal(err)
	}
	return newMetaProperties(virtual.Rand(seed, "format"), cfg).ClusterID
}

func TestNodesWithTheSameVotersAgreeOnTheClusterID(t *testing.T) {
	voters := config.Property{Key: "controller.quorum.voters", Value: "1@h:1"}
	combined := formatted(t, 1, voters, config.Property{Key: "node.id", Value: "1"})
	broker := formatted(t, 2, voters, config.Property{Key: "node.id", Value: "2"}, config.Property{Key: "process.roles", Value: "broker"})
	if combined != broker {
		t.Errorf("%s and %s", combined, broker)
	}
	if formatted(t, 1) == formatted(t, 2) {
		t.Error("two nodes that know nothing of each other have one cluster id")
	}
}

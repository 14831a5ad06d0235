package controller

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/metadata"
)

func supporting(c *Config) {
	c.Supported = []metadata.SupportedFeature{
		{Name: metadata.MetadataVersion, Min: 7, Max: 30}, {Name: FeatureELR, Max: 1}, {Name: "group.version", Max: 1}, {Name: "transaction.version", Max: 2},
	}
}

type featureUpdate struct {
	name  string
	level int16
	how   upgradeType
}

func (w *world) updateFeatures(validateOnly bool, updates ...featureUpdate) *kmsg.UpdateFeaturesResponse {
	w.t.Helper()
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.Version, req.ValidateOnly = 2, validateOnly
	for _, u := range updates {
		req.FeatureUpdates = append(req.FeatureUpdates, kmsg.UpdateFeaturesRequestFeatureUpdate{Feature: u.name, MaxVersionLevel: u.level, UpgradeType: int8(u.how)})
	}
	return got(w, w.UpdateFeatures, req)
}

func TestFeaturesAreUpdatedAllOrNone(t *testing.T) {
	w := newWorld(t, supporting)
	w.up(1)
	resp := w.updateFeatures(false, featureUpdate{"group.version", 0, safeDowngrade}, featureUpdate{"transaction.version", 3, upgradeOnly})
	if resp.ErrorCode != kerr.InvalidUpdateVersion.Code || w.committed.Feature("group.version") != 1 {
		t.Errorf("code %d, group.version %d", resp.ErrorCode, w.committed.Feature("group.version"))
	}
	down := []featureUpdate{{"group.version", 0, safeDowngrade}, {"transaction.version", 1, unsafeDowngrade}}
	if resp := w.updateFeatures(true, down...); resp.ErrorCode != 0 || w.committed.Feature("group.version") != 1 {
		t.Errorf("validated only: code %d, group.version %d", resp.ErrorCode, w.committed.Feature("group.version"))
	}
	if resp := w.updateFeatures(false, down...); resp.ErrorCode != 0 || w.committed.Feature("group.version") != 0 || w.committed.Feature("transaction.version") != 1 {
		t.Errorf("code %d", resp.ErrorCode)
	}
}

func TestAFeatureUpdateIsChecked(t *testing.T) {
	w := newWorld(t, supporting)
	w.up(1)
	old := registration(2, 0)
	old.Features[3].MaxSupportedVersion = 2
	w.register(old)
	for _, tc := range []struct {
		name string
		featureUpdate
		want *kerr.Error
	}{
		{"as it is", featureUpdate{metadata.MetadataVersion, 30, upgradeOnly}, nil},
		{"no such direction", featureUpdate{"group.version", 1, 0}, kerr.InvalidUpdateVersion},
		{"negative", featureUpdate{"group.version", -1, safeDowngrade}, kerr.InvalidUpdateVersion},
		{"unknown", featureUpdate{"share.version", 1, upgradeOnly}, kerr.InvalidUpdateVersion},
		{"a downgrade by upgrade", featureUpdate{"group.version", 0, upgradeOnly}, kerr.InvalidUpdateVersion},
		{"the controller cannot", featureUpdate{metadata.MetadataVersion, 31, upgradeOnly}, kerr.InvalidUpdateVersion},
		{"metadata would be lost", featureUpdate{metadata.MetadataVersion, 29, safeDowngrade}, kerr.InvalidUpdateVersion},
		{"and is not given up", featureUpdate{metadata.MetadataVersion, 29, unsafeDowngrade}, kerr.InvalidUpdateVersion},
	} {
		code := w.updateFeatures(false, tc.featureUpdate).ErrorCode
		if tc.want == nil && code != 0 || tc.want != nil && code != tc.want.Code {
			t.Errorf("%s: code %d, want %v", tc.name, code, tc.want)
		}
	}
}

func TestAFeatureThatABrokerCannotRunIsRefused(t *testing.T) {
	w := newWorld(t, func(c *Config) { supporting(c); c.Features = DefaultFeatures[:1] })
	old := registration(1, 0)
	old.Features = old.Features[:1]
	w.register(old)
	if code := w.updateFeatures(false, featureUpdate{FeatureELR, 1, upgradeOnly}).ErrorCode; code != kerr.InvalidUpdateVersion.Code {
		t.Errorf("code %d", code)
	}
}

// Who is eligible rests on one min.insync.replicas for all brokers: turning ELR on writes it down.
func TestELRIsTurnedOnAndOff(t *testing.T) {
	w := newWorld(t, func(c *Config) { supporting(c); c.Features = DefaultFeatures[:1] })
	w.up(1, 2)
	if code := w.updateFeatures(false, featureUpdate{FeatureELR, 1, upgradeOnly}).ErrorCode; code != 0 {
		t.Fatalf("code %d", code)
	}
	if v, _ := w.committed.ConfigValue(metadata.ResourceBroker, "", keyMinInsyncReplicas); v != "2" {
		t.Errorf("cluster-wide min.insync.replicas %q", v)
	}
	w.topic("a", 1, 2)
	w.mustAlter("a", 1)
	w.expect("a", 1, []int32{1}, []int32{2})
	if code := w.updateFeatures(false, featureUpdate{FeatureELR, 0, safeDowngrade}).ErrorCode; code != 0 {
		t.Fatalf("code %d", code)
	}
	w.mustAlter("a", 1, 2)
	w.expect("a", 1, []int32{1, 2}, nil)
	w.mustAlter("a", 1)
	w.expect("a", 1, []int32{1}, nil)
}

// TestTheFlagOfVersion0IsNotHeeded: Kafka's controller looks at the upgrade type, which version 0 does not have.
func TestTheFlagOfVersion0IsNotHeeded(t *testing.T) {
	w := newWorld(t, supporting)
	w.up(1)
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: "group.version", AllowDowngrade: true}}
	if resp := got(w, w.UpdateFeatures, req); resp.ErrorCode != kerr.InvalidUpdateVersion.Code || w.committed.Feature("group.version") != 1 {
		t.Errorf("code %d, group.version %d", resp.ErrorCode, w.committed.Feature("group.version"))
	}
}

func TestOnlyAVersionThatChangedTheMetadataBlocksADowngrade(t *testing.T) {
	for _, tc := range []struct {
		low, high int16
		want      bool
	}{{25, 29, false}, {23, 29, false}, {22, 29, true}, {29, 30, true}, {30, 30, false}, {17, 22, false}} {
		if got := metadataChanged(tc.low, tc.high); got != tc.want {
			t.Errorf("from %d to %d: %v", tc.high, tc.low, got)
		}
	}
}

// kraft.version is the quorum's own: no record of the metadata has it.
func TestQuorumUpgradesItself(t *testing.T) {
	w := newWorld(t, supporting)
	w.up(1)
	both := []featureUpdate{{"kraft.version", 1, upgradeOnly}, {"group.version", 0, safeDowngrade}}
	if resp := w.updateFeatures(false, both...); resp.ErrorCode != 0 || w.q.kraft != 1 || w.committed.Feature("group.version") != 0 || w.committed.Feature("kraft.version") != 0 {
		t.Errorf("code %d, kraft.version %d", resp.ErrorCode, w.q.kraft)
	}
	bad := []featureUpdate{{"kraft.version", 2, upgradeOnly}, {"group.version", 1, upgradeOnly}}
	if resp := w.updateFeatures(false, bad...); resp.ErrorCode != kerr.InvalidUpdateVersion.Code || w.committed.Feature("group.version") != 0 {
		t.Errorf("code %d", resp.ErrorCode)
	}
	w.q.kraft = 0
	bad = []featureUpdate{{"kraft.version", 1, upgradeOnly}, {"group.version", 9, upgradeOnly}}
	if resp := w.updateFeatures(false, bad...); resp.ErrorCode != kerr.InvalidUpdateVersion.Code || w.q.kraft != 0 {
		t.Errorf("code %d, kraft.version %d", resp.ErrorCode, w.q.kraft)
	}
	w.q.resigned = true // and the controller has not heard of it
	if resp := w.updateFeatures(false, featureUpdate{"kraft.version", 1, upgradeOnly}); resp.ErrorCode != kerr.NotController.Code {
		t.Errorf("code %d of a leader that has resigned", resp.ErrorCode)
	}
}

package controller

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/metadata"
)

// bootstrapRecords are the first records of a cluster. metadata.version comes first: it says how to
// read the rest.
func (c *Controller) bootstrapRecords() []metadata.Record {
	records := make([]metadata.Record, len(c.cfg.Features))
	for n, f := range c.cfg.Features {
		records[n] = &metadata.FeatureLevelRecord{Name: f.Name, FeatureLevel: f.Level}
		if f.Name == FeatureELR && f.Level > 0 {
			records = append(records, c.elrSafetyRecords()...)
		}
	}
	return records
}

// elrSafetyRecords make min.insync.replicas the same for all brokers, whatever their files say: who is eligible rests
// on it (KIP-966).
func (c *Controller) elrSafetyRecords() (records []metadata.Record) {
	if _, ok := c.img.ConfigValue(metadata.ResourceBroker, "", keyMinInsyncReplicas); !ok {
		value := strconv.Itoa(c.cfg.MinInsyncReplicas)
		records = append(records, &metadata.ConfigRecord{ResourceType: metadata.ResourceBroker, Name: keyMinInsyncReplicas, Value: &value})
	}
	c.img.Brokers(func(b *metadata.Broker) bool {
		name := strconv.Itoa(int(b.ID))
		if _, ok := c.img.ConfigValue(metadata.ResourceBroker, name, keyMinInsyncReplicas); ok {
			records = append(records, &metadata.ConfigRecord{ResourceType: metadata.ResourceBroker, ResourceName: name, Name: keyMinInsyncReplicas})
		}
		return true
	})
	return records
}

// supportedFeatures checks that a broker can run every finalized feature. One that a broker does not
// name it supports at level 0 only.
func (c *Controller) supportedFeatures(claimed []kmsg.BrokerRegistrationRequestFeature) ([]metadata.SupportedFeature, *kerr.Error) {
	out := make([]metadata.SupportedFeature, len(claimed))
	hasVersion, unsupported := false, false
	for n, f := range claimed {
		out[n] = metadata.SupportedFeature{Name: f.Name, Min: f.MinSupportedVersion, Max: f.MaxSupportedVersion}
		level := c.img.Feature(f.Name)
		hasVersion = hasVersion || f.Name == metadata.MetadataVersion
		unsupported = unsupported || level < f.MinSupportedVersion || level > f.MaxSupportedVersion
	}
	if !hasVersion {
		return nil, kerr.InvalidRegistration
	}
	c.img.Features(func(f metadata.Feature) bool {
		unsupported = unsupported || !names(out, f.Name)
		return true
	})
	if unsupported {
		return nil, kerr.UnsupportedVersion
	}
	return out, nil
}

func names(features []metadata.SupportedFeature, name string) bool {
	for _, f := range features {
		if f.Name == name {
			return true
		}
	}
	return false
}

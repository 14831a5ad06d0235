package controller

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/metadata"
)

// upgradeType says in which direction a feature may move.
type upgradeType int8

const (
	upgradeOnly     upgradeType = 1
	safeDowngrade   upgradeType = 2
	unsafeDowngrade upgradeType = 3
)

// UpdateFeatures sets the levels of features that the whole cluster is to run (KIP-584, KIP-778): all of them or, if one
// cannot be, none.
func (c *Controller) UpdateFeatures(req *kmsg.UpdateFeaturesRequest, done func(*kmsg.UpdateFeaturesResponse)) {
	if !c.Active() {
		done(updateFeaturesError(kerr.NotController))
		return
	}
	kraft := slices.IndexFunc(req.FeatureUpdates, func(u kmsg.UpdateFeaturesRequestFeatureUpdate) bool { return u.Feature == featureKRaft })
	if _, f := c.updateFeatures(req); f != nil || kraft < 0 {
		c.finishFeatures(req, done)
		return
	}
	epoch := c.epoch
	c.quorum.UpgradeKRaftVersion(epoch, req.FeatureUpdates[kraft].MaxVersionLevel, req.ValidateOnly, func(err *kerr.Error, why string) {
		switch {
		case !c.Active() || c.epoch != epoch || err == kerr.NotLeaderForPartition: // or it is about to hear of that
			done(updateFeaturesError(kerr.NotController))
		case err != nil:
			resp := updateFeaturesError(err)
			resp.ErrorMessage = &why
			done(resp)
		default:
			c.finishFeatures(req, done)
		}
	})
}

// featureKRaft is the feature whose level the quorum keeps, not the metadata (KIP-853).
const featureKRaft = "kraft.version"

// finishFeatures writes all but what the quorum keeps.
func (c *Controller) finishFeatures(req *kmsg.UpdateFeaturesRequest, done func(*kmsg.UpdateFeaturesResponse)) {
	records, f := c.updateFeatures(req)
	if f != nil {
		resp := updateFeaturesError(f.err)
		resp.ErrorMessage = f.told()
		answer(c, nil, resp, updateFeaturesError, done)
		return
	}
	if req.ValidateOnly {
		records = nil
	}
	answer(c, records, featuresUpdated(req), updateFeaturesError, done)
}

func updateFeaturesError(err *kerr.Error) *kmsg.UpdateFeaturesResponse {
	resp := kmsg.NewPtrUpdateFeaturesResponse()
	resp.ErrorCode, resp.ErrorMessage = err.Code, &err.Description
	return resp
}

// featuresUpdated has a result for each feature up to version 1.
func featuresUpdated(req *kmsg.UpdateFeaturesRequest) *kmsg.UpdateFeaturesResponse {
	resp := kmsg.NewPtrUpdateFeaturesResponse()
	if req.Version > 1 {
		return resp
	}
	for _, u := range req.FeatureUpdates {
		result := kmsg.NewUpdateFeaturesResponseResult()
		result.Feature, result.ErrorMessage = u.Feature, kmsg.StringPtr("NONE") // as Kafka
		resp.Results = append(resp.Results, result)
	}
	return resp
}

func (c *Controller) updateFeatures(req *kmsg.UpdateFeaturesRequest) ([]metadata.Record, *fault) {
	var records, levels []metadata.Record
	for n := range req.FeatureUpdates {
		u := &req.FeatureUpdates[n]
		var f *fault
		if u.Feature != featureKRaft {
			f = c.checkFeature(req, u)
		}
		if f == nil && slices.ContainsFunc(req.FeatureUpdates[:n], func(o kmsg.UpdateFeaturesRequestFeatureUpdate) bool { return o.Feature == u.Feature }) {
			f = refuse(kerr.InvalidRequest, "a feature is named more than once")
		}
		if f != nil {
			f.message = "The update failed for all features since the following feature had an error: " + f.message
			return nil, f
		}
		if u.Feature == FeatureELR && u.MaxVersionLevel > 0 {
			records = c.elrSafetyRecords()
		}
		if u.Feature != featureKRaft && u.MaxVersionLevel != c.img.Feature(u.Feature) {
			levels = append(levels, &metadata.FeatureLevelRecord{Name: u.Feature, FeatureLevel: u.MaxVersionLevel})
		}
	}
	return append(records, levels...), nil
}

// directionOf is what an update allows. Version 0 of the request has a flag for it, which a controller of KRaft does not heed.
func directionOf(version int16, u *kmsg.UpdateFeaturesRequestFeatureUpdate) upgradeType {
	if version == 0 {
		return upgradeOnly
	}
	return upgradeType(u.UpgradeType)
}

func (c *Controller) checkFeature(req *kmsg.UpdateFeaturesRequest, u *kmsg.UpdateFeaturesRequestFeatureUpdate) *fault {
	now, direction := c.img.Feature(u.Feature), directionOf(req.Version, u)
	why := c.whyUnsupported(u.Feature, u.MaxVersionLevel)
	if why == "" && !names(c.cfg.Supported, u.Feature) {
		why = "There is no such feature."
	}
	switch {
	case direction < upgradeOnly || direction > unsafeDowngrade:
		why = "The controller does not support the given upgrade type."
	case u.MaxVersionLevel < 0:
		why = "A feature version cannot be less than 0."
	case why != "":
	case u.MaxVersionLevel < now && direction == upgradeOnly:
		why = "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade."
	case u.MaxVersionLevel > now && direction != upgradeOnly:
		why = "Can't downgrade to a newer version."
	case u.Feature == metadata.MetadataVersion && metadataChanged(u.MaxVersionLevel, now):
		why = "Refusing to perform the requested downgrade because it might delete metadata information."
	case u.Feature == FeatureELR && u.MaxVersionLevel > 0 && c.proposed(req, metadata.MetadataVersion) < elrNeedsVersion:
		why = fmt.Sprintf("It depends on metadata.version level %d.", elrNeedsVersion)
	}
	if why == "" {
		return nil
	}
	return refuse(kerr.InvalidUpdateVersion, fmt.Sprintf("Invalid update version %d for feature %s. %s", u.MaxVersionLevel, u.Feature, why))
}

// elrNeedsVersion is 4.0-IV1, the first whose partition records have room for an ELR.
const elrNeedsVersion = 23

// proposed is the level that a feature has if the request succeeds.
func (c *Controller) proposed(req *kmsg.UpdateFeaturesRequest, name string) int16 {
	for _, u := range req.FeatureUpdates {
		if u.Feature == name {
			return u.MaxVersionLevel
		}
	}
	return c.img.Feature(name)
}

// changedVersions are the levels of metadata.version, from 3.3-IV3 to 4.3-IV0, that brought something new into the metadata:
// going below one would lose it.
var changedVersions = []int16{7, 8, 11, 13, 14, 15, 17, 23, 30}

// metadataChanged reports whether a version in (low, high] brought something new.
func metadataChanged(low, high int16) bool {
	return slices.ContainsFunc(changedVersions, func(v int16) bool { return low < v && v <= high })
}

// whyUnsupported says who cannot run a level of a feature: "" if all can. Who does not name a feature runs level 0 of it.
func (c *Controller) whyUnsupported(name string, level int16) string {
	if why := unsupportedBy("Local controller "+fmt.Sprint(c.cfg.NodeID), c.cfg.Supported, name, level); why != "" {
		return why
	}
	why := ""
	c.img.Brokers(func(b *metadata.Broker) bool {
		why = unsupportedBy("Broker "+fmt.Sprint(b.ID), b.Features, name, level)
		return why == ""
	})
	return why
}

func unsupportedBy(who string, features []metadata.SupportedFeature, name string, level int16) string {
	lowest, highest := int16(0), int16(0)
	for _, f := range features {
		if f.Name == name {
			lowest, highest = f.Min, f.Max
		}
	}
	switch {
	case lowest <= level && level <= highest:
		return ""
	case highest == 0:
		return who + " does not support this feature."
	}
	return fmt.Sprintf("%s only supports versions %d-%d.", who, lowest, highest)
}

package api

import (
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ApiVersions (key 18), versions 0 to 4. An unknown version is answered in version 0 with
// UNSUPPORTED_VERSION and the versions of this key itself (KIP-511). Produce is reported from 0 although 3
// is the least that works: librdkafka reads a higher minimum as "no idempotence" (KAFKA-18659). Features whose
// range starts at 0 are left out below version 4 (KAFKA-17011).
func (k *call) apiVersions() {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.Version = k.req.Version
	resp.FinalizedFeaturesEpoch = -1
	if k.req.Unsupported {
		resp.Version = 0
		resp.ErrorCode = kerr.UnsupportedVersion.Code
		own, _ := wire.Lookup(int16(kmsg.ApiVersions))
		resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: own.Key, MinVersion: own.Min, MaxVersion: own.Max}}
		k.reply(resp)
		return
	}
	for _, a := range wire.APIs {
		if k.server.served(a, k.controllerSide) {
			resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: a.Key, MinVersion: advertisedMin(a), MaxVersion: a.Max})
		}
	}
	k.addFeatures(resp)
	k.reply(resp)
}

func advertisedMin(a wire.API) int16 {
	if a.Key == int16(kmsg.Produce) {
		return 0
	}
	return a.Min
}

func (k *call) addFeatures(resp *kmsg.ApiVersionsResponse) {
	for _, f := range Features {
		if f.Min == 0 && resp.Version < 4 {
			continue
		}
		resp.SupportedFeatures = append(resp.SupportedFeatures, kmsg.ApiVersionsResponseSupportedFeature{Name: f.Name, MinVersion: f.Min, MaxVersion: f.Max})
	}
	image := k.server.Image()
	for _, f := range Features {
		if level := image.Feature(f.Name); level > 0 {
			resp.FinalizedFeaturesEpoch = image.Offset()
			resp.FinalizedFeatures = append(resp.FinalizedFeatures, kmsg.ApiVersionsResponseFinalizedFeature{Name: f.Name, MinVersionLevel: level, MaxVersionLevel: level})
		}
	}
}

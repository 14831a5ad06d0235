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
	resp.FinalizedFeaturesEpoch = -1
	req, _ := k.req.Body.(*kmsg.ApiVersionsRequest)
	switch {
	case k.req.Unsupported:
		resp.ErrorCode = kerr.UnsupportedVersion.Code
		own, _ := wire.Lookup(int16(kmsg.ApiVersions))
		resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: own.Key, MinVersion: own.Min, MaxVersion: own.Max}}
	case req.Version >= 3 && !(isSoftwareName(req.ClientSoftwareName) && isSoftwareName(req.ClientSoftwareVersion)):
		resp.ErrorCode = kerr.InvalidRequest.Code
	default:
		if req.Version >= 3 && k.conn != nil {
			k.conn.softwareName, k.conn.softwareVersion = req.ClientSoftwareName, req.ClientSoftwareVersion
		}
		k.addKeys(resp)
		k.addFeatures(resp)
	}
	k.reply(resp)
}

// isSoftwareName reports whether a client may call itself or its version so (KIP-511): letters, digits, dots and
// dashes, the latter two not at an end.
func isSoftwareName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
		case (c == '.' || c == '-') && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return s != ""
}

func (k *call) addKeys(resp *kmsg.ApiVersionsResponse) {
	for _, a := range wire.APIs {
		if k.server.advertised(a, k.controllerSide) {
			resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: a.Key, MinVersion: advertisedMin(a), MaxVersion: a.Max})
		}
	}
}

// advertised leaves out what brokers of a quorum with static voters refuse anyway (KIP-853), and what is of use only where the consumer
// protocol is (group.coordinator.rebalance.protocols).
func (s *Server) advertised(a wire.API, controllerSide bool) bool {
	switch kmsg.Key(a.Key) {
	case kmsg.AddRaftVoter, kmsg.RemoveRaftVoter, kmsg.UpdateRaftVoter:
		return (controllerSide || s.Quorum.IsDynamic()) && s.served(a, controllerSide)
	case kmsg.ConsumerGroupHeartbeat, kmsg.ConsumerGroupDescribe:
		return s.Config.Groups.Consumer && s.served(a, controllerSide)
	}
	return s.served(a, controllerSide)
}

func advertisedMin(a wire.API) int16 {
	if a.Key == int16(kmsg.Produce) {
		return 0
	}
	return a.Min
}

func (k *call) addFeatures(resp *kmsg.ApiVersionsResponse) {
	features := k.server.SupportedFeatures(k.controllerSide)
	for _, f := range features {
		if f.Min == 0 && k.req.Version < 4 {
			continue
		}
		resp.SupportedFeatures = append(resp.SupportedFeatures, kmsg.ApiVersionsResponseSupportedFeature{Name: f.Name, MinVersion: f.Min, MaxVersion: f.Max})
	}
	resp.FinalizedFeaturesEpoch = k.server.Image().Offset() - 1
	for _, f := range features {
		if level := k.server.finalized(f.Name); level > 0 {
			resp.FinalizedFeatures = append(resp.FinalizedFeatures, kmsg.ApiVersionsResponseFinalizedFeature{Name: f.Name, MinVersionLevel: level, MaxVersionLevel: level})
		}
	}
}

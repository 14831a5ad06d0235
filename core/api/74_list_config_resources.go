package api

import (
	"slices"
	"strconv"

	"github.com/lockstep/lockstep/core/metadata"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListConfigResources (key 74), versions 0 and 1 (KIP-1142): what has configs. Version 0 knows client metrics only (KIP-714).
func (k *call) listConfigResources() {
	req := k.req.Body.(*kmsg.ListConfigResourcesRequest)
	resp := kmsg.NewPtrListConfigResourcesResponse()
	known := []int8{metadata.ResourceGroup, metadata.ResourceClientMetrics, metadata.ResourceBrokerLogger, metadata.ResourceBroker, metadata.ResourceTopic}
	if req.Version == 0 {
		known = []int8{metadata.ResourceClientMetrics}
	}
	for _, kind := range req.ResourceTypes {
		if !slices.Contains(known, kind) {
			resp.ErrorCode = kerr.UnsupportedVersion.Code
			k.reply(resp)
			return
		}
	}
	for _, kind := range known {
		if len(req.ResourceTypes) == 0 || slices.Contains(req.ResourceTypes, kind) {
			k.listResources(resp, kind)
		}
	}
	k.reply(resp)
}

func (k *call) listResources(resp *kmsg.ListConfigResourcesResponse, kind int8) {
	add := func(name string) {
		resp.ConfigResources = append(resp.ConfigResources, kmsg.ListConfigResourcesResponseConfigResource{Name: name, Type: kind})
	}
	image := k.server.Image()
	switch kind {
	case metadata.ResourceTopic:
		image.Topics(func(t *metadata.Topic) bool { add(t.Name); return true })
	case metadata.ResourceBroker, metadata.ResourceBrokerLogger:
		image.Brokers(func(b *metadata.Broker) bool {
			if _, ok := b.Endpoint(k.listener); ok && !b.Fenced {
				add(strconv.Itoa(int(b.ID)))
			}
			return true
		})
	default:
		image.ConfigResources(kind, add)
	}
}

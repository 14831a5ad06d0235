package api

import (
	"github.com/lockstep/lockstep/core/group"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ConsumerGroupHeartbeat (key 68), versions 0 and 1: a member of a group of the consumer protocol joins, lives, leaves, says what it has and is told
// what it is to have (KIP-848). From version 1 members choose their ids (KIP-1082) and may subscribe by regular expression. Needs
// group.version 1.
func (k *call) consumerGroupHeartbeat() {
	req := k.req.Body.(*kmsg.ConsumerGroupHeartbeatRequest)
	if !k.hasConsumerGroups() {
		resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
		resp.ErrorCode, resp.ErrorMessage = kerr.UnsupportedVersion.Code, messageOf(kerr.UnsupportedVersion)
		k.reply(resp)
		return
	}
	k.server.Groups.ConsumerGroupHeartbeat(req, k.groupClient(), func(resp *kmsg.ConsumerGroupHeartbeatResponse) { k.reply(resp) })
}

// hasConsumerGroups reports whether the cluster has agreed on the consumer protocol. A broker that has just started and knows nothing yet
// does not say no: it coordinates no group, and says that.
func (k *call) hasConsumerGroups() bool {
	image := k.server.Image()
	return k.server.Config.Groups.Consumer && (image.Feature(group.Version) >= 1 || image.Feature(metadata.MetadataVersion) == 0)
}

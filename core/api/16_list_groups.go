package api

import (
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListGroups (key 16), versions 0 to 5: the groups whose coordinator this broker is; from version 4 those in certain states
// (KIP-518), from 5 of certain types (KIP-848).
func (k *call) listGroups() {
	req := k.req.Body.(*kmsg.ListGroupsRequest)
	k.server.Groups.ListGroups(req.StatesFilter, req.TypesFilter, func(groups []kmsg.ListGroupsResponseGroup, err error) {
		resp := kmsg.NewPtrListGroupsResponse()
		resp.Groups, resp.ErrorCode = groups, wire.Code(err)
		k.reply(resp)
	})
}

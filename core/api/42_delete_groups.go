package api

import (
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DeleteGroups (key 42), versions 0 to 2: groups without members go, each on its own, with their offsets.
func (k *call) deleteGroups() {
	req := k.req.Body.(*kmsg.DeleteGroupsRequest)
	resp := kmsg.NewPtrDeleteGroupsResponse()
	names := once(req.Groups)
	resp.Groups = make([]kmsg.DeleteGroupsResponseGroup, len(names))
	left := len(names)
	if left == 0 {
		k.reply(resp)
		return
	}
	for i, name := range names {
		k.server.Groups.DeleteGroup(name, func(err error) {
			resp.Groups[i] = kmsg.DeleteGroupsResponseGroup{Group: name, ErrorCode: wire.Code(err)}
			if left--; left == 0 {
				k.reply(resp)
			}
		})
	}
}

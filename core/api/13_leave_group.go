package api

import "github.com/twmb/franz-go/pkg/kmsg"

// LeaveGroup (key 13), versions 0 to 5: members leave a classic group; from version 3 several in a request, also static ones by
// their instance id alone (KIP-345).
func (k *call) leaveGroup() {
	k.server.Groups.LeaveGroup(k.req.Body.(*kmsg.LeaveGroupRequest), func(resp *kmsg.LeaveGroupResponse) { k.reply(resp) })
}

package api

import "github.com/twmb/franz-go/pkg/kmsg"

// SyncGroup (key 14), versions 0 to 5: a member of a classic group gets its assignment, from the leader's request. What it
// says is opaque here. The answer waits until the assignment is stored.
func (k *call) syncGroup() {
	k.server.Groups.SyncGroup(k.req.Body.(*kmsg.SyncGroupRequest), func(resp *kmsg.SyncGroupResponse) { k.reply(resp) })
	k.letGoOfFrame()
}

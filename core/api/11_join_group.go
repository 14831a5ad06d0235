package api

import (
	"strings"

	"github.com/lockstep/lockstep/core/group"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// JoinGroup (key 11), versions 0 to 9: a member of a classic group joins, or joins again. From version 4 it must know its id
// first (KIP-394), from 5 it may be static (KIP-345), from 9 a static leader that comes back is told not to assign (KIP-814). What it
// says about its protocols is opaque here. The answer waits for the rebalance.
func (k *call) joinGroup() {
	req := k.req.Body.(*kmsg.JoinGroupRequest)
	client := k.groupClient()
	k.server.Groups.JoinGroup(req, client, func(resp *kmsg.JoinGroupResponse) { k.reply(resp) })
	k.letGoOfFrame()
}

// groupClient is who asks, as a group's members are described.
func (k *call) groupClient() group.Client {
	host := ""
	if k.conn != nil {
		host = string(k.conn.net.Remote())
	}
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 {
		host = host[:colon]
	}
	return group.Client{ID: string(k.req.ClientID), Host: "/" + strings.Trim(host, "[]")}
}

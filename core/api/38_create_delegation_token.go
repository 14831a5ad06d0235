package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// CreateDelegationToken (key 38), versions 1 to 3: refused, as by a Kafka on a listener that does not know who asks (KIP-48). Not supported:
// listeners that do.
func (k *call) createDelegationToken() {
	req, resp := k.req.Body.(*kmsg.CreateDelegationTokenRequest), kmsg.NewPtrCreateDelegationTokenResponse()
	resp.ErrorCode = kerr.DelegationTokenRequestNotAllowed.Code
	resp.PrincipalType, resp.PrincipalName = "User", "ANONYMOUS"
	if owner := req.OwnerPrincipalName; owner != nil && *owner != "" && req.OwnerPrincipalType != nil {
		resp.PrincipalType, resp.PrincipalName = *req.OwnerPrincipalType, *owner
	}
	resp.TokenRequesterPrincipalType, resp.TokenRequesterPrincipalName = "User", "ANONYMOUS"
	resp.IssueTimestamp, resp.ExpiryTimestamp, resp.MaxTimestamp = -1, -1, -1
	k.reply(resp)
}

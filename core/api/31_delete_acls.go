package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DeleteAcls (key 31), versions 1 to 3: each filter is refused, as by a Kafka without an authorizer.
func (k *call) deleteAcls() {
	resp := kmsg.NewPtrDeleteACLsResponse()
	for range k.req.Body.(*kmsg.DeleteACLsRequest).Filters {
		resp.Results = append(resp.Results, kmsg.DeleteACLsResponseResult{ErrorCode: kerr.SecurityDisabled.Code, ErrorMessage: &noAuthorizer})
	}
	k.reply(resp)
}

package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// CreateAcls (key 30), versions 1 to 3: each is refused, as by a Kafka without an authorizer.
func (k *call) createAcls() {
	resp := kmsg.NewPtrCreateACLsResponse()
	for range k.req.Body.(*kmsg.CreateACLsRequest).Creations {
		resp.Results = append(resp.Results, kmsg.CreateACLsResponseResult{ErrorCode: kerr.SecurityDisabled.Code, ErrorMessage: &noAuthorizer})
	}
	k.reply(resp)
}

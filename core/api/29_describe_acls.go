package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// noAuthorizer says why there are no ACLs.
var noAuthorizer = "there is no authorizer here: everybody may do everything"

// DescribeAcls (key 29), versions 1 to 3: as a Kafka without an authorizer. Not supported: authorizers.
func (k *call) describeAcls() {
	resp := kmsg.NewPtrDescribeACLsResponse()
	resp.ErrorCode, resp.ErrorMessage = kerr.SecurityDisabled.Code, &noAuthorizer
	k.reply(resp)
}

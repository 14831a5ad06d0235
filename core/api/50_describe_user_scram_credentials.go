package api

import (
	"fmt"

	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeUserScramCredentials (key 50), version 0, from the committed image (KIP-554): who has credentials, never which. On the
// controller's listener as well.
func (k *call) describeUserScramCredentials() {
	req := k.req.Body.(*kmsg.DescribeUserSCRAMCredentialsRequest)
	resp := kmsg.NewPtrDescribeUserSCRAMCredentialsResponse()
	if len(req.Users) == 0 {
		k.server.Image().ScramCredentials(func(c *metadata.UserScramCredentialRecord) bool {
			if n := len(resp.Results); n == 0 || resp.Results[n-1].User != c.User {
				resp.Results = append(resp.Results, k.describeScram(c.User))
			}
			return true
		})
		k.reply(resp)
		return
	}
	named := map[string]int{}
	for _, u := range req.Users {
		named[u.Name]++
	}
	for _, u := range req.Users {
		switch times := named[u.Name]; {
		case times == 1:
			resp.Results = append(resp.Results, k.describeScram(u.Name))
		case times > 1:
			resp.Results = append(resp.Results, scramFault(u.Name, fmt.Errorf("a user is described once in a request: %w", kerr.DuplicateResource)))
		}
		named[u.Name] = 0
	}
	k.reply(resp)
}

func (k *call) describeScram(user string) kmsg.DescribeUserSCRAMCredentialsResponseResult {
	r := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
	r.User = user
	for _, mechanism := range []int8{metadata.ScramSHA256, metadata.ScramSHA512} {
		if c := k.server.Image().ScramCredential(user, mechanism); c != nil {
			r.CredentialInfos = append(r.CredentialInfos, kmsg.DescribeUserSCRAMCredentialsResponseResultCredentialInfo{Mechanism: mechanism, Iterations: c.Iterations})
		}
	}
	if r.CredentialInfos == nil {
		return scramFault(user, fmt.Errorf("the user has no credentials: %w", kerr.ResourceNotFound))
	}
	return r
}

func scramFault(user string, err error) kmsg.DescribeUserSCRAMCredentialsResponseResult {
	r := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
	r.User, r.ErrorCode, r.ErrorMessage = user, wire.Code(err), messageOf(err)
	return r
}

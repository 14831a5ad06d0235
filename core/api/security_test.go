package api_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"github.com/lockstep/lockstep/core/metadata"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestSaslAndAclsAreAnsweredAsByABrokerWithoutThem(t *testing.T) {
	x := start(t, 1).client()
	for v := int16(0); v <= 1; v++ {
		req := kmsg.NewPtrSASLHandshakeRequest()
		req.Version, req.Mechanism = v, "PLAIN"
		x.code("handshake", ask[*kmsg.SASLHandshakeResponse](x, req).ErrorCode, kerr.IllegalSaslState)
	}
	for v := int16(0); v <= 2; v++ {
		req := kmsg.NewPtrSASLAuthenticateRequest()
		req.Version, req.SASLAuthBytes = v, []byte("x")
		x.code("authenticate", ask[*kmsg.SASLAuthenticateResponse](x, req).ErrorCode, kerr.IllegalSaslState)
	}
	for v := int16(1); v <= 2; v++ {
		renew, expire := kmsg.NewPtrRenewDelegationTokenRequest(), kmsg.NewPtrExpireDelegationTokenRequest()
		renew.Version, expire.Version = v, v
		x.code("renew a token", ask[*kmsg.RenewDelegationTokenResponse](x, renew).ErrorCode, kerr.DelegationTokenRequestNotAllowed)
		x.code("expire a token", ask[*kmsg.ExpireDelegationTokenResponse](x, expire).ErrorCode, kerr.DelegationTokenRequestNotAllowed)
	}
	for v := int16(1); v <= 3; v++ {
		describe, create, remove := kmsg.NewPtrDescribeACLsRequest(), kmsg.NewPtrCreateACLsRequest(), kmsg.NewPtrDeleteACLsRequest()
		describe.Version, create.Version, remove.Version = v, v, v
		create.Creations, remove.Filters = make([]kmsg.CreateACLsRequestCreation, 2), make([]kmsg.DeleteACLsRequestFilter, 2)
		x.code("describe", ask[*kmsg.DescribeACLsResponse](x, describe).ErrorCode, kerr.SecurityDisabled)
		created := ask[*kmsg.CreateACLsResponse](x, create).Results
		removed := ask[*kmsg.DeleteACLsResponse](x, remove).Results
		if len(created) != 2 || len(removed) != 2 {
			t.Fatalf("%v %v", created, removed)
		}
		token, tokens := kmsg.NewPtrCreateDelegationTokenRequest(), kmsg.NewPtrDescribeDelegationTokenRequest()
		token.Version, tokens.Version = v, v
		x.code("create a token", ask[*kmsg.CreateDelegationTokenResponse](x, token).ErrorCode, kerr.DelegationTokenRequestNotAllowed)
		x.code("describe tokens", ask[*kmsg.DescribeDelegationTokenResponse](x, tokens).ErrorCode, kerr.DelegationTokenRequestNotAllowed)
		x.code("create", created[1].ErrorCode, kerr.SecurityDisabled)
		x.code("delete", removed[1].ErrorCode, kerr.SecurityDisabled)
	}
}

// The verdicts are those of Apache Kafka 4.4.0.
func TestScramCredentialsAreKept(t *testing.T) {
	c := start(t, 3)
	x := c.dial(c.follower().id, clientPort)
	up := func(user string, mechanism int8, iterations int32) kmsg.AlterUserSCRAMCredentialsRequestUpsertion {
		return kmsg.AlterUserSCRAMCredentialsRequestUpsertion{Name: user, Mechanism: mechanism, Iterations: iterations, Salt: []byte("salt"), SaltedPassword: []byte("salted")}
	}
	alter := func(deletions []kmsg.AlterUserSCRAMCredentialsRequestDeletion, upsertions ...kmsg.AlterUserSCRAMCredentialsRequestUpsertion) []kmsg.AlterUserSCRAMCredentialsResponseResult {
		req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
		req.Deletions, req.Upsertions = deletions, upsertions
		return ask[*kmsg.AlterUserSCRAMCredentialsResponse](x, req).Results
	}
	got := alter([]kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: "gone", Mechanism: 1}, {Name: "both", Mechanism: 1}},
		up("a", 1, 4096), up("b", 2, 16384), up("few", 1, 4095), up("many", 1, 16385), up("", 1, 5000), up("other", 3, 5000), up("twice", 1, 5000), up("twice", 2, 5000), up("both", 2, 5000))
	unsalted := up("unsalted", 1, 4096)
	unsalted.SaltedPassword = nil
	x.code("no salted password", alter(nil, unsalted)[0].ErrorCode, kerr.UnacceptableCredential)
	want := map[string]*kerr.Error{"gone": kerr.ResourceNotFound, "both": kerr.ResourceNotFound, "a": nil, "b": nil, "few": kerr.UnacceptableCredential,
		"many": kerr.UnacceptableCredential, "": kerr.UnacceptableCredential, "other": kerr.UnsupportedSaslMechanism, "twice": kerr.DuplicateResource}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for _, r := range got {
		x.code("alter "+r.User, r.ErrorCode, want[r.User])
	}
	x.code("another mechanism", alter(nil, up("a", 2, 8192))[0].ErrorCode, nil)
	describe := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	x.until("committed here", func() bool {
		all := ask[*kmsg.DescribeUserSCRAMCredentialsResponse](x, describe).Results
		return len(all) == 2 && len(all[0].CredentialInfos) == 2
	})
	describe.Users = []kmsg.DescribeUserSCRAMCredentialsRequestUser{{Name: "a"}, {Name: "nobody"}, {Name: "b"}, {Name: "b"}}
	some := ask[*kmsg.DescribeUserSCRAMCredentialsResponse](x, describe).Results
	if len(some) != 3 || some[0].CredentialInfos[1].Mechanism != 2 || some[0].CredentialInfos[1].Iterations != 8192 {
		t.Fatalf("%+v", some)
	}
	for i, want := range []*kerr.Error{nil, kerr.ResourceNotFound, kerr.DuplicateResource} {
		x.code("describe "+some[i].User, some[i].ErrorCode, want)
	}
	c.checkStoredKey("a")
	x.code("delete", alter([]kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: "a", Mechanism: 1}})[0].ErrorCode, nil)
	if c.active().broker.Image().ScramCredential("a", 1) != nil || c.active().broker.Image().ScramCredential("a", 2) == nil {
		t.Error("another one was deleted")
	}
}

// checkStoredKey proves, as a server that asks for SCRAM would (RFC 5802), that who knows the salted password is let in.
func (c *cluster) checkStoredKey(user string) {
	mac := hmac.New(sha256.New, []byte("salted"))
	mac.Write([]byte("Client Key"))
	stored := sha256.Sum256(mac.Sum(nil))
	credential := c.active().broker.Image().ScramCredential(user, metadata.ScramSHA256)
	if !bytes.Equal(credential.StoredKey, stored[:]) || len(credential.ServerKey) != 32 || string(credential.Salt) != "salt" {
		c.Errorf("%+v", credential)
	}
}

package controller

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"hash"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/metadata"
)

// Bounds of the iterations of a SCRAM credential.
const (
	minScramIterations = 4096
	maxScramIterations = 16384
)

// AlterUserScramCredentials sets and removes what users prove their passwords with (KIP-554). Each user is judged alone; one that is named twice is not
// changed.
func (c *Controller) AlterUserScramCredentials(req *kmsg.AlterUserSCRAMCredentialsRequest, done func(*kmsg.AlterUserSCRAMCredentialsResponse)) {
	failed := func(err *kerr.Error) *kmsg.AlterUserSCRAMCredentialsResponse {
		resp := kmsg.NewPtrAlterUserSCRAMCredentialsResponse()
		for _, user := range scramUsers(req) {
			resp.Results = append(resp.Results, scramResult(user, refuse(err, err.Description)))
		}
		return resp
	}
	if !c.Active() {
		done(failed(kerr.NotController))
		return
	}
	faults, changes := map[string]*fault{}, map[string]metadata.Record{}
	note := func(user string, f *fault, r metadata.Record) {
		if changes[user] != nil {
			f = refuse(kerr.DuplicateResource, "a user is altered once in a request")
		}
		if faults[user] == nil {
			faults[user], changes[user] = f, r
		}
	}
	for i := range req.Deletions {
		d := &req.Deletions[i]
		note(d.Name, c.checkScramDeletion(d), &metadata.RemoveUserScramCredentialRecord{User: d.Name, Mechanism: d.Mechanism})
	}
	for i := range req.Upsertions {
		u := &req.Upsertions[i]
		note(u.Name, checkScramUpsertion(u), scramRecord(u))
	}
	var records []metadata.Record
	resp := kmsg.NewPtrAlterUserSCRAMCredentialsResponse()
	for _, user := range scramUsers(req) {
		if faults[user] == nil {
			records = append(records, changes[user])
		}
		resp.Results = append(resp.Results, scramResult(user, faults[user]))
	}
	answer(c, records, resp, failed, done)
}

// scramUsers are the users of a request, each once, in its order.
func scramUsers(req *kmsg.AlterUserSCRAMCredentialsRequest) (users []string) {
	seen := map[string]bool{}
	add := func(user string) {
		if !seen[user] {
			seen[user] = true
			users = append(users, user)
		}
	}
	for _, d := range req.Deletions {
		add(d.Name)
	}
	for _, u := range req.Upsertions {
		add(u.Name)
	}
	return users
}

func scramResult(user string, f *fault) kmsg.AlterUserSCRAMCredentialsResponseResult {
	r := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
	r.User = user
	if f != nil {
		r.ErrorCode, r.ErrorMessage = f.err.Code, f.told()
	}
	return r
}

func (c *Controller) checkScramDeletion(d *kmsg.AlterUserSCRAMCredentialsRequestDeletion) *fault {
	if f := checkScramUser(d.Name, d.Mechanism); f != nil {
		return f
	}
	if c.img.ScramCredential(d.Name, d.Mechanism) == nil {
		return refuse(kerr.ResourceNotFound, "the user has no such credential")
	}
	return nil
}

func checkScramUpsertion(u *kmsg.AlterUserSCRAMCredentialsRequestUpsertion) *fault {
	f := checkScramUser(u.Name, u.Mechanism)
	switch {
	case f != nil:
		return f
	case u.Iterations < minScramIterations:
		return refuse(kerr.UnacceptableCredential, "too few iterations")
	case u.Iterations > maxScramIterations:
		return refuse(kerr.UnacceptableCredential, "too many iterations")
	case len(u.SaltedPassword) == 0: // Kafka fails at it, too, with UNKNOWN_SERVER_ERROR
		return refuse(kerr.UnacceptableCredential, "no salted password")
	}
	return nil
}

func checkScramUser(user string, mechanism int8) *fault {
	switch {
	case user == "":
		return refuse(kerr.UnacceptableCredential, "the user has no name")
	case mechanism != metadata.ScramSHA256 && mechanism != metadata.ScramSHA512:
		return refuse(kerr.UnsupportedSaslMechanism, "unknown SCRAM mechanism")
	}
	return nil
}

// scramRecord keeps of a password what proves that a client knows it, and that the server does (RFC 5802, section 3).
func scramRecord(u *kmsg.AlterUserSCRAMCredentialsRequestUpsertion) *metadata.UserScramCredentialRecord {
	newHash := sha256.New
	if u.Mechanism == metadata.ScramSHA512 {
		newHash = sha512.New
	}
	stored := newHash()
	stored.Write(hmacOf(newHash, u.SaltedPassword, "Client Key"))
	return &metadata.UserScramCredentialRecord{
		User: u.Name, Mechanism: u.Mechanism, Salt: append([]byte{}, u.Salt...),
		StoredKey: stored.Sum(nil), ServerKey: hmacOf(newHash, u.SaltedPassword, "Server Key"), Iterations: u.Iterations,
	}
}

func hmacOf(newHash func() hash.Hash, key []byte, text string) []byte {
	mac := hmac.New(newHash, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

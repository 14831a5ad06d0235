package metadata

import (
	"cmp"
	"fmt"
)

// The SCRAM mechanisms, with the numbers of the protocol.
const (
	ScramSHA256 int8 = 1
	ScramSHA512 int8 = 2
)

func compareScram(a, b *UserScramCredentialRecord) int {
	return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Mechanism, b.Mechanism))
}

// ScramCredential returns a user's credential of a mechanism, or nil.
func (i *Image) ScramCredential(user string, mechanism int8) *UserScramCredentialRecord {
	r, _ := i.scram.Get(&UserScramCredentialRecord{User: user, Mechanism: mechanism})
	return r
}

// ScramCredentials calls f for each credential, by user and mechanism, until it answers false.
func (i *Image) ScramCredentials(f func(*UserScramCredentialRecord) bool) { i.scram.Ascend(f) }

func (i *Image) applyScram(r *UserScramCredentialRecord) {
	if old, ok := i.scram.ReplaceOrInsert(r); ok {
		i.hash -= i.hashRecord(old)
	}
	i.hash += i.hashRecord(r)
}

func (i *Image) applyRemoveScram(r *RemoveUserScramCredentialRecord) error {
	old, ok := i.scram.Delete(&UserScramCredentialRecord{User: r.User, Mechanism: r.Mechanism})
	if !ok {
		return fmt.Errorf("%w: no credential of user %q by mechanism %d", ErrInconsistent, r.User, r.Mechanism)
	}
	i.hash -= i.hashRecord(old)
	return nil
}

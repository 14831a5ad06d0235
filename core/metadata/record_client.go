package metadata

import (
	"encoding/binary"
	"math"

	"github.com/twmb/franz-go/pkg/kbin"
)

// EntityPart is one half of a quota's entity: a type ("user", "client-id", "ip") and a name; nil is the default of all.
type EntityPart struct {
	Type string
	Name *string
}

// ClientQuotaRecord (14) sets or removes one quota of an entity.
type ClientQuotaRecord struct {
	Entity []EntityPart
	Name   string // the record's key
	Value  float64
	Remove bool
}

// Key is 14.
func (*ClientQuotaRecord) Key() int16 { return KeyClientQuota }

// Version is 0.
func (*ClientQuotaRecord) Version() int16 { return 0 }

func (x *ClientQuotaRecord) append(dst []byte) []byte {
	dst = kbin.AppendCompactArrayLen(dst, len(x.Entity))
	for _, e := range x.Entity {
		dst = kbin.AppendCompactString(dst, e.Type)
		dst = kbin.AppendCompactNullableString(dst, e.Name)
		dst = append(dst, 0)
	}
	dst = kbin.AppendCompactString(dst, x.Name)
	dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(x.Value))
	dst = kbin.AppendBool(dst, x.Remove)
	return append(dst, 0)
}

func (x *ClientQuotaRecord) read(r *reader, _ int16) {
	n := r.arrayLen(3)
	if n < 0 {
		r.fail()
	}
	for ; n > 0 && !r.bad; n-- {
		e := EntityPart{r.string(), r.nullableString()}
		r.noTags()
		x.Entity = append(x.Entity, e)
	}
	x.Name, x.Value, x.Remove = r.string(), math.Float64frombits(uint64(r.int64())), r.bool()
	r.noTags()
}

// UserScramCredentialRecord (11) sets what a user proves its password with, by one mechanism.
type UserScramCredentialRecord struct {
	User                       string
	Mechanism                  int8
	Salt, StoredKey, ServerKey []byte
	Iterations                 int32
}

// Key is 11.
func (*UserScramCredentialRecord) Key() int16 { return KeyUserScramCredential }

// Version is 0.
func (*UserScramCredentialRecord) Version() int16 { return 0 }

func (x *UserScramCredentialRecord) append(dst []byte) []byte {
	dst = kbin.AppendCompactString(dst, x.User)
	dst = kbin.AppendInt8(dst, x.Mechanism)
	dst = kbin.AppendCompactBytes(dst, x.Salt)
	dst = kbin.AppendCompactBytes(dst, x.StoredKey)
	dst = kbin.AppendCompactBytes(dst, x.ServerKey)
	dst = kbin.AppendInt32(dst, x.Iterations)
	return append(dst, 0)
}

func (x *UserScramCredentialRecord) read(r *reader, _ int16) {
	x.User, x.Mechanism = r.string(), r.int8()
	x.Salt, x.StoredKey, x.ServerKey = r.bytes(), r.bytes(), r.bytes()
	x.Iterations = r.int32()
	r.noTags()
}

// RemoveUserScramCredentialRecord (22) removes one.
type RemoveUserScramCredentialRecord struct {
	User      string
	Mechanism int8
}

// Key is 22.
func (*RemoveUserScramCredentialRecord) Key() int16 { return KeyRemoveUserScramCredential }

// Version is 0.
func (*RemoveUserScramCredentialRecord) Version() int16 { return 0 }

func (x *RemoveUserScramCredentialRecord) append(dst []byte) []byte {
	dst = kbin.AppendCompactString(dst, x.User)
	dst = kbin.AppendInt8(dst, x.Mechanism)
	return append(dst, 0)
}

func (x *RemoveUserScramCredentialRecord) read(r *reader, _ int16) {
	x.User, x.Mechanism = r.string(), r.int8()
	r.noTags()
}

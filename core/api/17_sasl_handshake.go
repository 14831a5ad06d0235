package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// SaslHandshake (key 17), versions 0 and 1: no listener asks for SASL, so nobody has to prove who they are, and it is not the time
// to. Not supported: SASL.
func (k *call) saslHandshake() {
	resp := kmsg.NewPtrSASLHandshakeResponse()
	resp.ErrorCode = kerr.IllegalSaslState.Code
	k.reply(resp)
}

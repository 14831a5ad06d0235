package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// SaslAuthenticate (key 36), versions 0 to 2: as SaslHandshake.
func (k *call) saslAuthenticate() {
	resp := kmsg.NewPtrSASLAuthenticateResponse()
	why := "this listener does not ask for SASL"
	resp.ErrorCode, resp.ErrorMessage = kerr.IllegalSaslState.Code, &why
	k.reply(resp)
}

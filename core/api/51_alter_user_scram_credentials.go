package api

// AlterUserScramCredentials (key 51), version 0: decided by the active controller, to which brokers forward it (KIP-554). The credentials are
// kept; no listener asks for them yet.
func (k *call) alterUserScramCredentials() { k.forwardToController() }

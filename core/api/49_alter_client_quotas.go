package api

// AlterClientQuotas (key 49), versions 0 and 1: decided by the active controller, to which brokers forward it (KIP-546).
func (k *call) alterClientQuotas() { k.forwardToController() }

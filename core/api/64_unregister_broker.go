package api

// UnregisterBroker (key 64), version 0: decided by the active controller, to which brokers forward it. A broker that is
// still alive registers again (KIP-500).
func (k *call) unregisterBroker() { k.forwardToController() }

package api

// ElectLeaders (key 43), versions 0 to 2: decided by the active controller, to which brokers forward it. Null topics are all
// partitions; version 0 knows the preferred leader only, and has no error of its own (KIP-183, KIP-460).
func (k *call) electLeaders() { k.forwardToController() }

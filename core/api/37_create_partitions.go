package api

// CreatePartitions (key 37), versions 0 to 3: decided by the active controller, to which brokers forward it.
func (k *call) createPartitions() { k.forwardToController() }

package api

// UpdateFeatures (key 57), versions 0 to 2: decided by the active controller, to which brokers forward it (KIP-584). A
// client without version 2 gets a result for each feature.
func (k *call) updateFeatures() { k.forwardToController() }

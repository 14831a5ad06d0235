package api

// CreateTopics (key 19), versions 2 to 7: decided by the active controller, to which brokers forward it.
func (k *call) createTopics() { k.forwardToController() }

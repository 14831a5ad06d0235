package api

// DeleteTopics (key 20), versions 1 to 6: decided by the active controller, to which brokers forward it.
func (k *call) deleteTopics() { k.forwardToController() }

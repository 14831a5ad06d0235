package api

// IncrementalAlterConfigs (key 44), versions 0 and 1: decided by the active controller, to which brokers forward
// it. Topic configs only; a broker's come from its file.
func (k *call) incrementalAlterConfigs() { k.forwardToController() }

package api

// AlterPartitionReassignments (key 45), versions 0 and 1: decided by the active controller, to which brokers forward it
// (KIP-455, KIP-860).
func (k *call) alterPartitionReassignments() { k.forwardToController() }

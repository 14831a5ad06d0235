package api

// ListPartitionReassignments (key 46), version 0: answered by the active controller, to which brokers forward it, so that a
// tool sees the reassignment that it has just begun (KIP-455).
func (k *call) listPartitionReassignments() { k.forwardToController() }

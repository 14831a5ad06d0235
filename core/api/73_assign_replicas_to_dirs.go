package api

// AssignReplicasToDirs (key 73), version 0: a broker tells in which of its log directories replicas are (KIP-858).
func (k *call) assignReplicasToDirs() { k.answerAsController() }

package api

// AlterPartition (key 56), versions 2 and 3: a leader proposes an ISR (KIP-497, KIP-841, KIP-903).
func (k *call) alterPartition() { k.answerAsController() }

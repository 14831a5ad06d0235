package api

// AllocateProducerIds (key 67), version 0: a broker takes a block of producer ids (KIP-730).
func (k *call) allocateProducerIDs() { k.answerAsController() }

package api

// BrokerHeartbeat (key 63), versions 0 to 2: a broker says that it lives, and whether it wants to stop (KIP-631).
func (k *call) brokerHeartbeat() { k.answerAsController() }

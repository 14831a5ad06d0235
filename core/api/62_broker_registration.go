package api

// BrokerRegistration (key 62), versions 0 to 4: a broker joins the cluster (KIP-631).
func (k *call) brokerRegistration() { k.answerAsController() }

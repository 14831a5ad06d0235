package controller

import "github.com/lockstep/lockstep/core/metadata"

// shutdownRecords begin a broker's controlled shutdown: it leaves all ISRs and its leaderships move,
// and until it is fenced it may not join an ISR again (KIP-841).
func (c *Controller) shutdownRecords(b *metadata.Broker) []metadata.Record {
	var records []metadata.Record
	if !b.InControlledShutdown {
		records = append(records, &metadata.BrokerRegistrationChangeRecord{
			BrokerID: b.ID, BrokerEpoch: b.Epoch, InControlledShutdown: metadata.EnterShutdown,
		})
	}
	return c.leaderUpdates(records, leaderUpdate{remove: b.ID, add: none, uncleanShutdown: none})
}

// duringShutdown lets a broker go once it leads nothing and all active brokers know that: else the
// new leaders would not lead yet when it is gone.
func (c *Controller) duringShutdown(b *metadata.Broker, s *session) controlState {
	if c.hasLeaderships(b.ID) || s.shutdownOffset > c.lowestActiveOffset() {
		return stateControlledShutdown
	}
	return stateShutdownNow
}

// noteShutdown remembers, once, up to where the others must have read before the broker may go.
func (c *Controller) noteShutdown(s *session, next controlState) {
	if next == stateControlledShutdown && s.shutdownOffset < 0 {
		s.shutdownOffset = c.nextOffset - 1
	}
}

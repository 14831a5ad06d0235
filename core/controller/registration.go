package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/metadata"
)

// noEpoch is the epoch of a broker that was never registered; clients send -1 for "unknown".
const noEpoch int64 = -2

// RegisterBroker registers an incarnation of a broker, fenced, and gives it its epoch: the offset of
// the registration.
//
// A new incarnation ends the old one: it leaves all ISRs, and, unless it names the old one's epoch as
// that of a clean shutdown, all ELRs too: what it had not synced may be gone (KIP-966). The same
// incarnation gets the same epoch again, since its first answer may have been lost.
func (c *Controller) RegisterBroker(req *kmsg.BrokerRegistrationRequest, done func(*kmsg.BrokerRegistrationResponse)) {
	if !c.Active() {
		done(registrationError(kerr.NotController))
		return
	}
	r, err := c.checkRegistration(req)
	if err != nil {
		answer(c, nil, registrationError(err), registrationError, done)
		return
	}
	var records []metadata.Record
	old := c.img.Broker(req.BrokerID)
	if old != nil && old.IncarnationID == req.IncarnationID {
		r.BrokerEpoch, r.Fenced, r.InControlledShutdown = old.Epoch, old.Fenced, old.InControlledShutdown
		r.CordonedLogDirs = old.CordonedDirs
	} else {
		records = c.endIncarnation(old, req)
		r.BrokerEpoch = c.nextOffset + int64(len(records))
		c.sessions.remove(req.BrokerID)
	}
	resp := kmsg.NewPtrBrokerRegistrationResponse()
	resp.BrokerEpoch = r.BrokerEpoch
	answerInParts(c, append(records, r), resp, registrationError, done)
}

func registrationError(err *kerr.Error) *kmsg.BrokerRegistrationResponse {
	resp := kmsg.NewPtrBrokerRegistrationResponse()
	resp.ErrorCode = err.Code
	return resp
}

// endIncarnation cleans up after an incarnation that is gone. old is nil if there was none.
//
// One whose disk was wiped or replaced has no mark of a clean shutdown to show, even if there was one: it names no previous
// epoch, and so it leaves the ELRs too. If it was its only one, its replicas are said to be in its new directory at once, where Kafka's brokers
// tell that themselves (AssignReplicasToDirs, KIP-858); they could not lead else. Of several, one that is missing may only be offline.
//
// A clean shutdown says nothing of a directory that is not there any more:
//
// Example 1: A and B are eligible to lead, nobody is in sync. B's first directory fails, with the replica. B is stopped cleanly and comes back with
// its second one alone, in which it makes an empty log. As the leader it would have A truncate all that is committed. (Kafka's controller leaves B eligible.)
func (c *Controller) endIncarnation(old *metadata.Broker, req *kmsg.BrokerRegistrationRequest) []metadata.Record {
	oldEpoch := noEpoch
	if old != nil {
		oldEpoch = old.Epoch
	}
	u := leaderUpdate{remove: req.BrokerID, add: none, uncleanShutdown: none}
	if (old == nil || len(old.Dirs) == 1) && len(req.LogDirs) == 1 {
		u.home = &home{req.BrokerID, req.LogDirs}
	}
	unclean := u
	unclean.remove, unclean.uncleanShutdown = none, req.BrokerID
	switch {
	case !c.elrEnabled():
		return c.leaderUpdates(nil, u)
	case req.Version < 3 || req.PreviousBrokerEpoch != oldEpoch:
		return c.leaderUpdates(nil, unclean)
	}
	lost := func(p *metadata.Partition) bool { return hasLost(req, p) }
	records := c.leaderUpdatesOf(nil, u, func(p *metadata.Partition) bool { return !lost(p) && u.concerns(p) })
	return c.leaderUpdatesOf(records, unclean, func(p *metadata.Partition) bool { return lost(p) && unclean.concerns(p) })
}

// hasLost reports whether the registering broker comes without the directory that had its replica.
func hasLost(req *kmsg.BrokerRegistrationRequest, p *metadata.Partition) bool {
	dir := p.Dir(req.BrokerID)
	return dir == metadata.DirLost || !isReservedID(dir) && !slices.Contains(req.LogDirs, dir)
}

// checkRegistration returns the record of a registration, without its epoch, or why it is refused.
//
// DUPLICATE_BROKER_REGISTRATION: another process with this id is alive and unfenced. After a crash
// it goes away when the old session expires. A broker that has found the mark of its last incarnation's clean shutdown
// need not wait: the last to leave a cluster found no quorum to tell.
func (c *Controller) checkRegistration(req *kmsg.BrokerRegistrationRequest) (*metadata.RegisterBrokerRecord, *kerr.Error) {
	old := c.img.Broker(req.BrokerID)
	switch {
	case c.cfg.ClusterID != "" && req.ClusterID != c.cfg.ClusterID:
		return nil, kerr.InconsistentClusterID
	case req.IsMigratingZkBroker:
		return nil, kerr.BrokerIDNotRegistered
	case old != nil && !old.Fenced && old.IncarnationID != req.IncarnationID && !endedCleanly(old, req) && c.sessions.alive(old.ID, old.Epoch):
		return nil, kerr.DuplicateBrokerRegistration
	case !c.validDirs(req):
		return nil, kerr.InvalidRegistration
	}
	features, err := c.supportedFeatures(req.Features)
	if err != nil {
		return nil, err
	}
	return &metadata.RegisterBrokerRecord{
		BrokerID: req.BrokerID, IncarnationID: req.IncarnationID, EndPoints: endpoints(req.Listeners),
		Features: features, Rack: req.Rack, Fenced: true, LogDirs: slices.Clone(req.LogDirs),
	}, nil
}

// endedCleanly reports whether the registering broker knows that the incarnation before it, old, shut down cleanly (KIP-966).
func endedCleanly(old *metadata.Broker, req *kmsg.BrokerRegistrationRequest) bool {
	return req.Version >= 3 && req.PreviousBrokerEpoch == old.Epoch
}

func endpoints(listeners []kmsg.BrokerRegistrationRequestListener) []metadata.Endpoint {
	out := make([]metadata.Endpoint, len(listeners))
	for n, l := range listeners {
		out[n] = metadata.Endpoint{Name: l.Name, Host: l.Host, Port: l.Port, Protocol: l.SecurityProtocol}
	}
	return out
}

// validDirs reports whether the directories are real, distinct, and no other broker's (KIP-858).
// Version 1 of the request has none.
func (c *Controller) validDirs(req *kmsg.BrokerRegistrationRequest) bool {
	if len(req.LogDirs) == 0 {
		return false
	}
	for n, dir := range req.LogDirs {
		if isReservedID(dir) || slices.Contains(req.LogDirs[:n], dir) {
			return false
		}
	}
	free := true
	c.img.Brokers(func(b *metadata.Broker) bool {
		shared := slices.ContainsFunc(b.Dirs, func(d [16]byte) bool { return slices.Contains(req.LogDirs, d) })
		free = b.ID == req.BrokerID || !shared
		return free
	})
	return free
}

// isReservedID reports whether an id is one of the hundred that Kafka keeps for itself.
func isReservedID(id [16]byte) bool {
	return [15]byte(id[:15]) == [15]byte{} && id[15] < 100
}

// UnregisterBroker forgets a broker: it leaves all ISRs and ELRs.
func (c *Controller) UnregisterBroker(req *kmsg.UnregisterBrokerRequest, done func(*kmsg.UnregisterBrokerResponse)) {
	if !c.Active() {
		done(unregisterError(kerr.NotController))
		return
	}
	b := c.img.Broker(req.BrokerID)
	if b == nil {
		answer(c, nil, unregisterError(kerr.BrokerIDNotRegistered), unregisterError, done)
		return
	}
	records := c.leaderUpdates(nil, leaderUpdate{remove: none, add: none, uncleanShutdown: b.ID})
	records = append(records, &metadata.UnregisterBrokerRecord{BrokerID: b.ID, BrokerEpoch: b.Epoch})
	c.sessions.remove(b.ID)
	answerInParts(c, records, kmsg.NewPtrUnregisterBrokerResponse(), unregisterError, done)
}

func unregisterError(err *kerr.Error) *kmsg.UnregisterBrokerResponse {
	resp := kmsg.NewPtrUnregisterBrokerResponse()
	resp.ErrorCode, resp.ErrorMessage = err.Code, &err.Description
	return resp
}

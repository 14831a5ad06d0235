package metadata

import "slices"

// Broker is a registered broker.
type Broker struct {
	ID                   int32
	Epoch                int64 // offset of its registration; names this incarnation in all requests
	IncarnationID        [16]byte
	Dirs                 [][16]byte
	CordonedDirs         [][16]byte // nil: not yet known
	Endpoints            []Endpoint
	Features             []SupportedFeature
	Rack                 string // "": none
	Fenced               bool
	InControlledShutdown bool

	migratingZk bool
	hash        uint64
}

// Active reports whether the broker may join ISRs and be elected (KIP-841).
func (b *Broker) Active() bool { return !b.Fenced && !b.InControlledShutdown }

// HasOnlineDir reports whether a replica in that directory can be there: it is online, or not known yet (KIP-858).
func (b *Broker) HasOnlineDir(dir [16]byte) bool {
	return dir == DirMigrating || dir == DirUnassigned || slices.Contains(b.Dirs, dir)
}

// Endpoint returns the broker's endpoint of a listener name.
func (b *Broker) Endpoint(listener string) (Endpoint, bool) {
	for _, e := range b.Endpoints {
		if e.Name == listener {
			return e, true
		}
	}
	return Endpoint{}, false
}

func newBroker(r *RegisterBrokerRecord) *Broker {
	b := &Broker{
		ID: r.BrokerID, Epoch: r.BrokerEpoch, IncarnationID: r.IncarnationID,
		Dirs: r.LogDirs, CordonedDirs: r.CordonedLogDirs, Endpoints: r.EndPoints, Features: r.Features,
		Fenced: r.Fenced, InControlledShutdown: r.InControlledShutdown, migratingZk: r.IsMigratingZkBroker,
	}
	if r.Rack != nil {
		b.Rack = *r.Rack
	}
	return b
}

// Record returns the registration that recreates the broker.
func (b *Broker) Record() *RegisterBrokerRecord {
	r := &RegisterBrokerRecord{
		BrokerID: b.ID, BrokerEpoch: b.Epoch, IncarnationID: b.IncarnationID,
		LogDirs: b.Dirs, CordonedLogDirs: b.CordonedDirs, EndPoints: b.Endpoints, Features: b.Features,
		Fenced: b.Fenced, InControlledShutdown: b.InControlledShutdown, IsMigratingZkBroker: b.migratingZk,
	}
	if b.Rack != "" {
		r.Rack = &b.Rack
	}
	return r
}

// Controller is a registered controller (KIP-919).
type Controller struct {
	ID            int32
	IncarnationID [16]byte
	Endpoints     []Endpoint
	Features      []SupportedFeature

	zkReady bool
	hash    uint64
}

// Record returns the registration that recreates the controller.
func (c *Controller) Record() *RegisterControllerRecord {
	return &RegisterControllerRecord{
		ControllerID: c.ID, IncarnationID: c.IncarnationID, ZkMigrationReady: c.zkReady,
		EndPoints: c.Endpoints, Features: c.Features,
	}
}

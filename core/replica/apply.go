package replica

import (
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/network"
)

// Apply makes the hosted partitions what the image says. d names what changed since the last call;
// nil means anything may have.
//
// Nothing happens before an image contains this incarnation's registration (SetBrokerEpoch): an
// older image may say that we lead what others lead by now, and would make logs of topics created
// since look like strays, which are deleted.
func (m *Manager) Apply(img *metadata.Image, d *metadata.Delta) {
	if m.stopped {
		return
	}
	m.image = img
	if !m.started {
		if !m.isRegistered(img) {
			return
		}
		m.started, d = true, nil
	}
	if d == nil {
		m.configure()
		m.applyBrokers()
		m.applyAll()
		return
	}
	m.applyDelta(d)
}

func (m *Manager) applyDelta(d *metadata.Delta) {
	if len(d.Brokers) > 0 {
		m.applyBrokers()
	}
	for _, id := range d.Partitions {
		if reg := m.image.Partition(id); reg != nil {
			m.applyPartition(reg, m.hasNoLog(d, id))
		} else if p := m.byID.get(id); p != nil {
			m.drop(p)
		}
	}
	for _, key := range d.Configs {
		m.applyConfig(key)
	}
}

// hasNoLog reports whether this broker, which has not hosted a partition so far, has no log of it. What a directory had that failed since the start is known, see
// storage.Manager.HasLost. What one has that could not be read at the start is not: then only a partition that was created since has none.
//
// Counter-example: the disk with B's replica cannot be read. The partition goes to C and returns to B, which makes a log of it on another disk. With the first disk
// back B finds two, and does not start.
func (m *Manager) hasNoLog(d *metadata.Delta, id event.Partition) bool {
	if !m.hasUnread {
		return true
	}
	_, created := slices.BinarySearchFunc(d.Created, id, event.Partition.Compare)
	return created
}

// configure takes what is configured of the broker as a whole and may change.
func (m *Manager) configure() {
	m.verifies = m.cfg.TransactionVerification()
	m.cleaner.SetConfig(m.cfg.Cleaner())
}

// applyConfig has the manager and the partitions look at their configuration again that a change may concern.
func (m *Manager) applyConfig(key metadata.ResourceKey) {
	if key.Type == metadata.ResourceBroker {
		m.configure()
	}
	for _, p := range m.partitions {
		if key.Type == metadata.ResourceBroker || key.Type == metadata.ResourceTopic && key.Name == p.id.Topic {
			p.onConfigChanged()
		}
	}
}

func (m *Manager) isRegistered(img *metadata.Image) bool {
	b := img.Broker(m.cfg.NodeID)
	return b != nil && m.brokerEpoch >= 0 && b.Epoch == m.brokerEpoch
}

// applyAll walks the whole image, then removes what is hosted, or lies on disk, without being in it. Any
// topic's configuration may be another.
func (m *Manager) applyAll() {
	m.image.Partitions(func(reg *metadata.Partition) bool {
		m.applyPartition(reg, false)
		return true
	})
	for _, p := range slices.Clone(m.partitions) {
		if !m.hosts(p.id, p.topicID) {
			m.drop(p)
			continue
		}
		p.onConfigChanged()
	}
	var strays []*storage.Log
	m.logs.Each(func(l *storage.Log) {
		if id := l.Partition(); m.byID.get(id) == nil && id != event.MetadataPartition {
			strays = append(strays, l)
		}
	})
	for _, l := range strays {
		m.deleteStray(l)
	}
}

// deleteStray removes a log that was found on the disk and that is not hosted any more.
func (m *Manager) deleteStray(l *storage.Log) {
	m.env.Event.Emit(&event.Event{Kind: event.ReplicaRemoved, Partition: l.Partition(), TopicID: l.TopicID(), Peer: -1, Epoch: -1, Offset: -1})
	m.logs.DeleteFuture(l.Partition(), func(error) {})
	m.deleteLog(l.Partition())
}

// hosts reports whether the image assigns this incarnation of the partition to this broker.
func (m *Manager) hosts(id event.Partition, topicID [16]byte) bool {
	reg := m.image.Partition(id)
	return reg != nil && reg.TopicID == topicID && reg.HasReplica(m.cfg.NodeID)
}

// applyPartition follows one partition. isNew: if it was not hosted, this broker has no log of it, in no directory.
func (m *Manager) applyPartition(reg *metadata.Partition, isNew bool) {
	id := reg.Key()
	p := m.byID.get(id)
	if p != nil && p.topicID != reg.TopicID {
		m.drop(p) // deleted and created again under the same name: not one record is shared
		p = nil
	}
	if !reg.HasReplica(m.cfg.NodeID) {
		if p != nil {
			m.drop(p)
		}
		return
	}
	if p == nil {
		p = m.host(id, reg.TopicID, isNew)
	}
	p.apply(reg)
}

func (m *Manager) host(id event.Partition, topicID [16]byte, isNew bool) *Partition {
	p := newPartition(m, id, topicID)
	p.isNew = isNew
	m.byID.put(p)
	at, _ := slices.BinarySearchFunc(m.partitions, id, comparePartition)
	m.partitions = slices.Insert(m.partitions, at, p)
	m.openLog(p)
	return p
}

func comparePartition(p *Partition, id event.Partition) int { return p.id.Compare(id) }

// drop stops hosting p and deletes its log.
func (m *Manager) drop(p *Partition) {
	m.byID.remove(p.id)
	if at, found := slices.BinarySearchFunc(m.partitions, p.id, comparePartition); found {
		m.partitions = slices.Delete(m.partitions, at, at+1)
	}
	p.remove()
	m.env.Event.Emit(&event.Event{Kind: event.ReplicaRemoved, Partition: p.id, TopicID: p.topicID, Peer: -1, Epoch: p.leaderEpoch, Offset: -1})
	m.logs.DeleteFuture(p.id, func(error) {})
	m.deleteLog(p.id)
}

func (m *Manager) applyBrokers() {
	m.brokers = m.brokers[:0]
	m.image.Brokers(func(b *metadata.Broker) bool {
		m.brokers = append(m.brokers, brokerInfo{
			id: b.ID, epoch: b.Epoch, eligible: b.Active(), addr: m.endpoint(b), registered: b,
		})
		return true
	})
	for _, f := range m.fetchers {
		f.updateAddr()
	}
	for _, p := range m.partitions {
		if p.lead != nil {
			p.onBrokersChanged()
		}
	}
}

func (m *Manager) broker(id int32) *brokerInfo {
	at := sort.Search(len(m.brokers), func(i int) bool { return m.brokers[i].id >= id })
	if at == len(m.brokers) || m.brokers[at].id != id {
		return nil
	}
	return &m.brokers[at]
}

// isEligible reports whether a broker that fetched with this epoch may join p's ISR (KIP-841, KIP-903), and has the log directory that
// its replica is in.
//
// Counter-example to leaving the epoch out: B, in the ISR, loses its disk and restarts; the fetch it sent before still
// says that it has everything.
//
// Counter-example to leaving the directory out, as Kafka does: one of B's directories fails, the controller takes B out of the ISR at once, and
// yet nothing is committed for replica.lag.time.max.ms: B was caught up a moment ago and seems about to join again.
func (p *Partition) isEligible(id int32, fetchedWith int64) bool {
	b := p.m.broker(id)
	return b != nil && b.eligible && (fetchedWith == -1 || fetchedWith == b.epoch) && (p.reg == nil || b.registered.HasOnlineDir(p.reg.Dir(id)))
}

// endpoint is where to fetch from a broker.
func (m *Manager) endpoint(b *metadata.Broker) network.Addr {
	e, found := b.Endpoint(m.cfg.InterBrokerListener)
	if !found && len(b.Endpoints) > 0 {
		e, found = b.Endpoints[0], true
	}
	if !found {
		return ""
	}
	host := e.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]" // IPv6
	}
	return network.Addr(host + ":" + strconv.Itoa(int(e.Port)))
}

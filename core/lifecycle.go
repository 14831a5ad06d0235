package core

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	registerRetry    = 100 * time.Millisecond // between tries to register
	catchUpInterval  = 50 * time.Millisecond  // between heartbeats of a broker that waits to be unfenced or released
	shutdownPatience = 30 * time.Second       // longest wait for the controller's leave to stop
)

// lifecycle is a broker's membership: registered, then unfenced by heartbeats that show it caught up, and
// at the end released by the controller (KIP-631).
type lifecycle struct {
	broker      *Broker
	incarnation [16]byte
	epoch       int64 // of the registration; -1 before it
	unfenced    bool
	ready       func()
	released    func() // not nil: a controlled shutdown is under way
	timer       scheduler.Timer
	asking      bool              // one request to the controller at a time
	changed     bool              // the controller changed while we asked
	answered    scheduler.Instant // when the controller last did, or the shutdown began
	untold      bool              // a directory failed of which the controller has not heard
	untoldTimer scheduler.Timer
	stopped     bool
	rand        *rand.Rand
}

func newLifecycle(b *Broker, ready func()) *lifecycle {
	l := &lifecycle{broker: b, epoch: -1, ready: ready, rand: b.env.Rand("broker lifecycle")}
	for i := range l.incarnation {
		l.incarnation[i] = byte(l.rand.Uint32())
	}
	return l
}

func (l *lifecycle) start() {
	l.timer = l.broker.env.Loop.AfterFunc(0, l.tick)
}

// stop ends it without a word; the session will time out.
func (l *lifecycle) stop() {
	l.stopped = true
	l.timer.Stop()
}

// abort is stop for a node that failed: a shutdown under way waits for nobody any more.
func (l *lifecycle) abort() {
	if l.released != nil {
		l.release()
		return
	}
	l.stop()
}

// onController is called when the quorum's leader changed: there may be somebody to talk to now, and the new controller has
// heard nothing of this broker yet.
func (l *lifecycle) onController() {
	if !l.stopped {
		l.changed = true
		l.timer.Reset(0)
	}
}

func (l *lifecycle) tick() {
	switch {
	case l.stopped || l.asking:
	case l.epoch < 0:
		l.register()
	default:
		l.heartbeat()
	}
}

func (l *lifecycle) ask(req kmsg.Request, done func(kmsg.Response, error)) {
	l.asking, l.changed = true, false
	l.broker.server.AskController(req, func(resp kmsg.Response, err error) {
		l.asking = false
		if !l.stopped {
			done(resp, err)
		}
	})
}

func (l *lifecycle) register() {
	l.ask(l.registration(), func(resp kmsg.Response, err error) {
		if err == nil {
			err = kerr.ErrorForCode(resp.(*kmsg.BrokerRegistrationResponse).ErrorCode)
		}
		if err != nil {
			l.onRegistrationRefused(err)
			return
		}
		l.epoch = resp.(*kmsg.BrokerRegistrationResponse).BrokerEpoch
		l.broker.replicas.SetBrokerEpoch(l.epoch)
		l.heartbeat()
	})
}

// onRegistrationRefused tries again: at once if the refusal is that of a controller that has changed since.
func (l *lifecycle) onRegistrationRefused(err error) {
	l.broker.rejected("registration", err)
	if l.changed {
		l.again(0)
		return
	}
	l.again(registerRetry)
}

func (l *lifecycle) registration() *kmsg.BrokerRegistrationRequest {
	b := l.broker
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.BrokerID, req.ClusterID, req.IncarnationID = b.cfg.NodeID, b.meta.ClusterID, l.incarnation
	req.PreviousBrokerEpoch = b.logs.CleanShutdownEpoch()
	for _, d := range b.dirs {
		if d.IsOnline() {
			req.LogDirs = append(req.LogDirs, d.ID)
		}
	}
	if b.cfg.Rack != "" {
		req.Rack = &b.cfg.Rack
	}
	for _, at := range b.advertised() {
		listener := kmsg.NewBrokerRegistrationRequestListener()
		listener.Name, listener.Host, listener.Port = at.Name, at.Host, uint16(at.Port)
		req.Listeners = append(req.Listeners, listener)
	}
	req.Features = b.supportedFeatures()
	return req
}

func (l *lifecycle) heartbeat() {
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.BrokerID, req.BrokerEpoch = l.broker.cfg.NodeID, l.epoch
	req.CurrentMetadataOffset = l.broker.Image().Offset() - 1
	req.WantShutdown = l.released != nil
	req.OfflineLogDirs = l.broker.offlineDirs()
	told := len(req.OfflineLogDirs)
	l.ask(req, func(resp kmsg.Response, err error) { l.onHeartbeat(resp, err, told) })
}

// onLogDirOffline tells the controller at once that a directory failed (KIP-858). If that cannot be done for
// log.dir.failure.timeout.ms the broker stops: others may wait for it to lead what it cannot.
func (l *lifecycle) onLogDirOffline(err error) {
	if l.stopped {
		return
	}
	l.untold = true
	if l.untoldTimer == nil {
		l.untoldTimer = l.broker.env.Loop.AfterFunc(l.broker.cfg.LogDirFailureTimeout, func() {
			if l.untold && !l.stopped {
				l.broker.onUntoldFailure(err)
			}
		})
	}
	l.timer.Reset(0)
}

// onLogDirOffline is called when a directory failed and the broker goes on.
func (b *Broker) onLogDirOffline(err error) {
	if b.lifecycle != nil {
		b.lifecycle.onLogDirOffline(err)
	}
}

func (b *Broker) offlineDirs() (ids [][16]byte) {
	for _, d := range b.dirs {
		if !d.IsOnline() && d.ID != [16]byte{} {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// onUntoldFailure stops the broker.
func (b *Broker) onUntoldFailure(err error) {
	err = fmt.Errorf("the controller could not be told that a log directory failed: %w", err)
	b.env.Event.Emit(&event.Event{Kind: event.LogDirFailed, Peer: -1, Epoch: -1, Offset: -1, Note: err.Error()})
	b.fail(err)
}

// onTold notes that the controller has heard of the first so many directories that failed.
func (l *lifecycle) onTold(count int) {
	if !l.untold || count < len(l.broker.offlineDirs()) {
		return
	}
	l.untold = false
	l.untoldTimer.Stop()
	l.untoldTimer = nil
}

func (l *lifecycle) onHeartbeat(msg kmsg.Response, err error, told int) {
	if err == nil {
		err = kerr.ErrorForCode(msg.(*kmsg.BrokerHeartbeatResponse).ErrorCode)
	}
	switch {
	case err == kerr.StaleBrokerEpoch || err == kerr.BrokerIDNotRegistered:
		l.broker.rejected("heartbeat", err)
		l.fenced()
		return
	case err != nil:
		l.onSilence()
		return
	}
	l.answered = l.broker.env.Loop.Now()
	l.onTold(told)
	resp := msg.(*kmsg.BrokerHeartbeatResponse)
	if l.released != nil && resp.ShouldShutdown {
		l.release()
		return
	}
	wasUnfenced := l.unfenced
	l.unfenced = !resp.IsFenced
	if l.unfenced && !wasUnfenced && l.ready != nil {
		l.ready()
		l.ready = nil
	}
	if l.unfenced && l.released == nil && !l.untold {
		interval := l.broker.cfg.HeartbeatInterval
		if x := l.broker.env.Buggify; x.Fires(buggify.HeartbeatLate) {
			interval += x.Delay(buggify.HeartbeatLate, interval)
		}
		l.again(interval)
		return
	}
	l.again(catchUpInterval)
}

// onSilence is a heartbeat without an answer. During a shutdown it does not wait long: the controllers may be
// stopping too.
func (l *lifecycle) onSilence() {
	if l.released != nil && l.broker.env.Loop.Now().Sub(l.answered) > l.broker.cfg.QuorumFetchTimeout {
		l.release()
		return
	}
	l.again(catchUpInterval * 2)
}

// fenced starts over with a new registration: the controller no longer knows this one.
func (l *lifecycle) fenced() {
	l.epoch, l.unfenced = -1, false
	if l.released != nil {
		l.release() // nothing is led under a registration that is gone
		return
	}
	l.again(registerRetry)
}

func (l *lifecycle) again(d time.Duration) { l.timer.Reset(d) }

// shutDown asks the controller to move leaderships away; done runs when it has, or when it takes too long.
func (l *lifecycle) shutDown(done func()) {
	if l.stopped || l.epoch < 0 {
		done()
		return
	}
	l.released, l.answered = done, l.broker.env.Loop.Now()
	l.broker.env.Loop.AfterFunc(shutdownPatience, l.release)
	l.timer.Reset(0)
}

func (l *lifecycle) release() {
	if l.stopped {
		return
	}
	l.stop()
	l.released()
}

// assignDirs tells the controller in which directories this broker's replicas are.
func (b *Broker) assignDirs(req *kmsg.AssignReplicasToDirsRequest, done func(*kmsg.AssignReplicasToDirsResponse, error)) {
	b.server.AskController(req, func(resp kmsg.Response, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		done(resp.(*kmsg.AssignReplicasToDirsResponse), nil)
	})
}

// alterPartition carries the ISR proposals of this broker's leaders to the controller.
func (b *Broker) alterPartition(req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error)) {
	b.server.AskController(req, func(resp kmsg.Response, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		done(resp.(*kmsg.AlterPartitionResponse), nil)
	})
}

package sim

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The troubles of a member, which come by themselves while the schedule's faults strike:
//
// it crashes, and somebody new comes after a while; a static one takes the place that it had;
//
// it leaves, and comes back;
//
// it stalls: a zombie that sends no heartbeats, and when it wakes commits what it believes to own.

// troubleLater has the next trouble come at some time.
func (m *member) troubleLater() {
	if m.o.Churn == 0 {
		return
	}
	m.loop.After(1+time.Duration(m.churn.Int64N(2*int64(m.o.Churn))), m.trouble)
}

// trouble is the next trouble. It draws the same whatever the member is about.
func (m *member) trouble() {
	what, d := m.churn.IntN(4), m.o.Session/4+time.Duration(m.churn.Int64N(2*int64(m.o.Session)))
	m.troubleLater()
	if !m.active || m.stalled || m.state == out {
		return
	}
	switch {
	case what == 0:
		m.crash(d)
	case what == 1 && m.coordinator != nil && m.id != "":
		m.leave(d)
	case what > 1 && m.state == steady:
		m.stall(d)
	}
}

// crash ends the process; what it had asked may happen all the same.
func (m *member) crash(d time.Duration) {
	m.run.note(m.loop.ID(), "member-crashed", m.id)
	m.disown()
	m.become(out)
	m.coordinator = nil
	for _, l := range append(append([]*link(nil), m.links...), m.coordinators...) {
		if l != nil && l.conn != nil {
			conn := l.conn
			l.lost()
			conn.Close()
		}
	}
	m.loop.After(d, m.enter)
}

// leave says goodbye.
func (m *member) leave(d time.Duration) {
	m.run.note(m.loop.ID(), "member-leaves", m.id)
	m.commit()
	if m.native != nil {
		m.leaveNative()
		m.loop.After(d, m.enter)
		return
	}
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group, req.MemberID = 1, groupID(m.group), m.id
	if m.o.Version >= firstStaticVersion {
		req.Version = 3
		who := kmsg.NewLeaveGroupRequestMember()
		who.MemberID, who.InstanceID = m.id, m.instance
		req.Members = append(req.Members, who)
	}
	m.disown()
	m.become(out)
	m.ask(req, m.timeout, func(kmsg.Response, error) {})
	m.loop.After(d, m.enter)
}

// stall has the member do nothing for a while but read.
func (m *member) stall(d time.Duration) {
	m.run.note(m.loop.ID(), "member-stalls", m.id)
	m.stalled = true
	m.loop.After(d, func() {
		m.stalled = false
		m.commit()
	})
}

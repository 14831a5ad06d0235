package group

import (
	"bytes"
	"slices"
	"time"

	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// member is a member of a classic group.
type member struct {
	id               string
	instanceID       *string // of a static member (KIP-345)
	client           Client
	rebalanceTimeout time.Duration
	sessionTimeout   time.Duration
	protocols        []protocol // in the order of its liking
	assignment       []byte
	isNew            bool // it does not know its id yet, so it sends no heartbeats
	owesSync         bool // it has not sent SyncGroup in this generation

	session scheduler.Timer               // until it is taken for dead
	joining func(*kmsg.JoinGroupResponse) // not nil: a JoinGroup waits for the rebalance
	syncing func(*kmsg.SyncGroupResponse) // not nil: a SyncGroup waits for the leader
}

// protocol is a way to share partitions, with what a member has to say about it: opaque to the broker.
type protocol struct {
	name     string
	metadata []byte
}

// protocolsOf copies a request's protocols; the first of a name counts.
func protocolsOf(req *kmsg.JoinGroupRequest) (protocols []protocol) {
	seen := make(map[string]bool, len(req.Protocols))
	for _, p := range req.Protocols {
		if !seen[p.Name] {
			seen[p.Name] = true
			protocols = append(protocols, protocol{p.Name, append([]byte{}, p.Metadata...)})
		}
	}
	return protocols
}

func (mb *member) isStatic() bool { return mb.instanceID != nil }

// metadata is what the member said about a protocol.
func (mb *member) metadata(name string) []byte {
	for _, p := range mb.protocols {
		if p.name == name {
			return p.metadata
		}
	}
	return nil
}

// matches reports whether the member says what it said before.
func (mb *member) matches(protocols []protocol) bool {
	return slices.EqualFunc(mb.protocols, protocols, func(p, q protocol) bool { return p.name == q.name && bytes.Equal(p.metadata, q.metadata) })
}

// isExcused: a member whose request waits here need not send heartbeats; a new one is not waited for forever all the same.
func (mb *member) isExcused() bool { return !mb.isNew && (mb.joining != nil || mb.syncing != nil) }

// stop ends the member's session.
func (mb *member) stop() {
	if mb.session != nil {
		mb.session.Stop()
	}
}

package sim

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/network/simnet"
)

// Messages are traced as entries of two kinds: "sent", of the sender, and "message", of the receiver when it arrives. Peer is the
// other host, Offset the frame's number on its way from one host to the other, Len its bytes, and Note what it is: "Fetch v17
// request #12", where the number counts the requests of the connection.
const (
	kindSent    = "sent"
	kindMessage = "message"
)

// IsMessage reports whether an entry is about a frame between two hosts.
func IsMessage(e *Entry) bool { return e.Kind == kindSent || e.Kind == kindMessage }

// tap traces messages; it is nil, and costs nothing, unless somebody wants them.
func (r *run) tap() func(m simnet.Message) {
	if r.options.Trace == nil || !r.options.Messages {
		return nil
	}
	return func(m simnet.Message) {
		from, to := r.hostID(m.From), r.hostID(m.To)
		e := Entry{Kind: kindSent, Node: from, Peer: to, Offset: int64(m.N), Len: int64(len(m.Frame)), Epoch: -1, Note: frameNote(m.Frame)}
		if m.Delivered {
			e.Kind, e.Node, e.Peer = kindMessage, to, from
		}
		r.trace(e)
	}
}

// hostID is the id of a host's node in the virtual world.
func (r *run) hostID(name string) int32 {
	switch name {
	case "admin":
		return adminNode
	case "operator":
		return operatorNode
	}
	number, _ := strconv.Atoi(name[1:])
	switch name[0] {
	case 'p':
		return clientNode + int32(number)
	case 'm':
		return memberNode(&r.schedule.Options, number)
	case 'c':
		return clientNode + int32(len(r.schedule.Options.Producers)+number)
	}
	return int32(number)
}

// hostName is the name of the host with a node id; "world" for what belongs to none.
func hostName(o *Options, id int32) string {
	producers, members := int32(len(o.Producers)), memberNode(o, 0)
	switch {
	case id < 0:
		return "world"
	case id == adminNode:
		return "admin"
	case id == operatorNode:
		return "operator"
	case id < clientNode:
		return nodeName(id)
	case id < clientNode+producers:
		return fmt.Sprintf("p%d", id-clientNode)
	}
	if id >= members {
		return memberName(int(id - members))
	}
	return fmt.Sprintf("c%d", id-clientNode-producers)
}

// frameNote says what a frame is. All requests in a simulation carry ids that name their key and version, so that an answer can be
// told from a request and by what it answers.
func frameNote(frame []byte) string {
	if len(frame) < 8 {
		return "frame"
	}
	key, version := int16(binary.BigEndian.Uint16(frame)), int16(binary.BigEndian.Uint16(frame[2:]))
	id := int32(binary.BigEndian.Uint32(frame[4:]))
	if k, v, seq := wire.SplitCorrelationID(id); k == key && v == version && known(k, v) {
		return fmt.Sprintf("%s v%d request #%d", wire.KeyName(k), v, seq)
	}
	k, v, seq := wire.SplitCorrelationID(int32(binary.BigEndian.Uint32(frame)))
	return fmt.Sprintf("%s v%d response #%d", wire.KeyName(k), v, seq)
}

func known(key, version int16) bool {
	a, ok := wire.Lookup(key)
	return ok && version <= a.Max
}

package replica

import (
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
)

// fetchSession is the client's half of an incremental fetch session (KIP-227): the leader remembers what we
// fetch, so that a request names only what changed and idle partitions cost nothing.
type fetchSession struct {
	id    int32 // 0: none
	epoch int32 // of the next request; 0: a full one, which makes a new session
}

const noSession = 0

// isFull reports whether the next request has to name every partition.
func (s *fetchSession) isFull() bool { return s.epoch == 0 }

// restart makes the next request a full one that also ends the session, if the leader still has it.
func (s *fetchSession) restart() { s.epoch = 0 }

// onResponse advances after a response. False: the leader refused the session, and the next request is a full one; nothing
// else is in the response.
func (s *fetchSession) onResponse(errorCode int16, id int32) bool {
	if errorCode != 0 {
		s.restart()
		if errorCode == kerr.FetchSessionIDNotFound.Code {
			s.id = noSession
		}
		return false
	}
	switch {
	case id == noSession: // the leader has no room for a session, or ended ours
		s.id, s.epoch = noSession, 0
	case s.isFull():
		s.id, s.epoch = id, 1
	default:
		s.epoch = nextSessionEpoch(s.epoch)
	}
	return true
}

// nextSessionEpoch skips 0, which asks for a new session.
func nextSessionEpoch(epoch int32) int32 {
	if epoch == math.MaxInt32 {
		return 1
	}
	return epoch + 1
}

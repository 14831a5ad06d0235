package replica

import (
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

func TestFetchSessionFollowsTheLeader(t *testing.T) {
	type response struct {
		code int16
		id   int32
	}
	for _, c := range []struct {
		claim string
		from  fetchSession
		resp  response
		want  fetchSession
		ok    bool
	}{
		{"a full fetch opens a session", fetchSession{}, response{0, 7}, fetchSession{7, 1}, true},
		{"a leader without room gives none", fetchSession{}, response{0, 0}, fetchSession{}, true},
		{"an incremental fetch counts on", fetchSession{7, 1}, response{0, 7}, fetchSession{7, 2}, true},
		{"the epoch wraps to 1", fetchSession{7, math.MaxInt32}, response{0, 7}, fetchSession{7, 1}, true},
		{"a leader may end it", fetchSession{7, 5}, response{0, 0}, fetchSession{}, true},
		{"an unknown session is forgotten", fetchSession{7, 5}, response{kerr.FetchSessionIDNotFound.Code, 0}, fetchSession{}, false},
		{"a wrong epoch closes it", fetchSession{7, 5}, response{kerr.InvalidFetchSessionEpoch.Code, 0}, fetchSession{7, 0}, false},
		{"another error closes it", fetchSession{7, 5}, response{kerr.UnknownServerError.Code, 0}, fetchSession{7, 0}, false},
	} {
		s := c.from
		if ok := s.onResponse(c.resp.code, c.resp.id); ok != c.ok || s != c.want {
			t.Errorf("%s: %+v %v, want %+v %v", c.claim, s, ok, c.want, c.ok)
		}
	}
}

package wire

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestEveryRequestAndResponseTravels through AppendRequest, DecodeRequest and back, in every version.
func TestEveryRequestAndResponseTravels(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	eachVersion(func(a *API, version int16) {
		req, resp := kmsg.RequestForKey(a.Key), kmsg.ResponseForKey(a.Key)
		randomMessage(r, req, version)
		randomMessage(r, resp, version)
		if f, ok := resp.(*kmsg.ApiVersionsResponse); ok {
			f.ErrorCode = 0
		}
		id := CorrelationID(a.Key, version, r.Uint32())
		msg, err := DecodeRequest(AppendRequest(nil, req, id, "client"))
		if err != nil {
			t.Fatalf("%s version %d: %v", a.Name, version, err)
		}
		got := msg.(*Request)
		if got.Key != a.Key || got.Version != version || got.CorrelationID != id || string(got.ClientID) != "client" {
			t.Fatalf("%+v", got)
		}
		if a.Key != keyProduce && !reflect.DeepEqual(got.Body.AppendTo(nil), req.AppendTo(nil)) {
			t.Fatalf("%s version %d: not what was sent", a.Name, version)
		}
		msg, err = DecodeResponse(AppendResponse(nil, got, resp))
		if err != nil {
			t.Fatalf("%s version %d: %v", a.Name, version, err)
		}
		if back := msg.(*Response); a.Key != keyFetch && !reflect.DeepEqual(back.Body.AppendTo(nil), resp.AppendTo(nil)) {
			t.Fatalf("%s version %d: not what was answered", a.Name, version)
		}
	})
}

func TestApiVersionsOfAnUnknownVersionIsAnswered(t *testing.T) {
	frame := []byte{0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 1, 2, 3}
	msg, err := DecodeRequest(frame)
	if err != nil {
		t.Fatal(err)
	}
	r := msg.(*Request)
	if !r.Unsupported || r.Body != nil || r.CorrelationID != 7 || len(r.ClientID) > 0 {
		t.Errorf("%+v", r)
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	if got := AppendResponse(nil, r, resp); len(got) != 4+2+4 {
		t.Errorf("answered %x", got)
	}
}

func TestApiVersionsAnswersHaveHeaderVersionZero(t *testing.T) {
	r := &Request{Key: keyApiVersions, Version: 4, CorrelationID: 1}
	if got := AppendResponse(nil, r, kmsg.NewPtrApiVersionsResponse()); got[4] != 0 || got[5] != 0 || got[6] != 1 {
		t.Errorf("%x: the error code and an empty compact array should follow the id", got)
	}
}

func TestAnswerOfVersionZeroToALaterApiVersionsIsRead(t *testing.T) {
	r := &Request{Key: keyApiVersions, Version: 4, Unsupported: true, CorrelationID: CorrelationID(keyApiVersions, 4, 0)}
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	msg, err := DecodeResponse(AppendResponse(nil, r, resp))
	if err != nil || msg.(*Response).Body.(*kmsg.ApiVersionsResponse).ErrorCode != kerr.UnsupportedVersion.Code {
		t.Errorf("%v, %v", msg, err)
	}
}

func TestUnknownRequestsCloseAndAreNamed(t *testing.T) {
	cases := []struct {
		frame []byte
		want  string
	}{
		{[]byte{0, 0, 0, 2, 0, 0, 0, 7, 0xff, 0xff}, "Produce (0) version 2"},
		{[]byte{0, 4, 0, 0, 0, 0, 0, 7, 0xff, 0xff}, "key 4 (4) version 0"},
		{[]byte{0xff, 0xff, 0, 0, 0, 0, 0, 7, 0xff, 0xff}, "key -1"},
		{[]byte{0, 3, 0, 99, 0, 0, 0, 7, 0xff, 0xff}, "Metadata (3) version 99"},
		{[]byte{0, 3, 0, 9, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f}, "Metadata (3) version 9"},
		{[]byte{0, 3, 0, 0, 0, 0, 0, 7, 0, 9, 'a'}, "header"},
		{[]byte{0, 3}, "header"},
	}
	for _, c := range cases {
		if _, err := DecodeRequest(c.frame); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%x: %v, want something of %q", c.frame, err, c.want)
		}
	}
}

func TestCodeFindsKafkasError(t *testing.T) {
	cases := map[error]int16{
		nil:                        0,
		kerr.NotLeaderForPartition: kerr.NotLeaderForPartition.Code,
		fmt.Errorf("append: %w", kerr.NotController): kerr.NotController.Code,
		errors.New("disk on fire"):                   kerr.UnknownServerError.Code,
	}
	for err, want := range cases { // order: independent cases
		if got := Code(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}

func TestForeignKnowsHTTPAndTLS(t *testing.T) {
	cases := map[[4]byte]string{
		{'G', 'E', 'T', ' '}:     "an HTTP request",
		{'P', 'O', 'S', 'T'}:     "an HTTP request",
		{0x16, 0x03, 0x01, 0x02}: "a TLS handshake",
		{0x7f, 0xff, 0xff, 0xff}: "",
	}
	for prefix, want := range cases { // order: independent cases
		if got := Foreign(prefix); got != want {
			t.Errorf("%q: %q, want %q", prefix[:], got, want)
		}
	}
}

func TestCorrelationIDsAreNotNegativeAndCarryKeyAndVersion(t *testing.T) {
	for _, seq := range []uint32{0, 1, math.MaxUint32} {
		id := CorrelationID(92, 18, seq)
		if id < 0 || id>>keyShift != 92 || id>>seqBits&31 != 18 {
			t.Errorf("seq %d: %x", seq, id)
		}
	}
}

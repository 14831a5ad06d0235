package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Response is an answer as a client received it. Byte slices of Body alias the frame; strings do
// not. Whoever gets a Response releases it.
type Response struct {
	Key, Version  int16
	CorrelationID int32
	Body          kmsg.Response
	frame         *network.Frame
	pooled        pooled // what Recycle gives back; may be nil
}

// Release gives the frame back; Body's byte slices end with it. Once; nil is fine.
func (r *Response) Release() {
	if r == nil {
		return
	}
	f := r.frame
	r.frame = nil
	f.Release()
}

// Frame is the frame that Body aliases, for a Retain; nil if nobody pools it.
func (r *Response) Frame() *network.Frame { return r.frame }

// Bits of our correlation ids: key, version and a sequence number. They make DecodeResponse
// stateless, though a response's bytes tell neither its key nor its version.
const (
	seqBits     = 19
	versionBits = 5
	keyShift    = seqBits + versionBits
)

// CorrelationID is the id of our seq-th request on a connection; only 19 bits of seq count.
func CorrelationID(key, version int16, seq uint32) int32 {
	return int32(key)<<keyShift | int32(version)<<seqBits | int32(seq&(1<<seqBits-1))
}

// SplitCorrelationID returns what CorrelationID was given, and the bits of seq that count.
func SplitCorrelationID(id int32) (key, version int16, seq uint32) {
	return int16(id >> keyShift), int16(id >> seqBits & (1<<versionBits - 1)), uint32(id) & (1<<seqBits - 1)
}

// DecodeResponse is the network.Decoder of clients: it returns a *Response without its frame. An
// error means that the connection cannot go on.
//
// The batches of a Fetch are checked: one that the response's end cuts off is dropped, and a
// damaged one makes its partition's error CORRUPT_MESSAGE, with no bytes.
func DecodeResponse(frame []byte) (any, error) {
	if len(frame) < 4 {
		return nil, fmt.Errorf("%w: a response of %d bytes", ErrMalformed, len(frame))
	}
	id := int32(binary.BigEndian.Uint32(frame))
	key, version := int16(id>>keyShift), int16(id>>seqBits&(1<<versionBits-1))
	a := lookup(key)
	if id < 0 || a == nil || version > a.Max {
		return nil, fmt.Errorf("%w: a response with correlation id %d", ErrMalformed, id)
	}
	r, err := decodeAnswer(frame[4:], a, Response{Key: key, Version: version, CorrelationID: id})
	if err != nil {
		return nil, err
	}
	if f, ok := r.Body.(*kmsg.FetchResponse); ok {
		checkFetched(f)
	}
	return r, nil
}

func decodeAnswer(b []byte, a *API, head Response) (*Response, error) {
	r, version := reader{b: b}, head.Version
	if a.Key == keyApiVersions {
		version = apiVersionsVersion(b, version)
	} else if version >= a.flexible {
		r.skipTags()
	}
	if a.Key == keyFetch && version >= fetchTopicID && !r.bad {
		if f := decodeFetched(r.b, head); f != nil {
			return f, nil
		}
	}
	if a.Key == keyProduce && !r.bad {
		if p := decodeProduced(r.b, head); p != nil {
			return p, nil
		}
	}
	body := kmsg.ResponseForKey(a.Key)
	body.SetVersion(version)
	if r.bad || !guardResponse(r.b, a, version) || body.ReadFrom(r.b) != nil {
		return nil, fmt.Errorf("%w: answer to %s (%d) version %d", ErrMalformed, a.Name, a.Key, version)
	}
	return &Response{Key: head.Key, Version: head.Version, CorrelationID: head.CorrelationID, Body: body}, nil
}

// apiVersionsVersion is the version of an answer to ApiVersions: 0 if the server does not know the
// one that was asked (KIP-511).
func apiVersionsVersion(b []byte, asked int16) int16 {
	if len(b) >= 2 && int16(binary.BigEndian.Uint16(b)) == kerr.UnsupportedVersion.Code {
		return 0
	}
	return asked
}

func checkFetched(f *kmsg.FetchResponse) {
	for i := range f.Topics {
		for j := range f.Topics[i].Partitions {
			p := &f.Topics[i].Partitions[j]
			whole, ok := wholeBatches(p.RecordBatches)
			p.RecordBatches = whole
			if !ok {
				p.ErrorCode = kerr.CorruptMessage.Code
			}
		}
	}
}

// wholeBatches cuts off the batch that the end of b cuts, if any. Not ok: b holds something that
// is not a batch, or a damaged one.
func wholeBatches(b []byte) (whole []byte, ok bool) {
	for rest := b; len(rest) > 0; {
		batch, next, err := record.Parse(rest)
		if err == record.ErrShort {
			return b[:len(b)-len(rest)], true
		}
		if err != nil || !batch.CheckCRC() {
			return nil, false
		}
		rest = next
	}
	return b, true
}

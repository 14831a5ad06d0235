package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxBody bounds the body of any request but Produce: decoded it takes many times its size.
const maxBody = 16 << 20

// Request is a request as a server received it. ClientID, byte slices of Body and the batches of
// Produce alias the frame; strings do not.
type Request struct {
	Key, Version  int16
	CorrelationID int32
	ClientID      []byte // nil if null
	Body          kmsg.Request
	Produce       *Produce // instead of Body, for Produce
	Unsupported   bool     // ApiVersions of a version we do not know: there is no body, the answer is of version 0 (KIP-511)
	Size          int      // of the frame, in bytes
	pooled        pooled   // what Recycle gives back; may be nil
}

// DecodeRequest is the network.Decoder of servers: it returns a *Request. An error means that the
// connection cannot go on, its text names what was wrong; what concerns one partition of a Produce
// is in its ProducePartition.
func DecodeRequest(frame []byte) (any, error) {
	r := reader{b: frame}
	key, version, id := r.int16(), r.int16(), r.int32()
	clientID := r.stringBytes(false) // a legacy string in header version 2 too
	if r.bad {
		return nil, fmt.Errorf("%w: a request header of %d bytes", ErrMalformed, len(frame))
	}
	a := lookup(key)
	if a == nil || !a.has(version) {
		return unsupported(frame, key, version, id, clientID)
	}
	if version >= a.flexible {
		r.skipTags()
	}
	if r.bad {
		return nil, malformed(key, version)
	}
	req := Request{Key: key, Version: version, CorrelationID: id, ClientID: clientID, Size: len(frame)}
	if key == keyProduce {
		return decodeProduce(&r, req)
	}
	if key == keyFetch && version >= fetchTopicID && len(r.b) <= maxBody {
		if f := decodeFetch(r.b, req); f != nil {
			return f, nil
		}
	}
	return decodeByKmsg(r.b, req)
}

func decodeByKmsg(b []byte, head Request) (any, error) {
	body, err := decodeBody(b, head.Key, head.Version)
	if err != nil {
		return nil, err
	}
	head.Body = body
	return &head, nil
}

func decodeBody(b []byte, key, version int16) (kmsg.Request, error) {
	if len(b) > maxBody {
		return nil, fmt.Errorf("%w: %s of %d bytes", ErrMalformed, KeyName(key), len(b))
	}
	if !guardRequest(b, lookup(key), version) {
		return nil, malformed(key, version)
	}
	body := kmsg.RequestForKey(key)
	body.SetVersion(version)
	if body.ReadFrom(b) != nil {
		return nil, malformed(key, version)
	}
	return body, nil
}

// unsupported answers what we do not know: only ApiVersions may be asked in any version.
func unsupported(frame []byte, key, version int16, id int32, clientID []byte) (any, error) {
	if key != keyApiVersions {
		return nil, fmt.Errorf("wire: unsupported request: %s (%d) version %d", KeyName(key), key, version)
	}
	return &Request{Key: key, Version: version, CorrelationID: id, ClientID: clientID, Unsupported: true, Size: len(frame)}, nil
}

func malformed(key, version int16) error {
	return fmt.Errorf("%w: %s (%d) version %d", ErrMalformed, KeyName(key), key, version)
}

// AppendResponse appends the answer to r: header and body, without the frame's size. It sets the
// version of resp.
func AppendResponse(dst []byte, r *Request, resp kmsg.Response) []byte {
	version := r.Version
	if r.Unsupported {
		version = 0
	}
	resp.SetVersion(version)
	dst = appendResponseHeader(dst, r.Key, r.CorrelationID, resp.IsFlexible())
	if p, ok := resp.(*kmsg.ProduceResponse); ok {
		if dst, ok := appendProduced(dst, p); ok {
			return dst
		}
	}
	return resp.AppendTo(dst)
}

// appendResponseHeader appends header version 1 with no tags if flexible, else version 0. That of
// ApiVersions is always 0: the client that asks does not know yet what we speak (KIP-511).
func appendResponseHeader(dst []byte, key int16, id int32, flexible bool) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(id))
	if flexible && key != keyApiVersions {
		dst = append(dst, 0)
	}
	return dst
}

// AppendRequest appends a request of the version set in it: header and body, without the frame's size.
func AppendRequest(dst []byte, req kmsg.Request, correlationID int32, clientID string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(req.Key()))
	dst = binary.BigEndian.AppendUint16(dst, uint16(req.GetVersion()))
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlationID))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(clientID)))
	dst = append(dst, clientID...)
	if req.IsFlexible() {
		dst = append(dst, 0)
	}
	if f, ok := req.(*kmsg.FetchRequest); ok {
		if dst, ok := appendFetch(dst, f); ok {
			return dst
		}
	}
	return req.AppendTo(dst)
}

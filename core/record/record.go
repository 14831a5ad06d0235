package record

import "errors"

// errRecord says that the payload is not the records that the header claims.
var errRecord = errors.New("record: the records do not fit their batch")

// Record is one record. Its bytes alias the batch, or the Scratch it was decompressed into.
type Record struct {
	OffsetDelta    int32
	TimestampDelta int64          // ms after the batch's base timestamp
	Key, Value     []byte         // nil is Kafka's null
	Headers        []RecordHeader // valid until the next record
}

// RecordHeader is one header of a record (KIP-82). A nil value is Kafka's null.
type RecordHeader struct {
	Key, Value []byte
}

// Scratch is memory that Each and ValidateProduce use again. The zero value is ready; one user at
// a time.
type Scratch struct {
	payload []byte
	headers []RecordHeader
}

// Each calls f with the batch's records in order and decompresses first if needed. What f gets is
// valid during the call; without compression Key and Value live as long as the batch. It does not
// check the CRC. scratch may be nil.
//
// It stops at the first error of f and returns it. Other errors: the payload does not decompress,
// or is not exactly Count records.
func (b Batch) Each(scratch *Scratch, f func(Record) error) error {
	if scratch == nil {
		scratch = new(Scratch)
	}
	payload, err := b.decompress(scratch)
	if err != nil {
		return err
	}
	var r Record
	for n := b.Count(); n > 0; n-- {
		r.Headers = scratch.headers[:0]
		if payload, err = r.parse(payload); err != nil {
			return err
		}
		scratch.headers = r.Headers
		if len(r.Headers) == 0 {
			r.Headers = nil
		}
		if err := f(r); err != nil {
			return err
		}
	}
	if len(payload) != 0 {
		return errRecord
	}
	return nil
}

// decompress returns the records' bytes: the payload itself, or in scratch.
func (b Batch) decompress(scratch *Scratch) ([]byte, error) {
	codec := b.Codec()
	if codec == None {
		return b.Payload(), nil
	}
	payload, err := codec.Decompress(scratch.payload[:0], b.Payload(), MaxUncompressed)
	if cap(payload) > cap(scratch.payload) {
		scratch.payload = payload[:0]
	}
	return payload, err
}

// parse reads one record off p into r, appending its headers, and returns what follows it.
func (r *Record) parse(p []byte) (rest []byte, err error) {
	body, rest, ok := cutRecord(p)
	if !ok {
		return nil, errRecord
	}
	c := cursor{p: body[1:]} // the record's attributes are unused
	r.TimestampDelta, r.OffsetDelta = c.varlong(), c.varint()
	r.Key, r.Value = c.nullable(), c.nullable()
	n := c.varint()
	if n < 0 || int(n) > len(c.p) {
		return nil, errRecord
	}
	for ; n > 0 && !c.bad; n-- {
		h := RecordHeader{Key: c.nullable(), Value: c.nullable()}
		c.bad = c.bad || h.Key == nil
		r.Headers = append(r.Headers, h)
	}
	if c.bad || len(c.p) != 0 {
		return nil, errRecord
	}
	return rest, nil
}

// cutRecord cuts the first record's body, at least one byte, off p.
func cutRecord(p []byte) (body, rest []byte, ok bool) {
	length, n := readVarint(p)
	if n == 0 || length < 1 || int(length) > len(p)-n {
		return nil, nil, false
	}
	end := n + int(length)
	return p[n:end:end], p[end:], true
}

// cursor reads off p until something does not fit: then it is bad and all it yields is zero.
type cursor struct {
	p   []byte
	bad bool
}

func (c *cursor) advance(n int) {
	if n == 0 {
		c.bad, c.p = true, nil
		return
	}
	c.p = c.p[n:]
}

func (c *cursor) varint() int32 {
	v, n := readVarint(c.p)
	c.advance(n)
	return v
}

func (c *cursor) varlong() int64 {
	v, n := readVarlong(c.p)
	c.advance(n)
	return v
}

// nullable reads a length and that many bytes; nil for null.
func (c *cursor) nullable() []byte {
	n := int(c.varint())
	if n == -1 {
		return nil
	}
	if c.bad || n < 0 || n > len(c.p) {
		c.bad, c.p = true, nil
		return nil
	}
	v := c.p[:n:n]
	c.p = c.p[n:]
	return v
}

package wire

// kmsg believes the number of tagged fields a message claims: twelve bytes cost it a minute and a
// half. It also takes memory for as many elements of an array as there are bytes left, many times
// the bytes. So every body is walked first, by the schema of its key and version (schema.go), and
// only what is all there, and takes bounded memory, is decoded.

// maxDecoded bounds the memory that a message may take decoded, beyond its frame.
const maxDecoded = 64 << 20

// tagCost is what kmsg takes for a tagged field that it does not know: an entry of a map.
const tagCost = 384

// The operations of a schema: a message's fields in order.
const (
	opFixed    = 'f' // n: n bytes
	opString   = 's'
	opBytes    = 'b'
	opArray    = 'a' // size, len: an array; its elements take size bytes decoded and are the next len bytes of the schema
	opNullable = 'n' // size, len: a byte that says whether the struct is there, and likewise
	opTags     = 't' // n: tagged fields (KIP-482), of which n are known: of each its number, len and as many bytes of schema
)

// guardRequest says whether b is a body of the request that kmsg can decode at a bounded cost.
func guardRequest(b []byte, a *API, version int16) bool {
	return guard(b, &requestSchemas, a, version)
}

// guardResponse is guardRequest for responses.
func guardResponse(b []byte, a *API, version int16) bool {
	return guard(b, &responseSchemas, a, version)
}

func guard(b []byte, schemas *[len(places)][]schema, a *API, version int16) bool {
	for i := range schemas[a.Key] {
		if s := &schemas[a.Key][i]; s.from <= version && version <= s.to {
			w := walker{reader: reader{b: b}, flexible: version >= a.flexible}
			w.walk(s.ops)
			return !w.bad
		}
	}
	return false
}

// schema is what messages of some versions consist of.
type schema struct {
	from, to int16
	ops      string
}

// walker walks a message without decoding it, in time and stack bounded by the message and its
// schema: each step of a loop consumes a byte at least, or the loop ends.
type walker struct {
	reader
	flexible bool
	cost     int // of decoding, in bytes of memory
}

func (w *walker) walk(ops string) {
	for len(ops) > 0 && !w.bad {
		switch ops[0] {
		case opFixed:
			w.skip(int(ops[1]))
			ops = ops[2:]
		case opString:
			w.spend(16)
			w.skip(max(w.stringLen(w.flexible), 0))
			ops = ops[1:]
		case opBytes:
			w.skip(max(w.bytesLen(w.flexible), 0))
			ops = ops[1:]
		case opArray:
			ops = w.array(ops)
		case opNullable:
			ops = w.nullable(ops)
		case opTags:
			ops = w.tags(ops)
		default:
			w.fail() // not reached: the schemas are tested
		}
	}
}

func (w *walker) spend(cost int) {
	w.cost += cost
	if w.cost > maxDecoded {
		w.fail()
	}
}

func (w *walker) array(ops string) string {
	element := ops[5 : 5+word(ops[3:])]
	n := w.arrayLen(w.flexible)
	if n > 0 {
		w.spend(n * word(ops[1:]))
	}
	if len(element) == 2 && element[0] == opFixed {
		w.skip(max(n, 0) * int(element[1]))
		n = 0
	}
	for ; n > 0 && !w.bad; n-- {
		w.walk(element)
	}
	return ops[5+len(element):]
}

func (w *walker) nullable(ops string) string {
	body := ops[5 : 5+word(ops[3:])]
	if p := w.span(1); p != nil && int8(p[0]) != -1 {
		w.spend(word(ops[1:]))
		w.walk(body)
	}
	return ops[5+len(body):]
}

// tags walks tagged fields: those that kmsg knows by their schema. What it does not know it keeps.
func (w *walker) tags(ops string) string {
	known := ops[2:]
	rest := known
	for n := ops[1]; n > 0; n-- {
		rest = rest[3+word(rest[1:]):]
	}
	known = known[:len(known)-len(rest)]
	n := int(w.uvarint())
	if n > len(w.b)/2 { // each takes its number and its size
		w.fail()
	}
	for ; n > 0 && !w.bad; n-- {
		w.tag(known)
	}
	return rest
}

func (w *walker) tag(known string) {
	number, content := w.uvarint(), w.span(int(w.uvarint()))
	for ; len(known) > 0; known = known[3+word(known[1:]):] {
		if uint32(known[0]) != number {
			continue
		}
		outer := w.reader
		w.reader = reader{b: content, bad: outer.bad}
		w.walk(known[3 : 3+word(known[1:])])
		outer.bad = outer.bad || w.bad
		w.reader = outer
		return
	}
	w.spend(tagCost)
}

// word is the number in the first two bytes of a schema.
func word(ops string) int { return int(ops[0])<<8 | int(ops[1]) }

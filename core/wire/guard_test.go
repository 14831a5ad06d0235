package wire

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// randomMessage fills all fields that can be filled.
func randomMessage(r *rand.Rand, m message, version int16) {
	fill(r, reflect.ValueOf(m).Elem())
	m.SetVersion(version)
}

func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		fillStruct(r, v)
	case reflect.Slice:
		n := r.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem())
		}
	case reflect.String:
		v.SetString("abcdefghij"[:r.IntN(10)])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Float64:
		v.SetFloat(float64(r.IntN(100)))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(uint64(r.IntN(256)))
	default:
		v.SetInt(int64(r.IntN(128)) - 1)
	}
}

func fillStruct(r *rand.Rand, v reflect.Value) {
	defaults(v)
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Name == "UnknownTags" {
			tags := v.Field(i).Addr().Interface().(*kmsg.Tags)
			if r.IntN(4) == 0 {
				tags.Set(uint32(100+r.IntN(100)), []byte("tag"))
			}
		} else if f.IsExported() {
			fill(r, v.Field(i))
		}
	}
}

func eachVersion(f func(a *API, version int16)) {
	for i := range APIs {
		for v := APIs[i].Min; v <= APIs[i].Max; v++ {
			f(&APIs[i], v)
		}
	}
}

func TestAPIsAgreeWithKmsg(t *testing.T) {
	eachVersion(func(a *API, version int16) {
		for _, m := range []message{kmsg.RequestForKey(a.Key), kmsg.ResponseForKey(a.Key)} {
			m.SetVersion(version)
			if m.IsFlexible() != (version >= a.flexible) {
				t.Errorf("%s version %d: flexible %v", a.Name, version, m.IsFlexible())
			}
		}
		if m := kmsg.RequestForKey(a.Key); version > m.MaxVersion() || version > 1<<versionBits-1 {
			t.Errorf("%s version %d: kmsg has %d", a.Name, version, m.MaxVersion())
		}
	})
}

// TestGuardWalksToTheEndOfWhatKmsgWrites: the schemas leave nothing out and invent nothing.
func TestGuardWalksToTheEndOfWhatKmsgWrites(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	walk := func(m message, list []schema, a *API, version int16) {
		for range 50 {
			randomMessage(r, m, version)
			b := m.AppendTo(nil)
			w := walker{reader: reader{b: b}, flexible: version >= a.flexible}
			for _, s := range list {
				if s.from <= version && version <= s.to {
					w.walk(s.ops)
				}
			}
			if w.bad || len(w.b) != 0 {
				t.Fatalf("%T version %d: bad %v, %d bytes left of %x", m, version, w.bad, len(w.b), b)
			}
		}
	}
	eachVersion(func(a *API, version int16) {
		walk(kmsg.RequestForKey(a.Key), requestSchemas[a.Key], a, version)
		walk(kmsg.ResponseForKey(a.Key), responseSchemas[a.Key], a, version)
	})
}

func TestGuardRefusesTagsThatAreNotThere(t *testing.T) {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version = 4
	req.Group, req.MemberID = "group", "member"
	frame := AppendRequest(nil, req, 1, "client")
	frame = append(frame[:len(frame)-1], 0xff, 0xff, 0xff, 0xff, 0x0f)
	if _, err := DecodeRequest(frame); !errors.Is(err, ErrMalformed) {
		t.Errorf("decoded: %v", err)
	}
}

// TestNoStringIsLongerThanAnInt16Tells: records that keep it have such a length, whatever the request had.
func TestNoStringIsLongerThanAnInt16Tells(t *testing.T) {
	for n, want := range map[int]error{math.MaxInt16: nil, math.MaxInt16 + 1: ErrMalformed, 1<<16 + 3: ErrMalformed} {
		long := strings.Repeat("x", n)
		txn, produce, fetch := kmsg.NewPtrInitProducerIDRequest(), kmsg.NewPtrProduceRequest(), kmsg.NewPtrFetchRequest()
		txn.Version, txn.TransactionalID = 4, &long
		produce.Version, produce.TransactionID = 9, &long
		fetch.Version, fetch.Rack = 16, long
		for _, req := range []kmsg.Request{txn, produce, fetch} {
			if _, err := DecodeRequest(AppendRequest(nil, req, 1, "client")); !errors.Is(err, want) {
				t.Errorf("%T with a string of %d bytes: %v", req, n, err)
			}
		}
	}
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.GroupAssignment = 5, []kmsg.SyncGroupRequestGroupAssignment{{MemberAssignment: make([]byte, 100_000)}}
	if _, err := DecodeRequest(AppendRequest(nil, req, 1, "client")); err != nil {
		t.Errorf("bytes are no string: %v", err)
	}
}

func TestGuardRefusesWhatTakesTooMuchMemory(t *testing.T) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	req.Topics = make([]kmsg.MetadataRequestTopic, 3<<20)
	if _, err := DecodeRequest(AppendRequest(nil, req, 1, "client")); err == nil {
		t.Error("decoded")
	}
}

// budget says how many bytes decoding b took and for how long.
func budget(f func()) (bytes uint64, took time.Duration) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	f()
	took = time.Since(start)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, took
}

// mayTake is what decoding n bytes may take: the largest struct for each byte and some for errors.
func mayTake(n int) uint64 { return uint64(n)*512 + 64<<10 }

// corrupt changes a message as somebody hostile would: huge counts above all.
func corrupt(r *rand.Rand, b []byte) []byte {
	b = append([]byte(nil), b...)
	for range 1 + r.IntN(3) {
		if len(b) == 0 {
			return b
		}
		at := r.IntN(len(b))
		switch r.IntN(4) {
		case 0:
			b = append(b[:at:at], append([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, b[at:]...)...)
		case 1:
			b = append(b[:at], 0xff, 0xff, 0xff, 0xff, 0x0f)
		case 2:
			b[at] = byte(r.Uint32())
		case 3:
			b = b[:at]
		}
	}
	return b
}

// TestWhatTheGuardPassesIsCheapToDecode on every key and version, requests and responses.
func TestWhatTheGuardPassesIsCheapToDecode(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var passed, refused int
	try := func(m message, ok bool, b []byte, version int16) {
		if !ok {
			refused++
			return
		}
		passed++
		m.SetVersion(version)
		if took, d := budget(func() { m.ReadFrom(b) }); took > mayTake(len(b)) || d > time.Second {
			t.Errorf("%T version %d took %d bytes, %v: %x", m, version, took, d, b)
		}
	}
	eachVersion(func(a *API, version int16) {
		for range 20 {
			req, resp := kmsg.RequestForKey(a.Key), kmsg.ResponseForKey(a.Key)
			randomMessage(r, req, version)
			b := corrupt(r, req.AppendTo(nil))
			try(req, guardRequest(b, a, version), b, version)
			randomMessage(r, resp, version)
			b = corrupt(r, resp.AppendTo(nil))
			try(resp, guardResponse(b, a, version), b, version)
		}
	})
	if passed < 1000 || refused < 1000 {
		t.Errorf("%d passed, %d refused: one side is hardly tested", passed, refused)
	}
}

func FuzzDecodeRequest(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	eachVersion(func(a *API, version int16) {
		req := kmsg.RequestForKey(a.Key)
		randomMessage(r, req, version)
		f.Add(AppendRequest(nil, req, 1, "client"))
	})
	f.Fuzz(func(t *testing.T, frame []byte) {
		took, d := budget(func() { DecodeRequest(frame) })
		if took > mayTake(len(frame)) || d > time.Second {
			t.Errorf("took %d bytes, %v", took, d)
		}
	})
}

func FuzzDecodeResponse(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	eachVersion(func(a *API, version int16) {
		resp := kmsg.ResponseForKey(a.Key)
		randomMessage(r, resp, version)
		q := Request{Key: a.Key, Version: version, CorrelationID: CorrelationID(a.Key, version, 1)}
		f.Add(AppendResponse(nil, &q, resp))
	})
	f.Fuzz(func(t *testing.T, frame []byte) {
		took, d := budget(func() { DecodeResponse(frame) })
		if took > mayTake(len(frame)) || d > time.Second {
			t.Errorf("took %d bytes, %v", took, d)
		}
	})
}

func BenchmarkGuardFetch(b *testing.B) {
	req := kmsg.NewPtrFetchRequest()
	req.Version = 17
	topic := kmsg.NewFetchRequestTopic()
	topic.Partitions = append(topic.Partitions, kmsg.NewFetchRequestTopicPartition())
	req.Topics = append(req.Topics, topic)
	body := req.AppendTo(nil)
	for b.Loop() {
		if !guardRequest(body, lookup(keyFetch), 17) {
			b.Fatal(fmt.Sprintf("refused: %x", body))
		}
	}
}

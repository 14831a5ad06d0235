package metadata

import "github.com/twmb/franz-go/pkg/kbin"

// Endpoint is where a node listens.
type Endpoint struct {
	Name, Host string
	Port       uint16
	Protocol   int16 // Kafka's SecurityProtocol: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL
}

// SupportedFeature is a range of levels of a feature that a node can run.
type SupportedFeature struct {
	Name     string
	Min, Max int16
}

func appendEndpoints(dst []byte, eps []Endpoint) []byte {
	dst = kbin.AppendCompactArrayLen(dst, len(eps))
	for i := range eps {
		dst = kbin.AppendCompactString(dst, eps[i].Name)
		dst = kbin.AppendCompactString(dst, eps[i].Host)
		dst = kbin.AppendUint16(dst, eps[i].Port)
		dst = kbin.AppendInt16(dst, eps[i].Protocol)
		dst = append(dst, 0)
	}
	return dst
}

func (r *reader) endpoints() []Endpoint {
	n := r.arrayLen(7)
	if n < 0 {
		r.fail()
		return nil
	}
	eps := make([]Endpoint, n)
	for i := range eps {
		eps[i] = Endpoint{Name: r.string(), Host: r.string(), Port: uint16(r.int16()), Protocol: r.int16()}
		r.noTags()
	}
	return eps
}

func appendFeatures(dst []byte, fs []SupportedFeature) []byte {
	dst = kbin.AppendCompactArrayLen(dst, len(fs))
	for i := range fs {
		dst = kbin.AppendCompactString(dst, fs[i].Name)
		dst = kbin.AppendInt16(dst, fs[i].Min)
		dst = kbin.AppendInt16(dst, fs[i].Max)
		dst = append(dst, 0)
	}
	return dst
}

func (r *reader) features() []SupportedFeature {
	n := r.arrayLen(6)
	if n < 0 {
		r.fail()
		return nil
	}
	fs := make([]SupportedFeature, n)
	for i := range fs {
		fs[i] = SupportedFeature{Name: r.string(), Min: r.int16(), Max: r.int16()}
		r.noTags()
	}
	return fs
}

// RegisterBrokerRecord (0) registers an incarnation of a broker, fenced until its first good
// heartbeat (KIP-631).
type RegisterBrokerRecord struct {
	BrokerID             int32
	IsMigratingZkBroker  bool
	IncarnationID        [16]byte
	BrokerEpoch          int64
	EndPoints            []Endpoint
	Features             []SupportedFeature
	Rack                 *string
	Fenced               bool
	InControlledShutdown bool
	LogDirs              [][16]byte
	CordonedLogDirs      [][16]byte // nil: not yet known
}

// Key is 0.
func (*RegisterBrokerRecord) Key() int16 { return KeyRegisterBroker }

// Version is 4.
func (*RegisterBrokerRecord) Version() int16 { return 4 }

func (x *RegisterBrokerRecord) append(dst []byte) []byte {
	dst = kbin.AppendInt32(dst, x.BrokerID)
	dst = kbin.AppendBool(dst, x.IsMigratingZkBroker)
	dst = kbin.AppendUuid(dst, x.IncarnationID)
	dst = kbin.AppendInt64(dst, x.BrokerEpoch)
	dst = appendEndpoints(dst, x.EndPoints)
	dst = appendFeatures(dst, x.Features)
	dst = kbin.AppendCompactNullableString(dst, x.Rack)
	dst = kbin.AppendBool(dst, x.Fenced)
	dst = kbin.AppendBool(dst, x.InControlledShutdown)
	t := beginTags(dst)
	if len(x.LogDirs) > 0 {
		t.uuids(0, x.LogDirs)
	}
	if x.CordonedLogDirs != nil {
		t.uuids(1, x.CordonedLogDirs)
	}
	return t.dst
}

func (x *RegisterBrokerRecord) read(r *reader, version int16) {
	x.BrokerID = r.int32()
	if version >= 2 {
		x.IsMigratingZkBroker = r.bool()
	}
	x.IncarnationID, x.BrokerEpoch = r.uuid(), r.int64()
	x.EndPoints, x.Features = r.endpoints(), r.features()
	x.Rack, x.Fenced = r.nullableString(), r.bool()
	if version >= 1 {
		x.InControlledShutdown = r.bool()
	}
	r.tags(func(tag uint32, f *reader) bool {
		switch {
		case tag == 0 && version >= 3:
			x.LogDirs = f.uuids()
		case tag == 1 && version >= 4:
			x.CordonedLogDirs = f.uuids()
		default:
			return false
		}
		return true
	})
}

// UnregisterBrokerRecord (1) forgets a broker.
type UnregisterBrokerRecord struct {
	BrokerID    int32
	BrokerEpoch int64
}

// Key is 1.
func (*UnregisterBrokerRecord) Key() int16 { return KeyUnregisterBroker }

// Version is 0.
func (*UnregisterBrokerRecord) Version() int16 { return 0 }

func (x *UnregisterBrokerRecord) append(dst []byte) []byte {
	return appendBrokerEpoch(dst, x.BrokerID, x.BrokerEpoch)
}

func (x *UnregisterBrokerRecord) read(r *reader, _ int16) {
	x.BrokerID, x.BrokerEpoch = r.brokerEpoch()
}

// appendBrokerEpoch writes the body that three records share.
func appendBrokerEpoch(dst []byte, id int32, epoch int64) []byte {
	dst = kbin.AppendInt32(dst, id)
	dst = kbin.AppendInt64(dst, epoch)
	return append(dst, 0)
}

func (r *reader) brokerEpoch() (id int32, epoch int64) {
	id, epoch = r.int32(), r.int64()
	r.noTags()
	return id, epoch
}

// FenceBrokerRecord (7) is what BrokerRegistrationChangeRecord replaced; still read.
type FenceBrokerRecord struct {
	ID    int32
	Epoch int64
}

// Key is 7.
func (*FenceBrokerRecord) Key() int16 { return KeyFenceBroker }

// Version is 0.
func (*FenceBrokerRecord) Version() int16 { return 0 }

func (x *FenceBrokerRecord) append(dst []byte) []byte { return appendBrokerEpoch(dst, x.ID, x.Epoch) }
func (x *FenceBrokerRecord) read(r *reader, _ int16)  { x.ID, x.Epoch = r.brokerEpoch() }

// UnfenceBrokerRecord (8) is what BrokerRegistrationChangeRecord replaced; still read.
type UnfenceBrokerRecord struct {
	ID    int32
	Epoch int64
}

// Key is 8.
func (*UnfenceBrokerRecord) Key() int16 { return KeyUnfenceBroker }

// Version is 0.
func (*UnfenceBrokerRecord) Version() int16 { return 0 }

func (x *UnfenceBrokerRecord) append(dst []byte) []byte {
	return appendBrokerEpoch(dst, x.ID, x.Epoch)
}
func (x *UnfenceBrokerRecord) read(r *reader, _ int16) { x.ID, x.Epoch = r.brokerEpoch() }

// What BrokerRegistrationChangeRecord.Fenced and InControlledShutdown mean.
const (
	Unfence       int8 = -1
	NoChange      int8 = 0
	Fence         int8 = 1
	EnterShutdown int8 = 1
)

// BrokerRegistrationChangeRecord (17) changes a registered broker (KIP-841, KIP-858).
type BrokerRegistrationChangeRecord struct {
	BrokerID             int32
	BrokerEpoch          int64
	Fenced               int8       // Unfence, NoChange or Fence
	InControlledShutdown int8       // NoChange or EnterShutdown
	LogDirs              [][16]byte // empty: no change
	CordonedLogDirs      [][16]byte // nil: no change
}

// Key is 17.
func (*BrokerRegistrationChangeRecord) Key() int16 { return KeyBrokerRegistrationChange }

// Version is 3.
func (*BrokerRegistrationChangeRecord) Version() int16 { return 3 }

func (x *BrokerRegistrationChangeRecord) append(dst []byte) []byte {
	dst = kbin.AppendInt32(dst, x.BrokerID)
	dst = kbin.AppendInt64(dst, x.BrokerEpoch)
	t := beginTags(dst)
	if x.Fenced != NoChange {
		t.int8(0, x.Fenced)
	}
	if x.InControlledShutdown != NoChange {
		t.int8(1, x.InControlledShutdown)
	}
	if len(x.LogDirs) > 0 {
		t.uuids(2, x.LogDirs)
	}
	if x.CordonedLogDirs != nil {
		t.uuids(3, x.CordonedLogDirs)
	}
	return t.dst
}

func (x *BrokerRegistrationChangeRecord) read(r *reader, version int16) {
	x.BrokerID, x.BrokerEpoch = r.int32(), r.int64()
	r.tags(func(tag uint32, f *reader) bool {
		switch {
		case tag == 0:
			x.Fenced = f.int8()
		case tag == 1 && version >= 1:
			x.InControlledShutdown = f.int8()
		case tag == 2 && version >= 2:
			x.LogDirs = f.uuids()
		case tag == 3 && version >= 3:
			x.CordonedLogDirs = f.uuids()
		default:
			return false
		}
		return true
	})
}

// RegisterControllerRecord (27) registers a controller's endpoints and features (KIP-919).
type RegisterControllerRecord struct {
	ControllerID     int32
	IncarnationID    [16]byte
	ZkMigrationReady bool
	EndPoints        []Endpoint
	Features         []SupportedFeature
}

// Key is 27.
func (*RegisterControllerRecord) Key() int16 { return KeyRegisterController }

// Version is 0.
func (*RegisterControllerRecord) Version() int16 { return 0 }

func (x *RegisterControllerRecord) append(dst []byte) []byte {
	dst = kbin.AppendInt32(dst, x.ControllerID)
	dst = kbin.AppendUuid(dst, x.IncarnationID)
	dst = kbin.AppendBool(dst, x.ZkMigrationReady)
	dst = appendEndpoints(dst, x.EndPoints)
	dst = appendFeatures(dst, x.Features)
	return append(dst, 0)
}

func (x *RegisterControllerRecord) read(r *reader, _ int16) {
	x.ControllerID, x.IncarnationID, x.ZkMigrationReady = r.int32(), r.uuid(), r.bool()
	x.EndPoints, x.Features = r.endpoints(), r.features()
	r.noTags()
}

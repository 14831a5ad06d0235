package api

import (
	"time"

	"github.com/lockstep/lockstep/core/quota"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What a request takes of request_percentage. The core reads no clock while it works, so time is estimated from what was measured: the same
// in both worlds.
const (
	requestNanos = 20_000 // of any request
	nanosPerByte = 1      // of the request, and of the records in an answer to a fetch
)

// QuotasChanged looks at the limits anew.
func (s *Server) QuotasChanged() { s.quotas.SetLimits(s.Image()) }

func (s *Server) initQuotas() {
	s.quotas = quota.NewManager(
		quota.Window{Samples: s.Config.QuotaWindows, Length: s.Config.QuotaWindow},
		quota.Window{Samples: s.Config.MutationQuotaWindows, Length: s.Config.MutationQuotaWindow})
	s.QuotasChanged()
}

// isQuotaExempt: quotas are of clients, not of brokers and controllers among themselves.
func (k *call) isQuotaExempt() bool { return k.conn == nil || k.controllerSide }

// record counts what the client used of a kind, and answers for how many milliseconds it shall be throttled.
func (k *call) record(kind quota.Kind, amount int64) int64 {
	if k.isQuotaExempt() || !k.server.quotas.IsLimited(kind) {
		return 0
	}
	return k.server.quotas.Record(kind, k.req.ClientID, k.server.Env.Loop.Now(), amount)
}

// recordWork counts a request's share of the broker's time. moved are the bytes of records in its answer.
func (k *call) recordWork(moved int64) int64 {
	return k.record(quota.Request, requestNanos+nanosPerByte*(int64(k.bytes)+moved))
}

// throttleable is an answer that can tell that its client is throttled.
type throttleable interface {
	Throttle() (ms int32, mutes bool)
	SetThrottle(ms int32)
}

// throttle tells the client, in the answer, how long it is not listened to from now on (KIP-219): the answer comes first. What the
// answer says already, because the controller said so, counts too.
func (k *call) throttle(resp kmsg.Response, ms int64) {
	t, can := resp.(throttleable)
	if k.isQuotaExempt() || !can {
		return
	}
	if said, _ := t.Throttle(); said > 0 || ms > 0 {
		ms = max(ms, int64(said))
		t.SetThrottle(throttleMs(ms))
		k.mute(ms)
	}
}

func (k *call) mute(ms int64) { k.conn.mute(time.Duration(throttleMs(ms)) * time.Millisecond) }

// maxThrottle bounds how long a client is not listened to: one that is not told of it for longer takes the broker for dead.
const maxThrottle = time.Hour

func throttleMs(ms int64) int32 { return int32(min(ms, maxThrottle.Milliseconds())) }

// mutations is what a request to the controller may create and delete (KIP-599).
type mutations struct {
	quotas     *quota.Manager
	clientID   []byte
	now        scheduler.Instant
	strict     bool // refuse what is too much; older clients are only throttled
	throttleMs int64
}

// mutations of a request; versions from strictSince on know THROTTLING_QUOTA_EXCEEDED.
func (k *call) mutations(strictSince int16) *mutations {
	return &mutations{quotas: k.server.quotas, clientID: k.req.ClientID, now: k.server.Env.Loop.Now(), strict: k.req.Version >= strictSince}
}

// take implements controller.Charge. What this broker asks for itself is free: it has no client id.
func (m *mutations) take(partitions int) *kerr.Error {
	if m.clientID == nil {
		return nil
	}
	ms := m.quotas.Mutate(m.clientID, m.now, partitions, m.strict)
	m.throttleMs = max(m.throttleMs, ms)
	if m.strict && ms > 0 {
		return kerr.ThrottlingQuotaExceeded
	}
	return nil
}

// answer is replyTo for a request that was charged.
func (m *mutations) answer(k *call, resp kmsg.Response) {
	resp.(throttleable).SetThrottle(throttleMs(m.throttleMs))
	resp.SetVersion(k.req.Version)
	k.reply(resp)
}

// recordFetched judges an answer to a consumer's fetch. One that is throttled gets nothing, so nothing was consumed.
func (f *fetchCall) recordFetched(parts []wire.FetchPartition) int64 {
	limited := f.server.quotas.IsLimited(quota.Consume) || f.server.quotas.IsLimited(quota.Request)
	if !limited || f.isQuotaExempt() || f.isFollower() {
		return 0
	}
	var moved int64
	for i := range parts {
		moved += recordBytes(&parts[i])
	}
	work, consumed := f.recordWork(moved), f.record(quota.Consume, moved)
	if max(work, consumed) > 0 && f.server.quotas.IsLimited(quota.Consume) {
		f.server.quotas.Unrecord(quota.Consume, f.req.ClientID, f.server.Env.Loop.Now(), moved)
	}
	return max(work, consumed)
}

func recordBytes(p *wire.FetchPartition) (n int64) {
	for i := range p.Records {
		n += int64(p.Records[i].Len())
	}
	return n
}

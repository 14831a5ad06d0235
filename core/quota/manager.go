package quota

import (
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/scheduler"
)

// User is who every client is: nobody has to prove who they are.
const User = "ANONYMOUS"

// maxMeters bounds the client ids that are told apart; those beyond share one meter.
const maxMeters = 8192

// Manager knows the limits of this node's clients and what they have used.
type Manager struct {
	window    Window
	mutations Window
	limits    [kinds]limits
	rates     [kinds]map[string]*Rate // by client id; of those limited together by ""
	swept     [kinds]scheduler.Instant
	buckets   map[string]*tokenBucket // likewise
}

// NewManager makes a manager without limits.
func NewManager(window, mutations Window) *Manager {
	m := &Manager{window: window.bounded(), mutations: mutations.bounded(), buckets: map[string]*tokenBucket{}}
	for kind := range m.rates {
		m.rates[kind] = map[string]*Rate{}
	}
	return m
}

// SetLimits takes the limits from the metadata; what was used stays.
func (m *Manager) SetLimits(image *metadata.Image) {
	for kind := range kinds {
		m.limits[kind] = limitsOf(image, kind, User)
	}
}

// IsLimited reports whether anybody has a limit of a kind: if not, nothing needs to be recorded.
func (m *Manager) IsLimited(kind Kind) bool { return m.limits[kind].isAnyLimitPresent }

// Record counts what a client used and answers for how many milliseconds it shall be throttled.
func (m *Manager) Record(kind Kind, clientID []byte, now scheduler.Instant, amount int64) int64 {
	if !m.IsLimited(kind) {
		return 0
	}
	limit, together := m.limits[kind].find(clientID)
	if limit == 0 {
		return 0
	}
	rate := m.rate(kind, clientID, together, now)
	rate.Record(m.window, now, amount)
	throttleMs := rate.Throttle(m.window, now, limit)
	if kind == Request {
		throttleMs = min(throttleMs, m.window.Length.Milliseconds()) // Kafka's bound: one slow request is not made up for by a long silence
	}
	return throttleMs
}

// Unrecord takes back what Record counted in this turn.
func (m *Manager) Unrecord(kind Kind, clientID []byte, now scheduler.Instant, amount int64) {
	if limit, together := m.limits[kind].find(clientID); limit > 0 {
		m.rate(kind, clientID, together, now).Record(m.window, now, -amount)
	}
}

// Most is what a client that has used nothing may use at once without being throttled.
func (m *Manager) Most(kind Kind, clientID []byte) int64 {
	if !m.IsLimited(kind) {
		return unlimited
	}
	limit, _ := m.limits[kind].find(clientID)
	if limit == 0 {
		return unlimited
	}
	return scaled(limit, (m.window.Length * timeOf(m.window.Samples-1)).Milliseconds(), 1000)
}

func (m *Manager) rate(kind Kind, clientID []byte, together bool, now scheduler.Instant) *Rate {
	rates := m.rates[kind]
	if together {
		clientID = nil
	}
	if r := rates[string(clientID)]; r != nil {
		return r
	}
	if len(rates) >= maxMeters {
		m.sweep(kind, now)
	}
	name := string(clientID)
	if len(rates) >= maxMeters {
		name = overflow
	}
	if rates[name] == nil {
		rates[name] = &Rate{}
	}
	return rates[name]
}

// sweep forgets who is idle. It walks all, so not for every new client id.
func (m *Manager) sweep(kind Kind, now scheduler.Instant) {
	if m.swept[kind] > 0 && now.Sub(m.swept[kind]) < m.window.Length {
		return
	}
	m.swept[kind] = max(now, 1)
	for id, r := range m.rates[kind] { // order: all that are idle go, whoever is met first
		if r.isIdle(m.window, now) {
			delete(m.rates[kind], id)
		}
	}
}

// overflow is no client id: they are UTF-8.
const overflow = "\xff"

// Mutate takes partitions that are to be created or deleted from what a client may, and answers for how many milliseconds it shall be
// throttled. A strict taking takes nothing from who has used up all; else who has something left may use more than that.
func (m *Manager) Mutate(clientID []byte, now scheduler.Instant, partitions int, strict bool) (throttleMs int64) {
	if !m.IsLimited(Mutation) {
		return 0
	}
	limit, together := m.limits[Mutation].find(clientID)
	if limit == 0 || limit >= unlimited {
		return 0
	}
	b := m.bucket(clientID, together)
	if throttleMs = b.overdrawnMs(m.mutations, now, limit); strict && throttleMs > 0 {
		return throttleMs
	}
	b.tokens = max(b.tokens-int64(partitions)*partition, -unlimited)
	if strict {
		return 0
	}
	return b.overdrawnMs(m.mutations, now, limit)
}

func (m *Manager) bucket(clientID []byte, together bool) *tokenBucket {
	name := string(clientID)
	switch {
	case together:
		name = ""
	case len(m.buckets) >= maxMeters && m.buckets[name] == nil:
		name = overflow
	}
	if m.buckets[name] == nil {
		m.buckets[name] = &tokenBucket{}
	}
	return m.buckets[name]
}

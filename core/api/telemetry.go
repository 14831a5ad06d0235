package api

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxInstances bounds the clients that are remembered: the one that came first is forgotten first.
const maxInstances = 1024

// telemetry knows the clients that asked which metrics to push.
type telemetry struct {
	server    *Server
	rand      *rand.Rand
	instances map[[16]byte]*instance
	order     [][16]byte // of instances, as they came
}

// instance is a client. What it is told to push is settled when it comes, and again when the subscriptions change.
type instance struct {
	metrics        []string
	intervalMs     int32
	subscriptionID int32
	basis          uint64 // of the subscriptions it was told of
	lastGet        scheduler.Instant
	lastPush       scheduler.Instant
	isTerminating  bool
	lastErr        error
}

func (t *telemetry) init(s *Server) {
	t.server, t.rand, t.instances = s, s.Env.Rand("telemetry"), map[[16]byte]*instance{}
}

// newID is a random UUID.
func (t *telemetry) newID() (id [16]byte) {
	binary.BigEndian.PutUint64(id[:8], t.rand.Uint64())
	binary.BigEndian.PutUint64(id[8:], t.rand.Uint64())
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

// instance is the client of an id, who speaks through k.
func (t *telemetry) instance(id [16]byte, k *call) *instance {
	basis := t.server.Image().ConfigsHash(metadata.ResourceClientMetrics)
	i := t.instances[id]
	if i != nil && i.basis == basis {
		return i
	}
	if i == nil {
		t.makeRoom()
		t.order = append(t.order, id)
	}
	i = &instance{basis: basis, lastGet: never, lastPush: never} // one that is told anew may ask at once
	t.subscribe(i, id, k)
	t.instances[id] = i
	return i
}

// never is before any request.
const never = scheduler.Instant(-1 << 62)

func (t *telemetry) makeRoom() {
	if len(t.order) == maxInstances {
		delete(t.instances, t.order[0])
		t.order = slices.Delete(t.order, 0, 1)
	}
}

// subscribe gathers the subscriptions that a client matches: all their metrics, at the shortest of their intervals.
func (t *telemetry) subscribe(i *instance, id [16]byte, k *call) {
	i.metrics, i.intervalMs = []string{}, 300_000
	image := t.server.Image()
	image.ConfigResources(metadata.ResourceClientMetrics, func(name string) {
		match, _ := image.ConfigValue(metadata.ResourceClientMetrics, name, "match")
		if conditions, err := config.ParseClientMatch(match); err != nil || !k.matches(conditions, id) {
			return
		}
		if metrics, isSet := image.ConfigValue(metadata.ResourceClientMetrics, name, "metrics"); isSet {
			i.metrics = append(i.metrics, config.SplitList(metrics)...)
		}
		interval, isSet := image.ConfigValue(metadata.ResourceClientMetrics, name, "interval.ms")
		if ms, err := strconv.ParseInt(strings.TrimSpace(interval), 10, 32); isSet && err == nil {
			i.intervalMs = min(i.intervalMs, int32(ms))
		}
	})
	slices.Sort(i.metrics)
	i.metrics = slices.Compact(i.metrics)
	if slices.Contains(i.metrics, "*") {
		i.metrics = []string{"*"}
	}
	text := strings.Join(i.metrics, ", ") + strconv.Itoa(int(i.intervalMs))
	i.subscriptionID = int32(crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)) ^ crc32.ChecksumIEEE(id[:]))
}

// matches reports whether the client that speaks through k is one that a subscription is for.
func (k *call) matches(conditions []config.ClientMatch, id [16]byte) bool {
	host, port := splitAddr(string(k.conn.net.Remote()))
	for _, c := range conditions {
		trait := map[string]string{
			"client_id": string(k.req.ClientID), "client_instance_id": base64.RawURLEncoding.EncodeToString(id[:]), "client_software_name": k.conn.softwareName,
			"client_software_version": k.conn.softwareVersion, "client_source_address": host, "client_source_port": port,
		}[c.Trait]
		if !c.Pattern.MatchString(trait) {
			return false
		}
	}
	return true
}

func splitAddr(addr string) (host, port string) {
	at := strings.LastIndexByte(addr, ':')
	if at < 0 {
		return addr, ""
	}
	return strings.Trim(addr[:at], "[]"), addr[at+1:]
}

func (i *instance) interval() time.Duration { return time.Duration(i.intervalMs) * time.Millisecond }

// admitGet refuses who asks again before it was to push, unless it was sent to ask.
func (i *instance) admitGet(now scheduler.Instant) error {
	if now.Sub(max(i.lastGet, i.lastPush)) < i.interval() && i.lastErr != kerr.UnknownSubscriptionID && i.lastErr != kerr.UnsupportedCompressionType {
		return kerr.ThrottlingQuotaExceeded
	}
	i.lastGet, i.lastErr = now, nil
	return nil
}

// push judges what a client pushed.
func (t *telemetry) push(req *kmsg.PushTelemetryRequest, k *call) error {
	if id := req.ClientInstanceID; id == ([16]byte{}) || id == [16]byte{15: 1} {
		return kerr.InvalidRequest
	}
	i := t.instance(req.ClientInstanceID, k)
	i.lastErr = i.judge(req, t.server.Env.Loop.Now(), t.server.Config.TelemetryMaxBytes)
	i.isTerminating = req.Terminating
	return i.lastErr
}

func (i *instance) judge(req *kmsg.PushTelemetryRequest, now scheduler.Instant, maxBytes int32) error {
	if i.isTerminating {
		return kerr.InvalidRequest
	}
	timely := i.lastGet > i.lastPush || now.Sub(i.lastPush) >= i.interval() // the first push is early by a random time
	if timely {
		i.lastPush = now
	}
	switch {
	case !timely && !req.Terminating:
		return kerr.ThrottlingQuotaExceeded
	case req.SubscriptionID != i.subscriptionID:
		return kerr.UnknownSubscriptionID
	case req.CompressionType < 0 || req.CompressionType > 4:
		return kerr.UnsupportedCompressionType
	case len(req.Metrics) > int(maxBytes):
		return kerr.TelemetryTooLarge
	}
	return nil
}

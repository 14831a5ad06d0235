package controller

import (
	"net/netip"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/metadata"
)

// The types of a quota's entity.
const (
	entityUser     = "user"
	entityClientID = "client-id"
	entityIP       = "ip"
)

// quotaKind is one limit that can be set.
type quotaKind struct {
	most    float64
	integer bool
	ip      bool // of addresses; else of users and client ids
}

var quotaKinds = map[string]quotaKind{
	"producer_byte_rate":       {most: 1 << 63, integer: true},
	"consumer_byte_rate":       {most: 1 << 63, integer: true},
	"request_percentage":       {most: -1},
	"controller_mutation_rate": {most: -1},
	"connection_creation_rate": {most: 1<<31 - 1, integer: true, ip: true},
}

// AlterClientQuotas sets and removes limits of users, client ids and addresses (KIP-546). Each entity changes as a whole or not at all.
func (c *Controller) AlterClientQuotas(req *kmsg.AlterClientQuotasRequest, done func(*kmsg.AlterClientQuotasResponse)) {
	failed := func(err *kerr.Error) *kmsg.AlterClientQuotasResponse {
		resp := kmsg.NewPtrAlterClientQuotasResponse()
		for i := range req.Entries {
			resp.Entries = append(resp.Entries, quotaResult(&req.Entries[i], refuse(err, err.Description)))
		}
		return resp
	}
	if !c.Active() {
		done(failed(kerr.NotController))
		return
	}
	var records []metadata.Record
	resp := kmsg.NewPtrAlterClientQuotasResponse()
	seen := map[string]bool{}
	for i := range req.Entries {
		e := &req.Entries[i]
		changed, f := c.alterQuota(e, seen)
		records = append(records, changed...)
		resp.Entries = append(resp.Entries, quotaResult(e, f))
	}
	if req.ValidateOnly {
		records = nil
	}
	answer(c, records, resp, failed, done)
}

func quotaResult(e *kmsg.AlterClientQuotasRequestEntry, f *fault) kmsg.AlterClientQuotasResponseEntry {
	r := kmsg.NewAlterClientQuotasResponseEntry()
	for _, part := range e.Entity {
		r.Entity = append(r.Entity, kmsg.AlterClientQuotasResponseEntryEntity{Type: part.Type, Name: part.Name})
	}
	if f != nil {
		r.ErrorCode, r.ErrorMessage = f.err.Code, f.told()
	}
	return r
}

// alterQuota returns the records of one entity. seen are the entities before it.
func (c *Controller) alterQuota(e *kmsg.AlterClientQuotasRequestEntry, seen map[string]bool) ([]metadata.Record, *fault) {
	entity, f := quotaEntity(e.Entity)
	if f != nil {
		return nil, f
	}
	name := metadata.EntityKey(entity)
	if seen[name] {
		return nil, refuse(kerr.InvalidRequest, "each entity must appear at most once")
	}
	seen[name] = true
	now := c.img.ClientQuota(entity)
	if now == nil {
		now = &metadata.ClientQuota{}
	}
	var records []metadata.Record
	altered := map[string]bool{}
	for _, op := range e.Ops {
		if altered[op.Key] {
			return nil, refuse(kerr.InvalidRequest, "each quota must appear at most once: "+op.Key)
		}
		altered[op.Key] = true
		old, isSet := now.Value(op.Key)
		if !op.Remove {
			if f := checkQuota(entity[0].Type == entityIP, op.Key, op.Value); f != nil {
				return nil, f
			}
		}
		if op.Remove && isSet || !op.Remove && (!isSet || old != op.Value) { // float: IEEE 754 compares alike everywhere
			records = append(records, &metadata.ClientQuotaRecord{Entity: entity, Name: op.Key, Value: op.Value, Remove: op.Remove})
		}
	}
	return records, nil
}

// quotaEntity checks an entity and puts it into normal form. Of two names of a type the last one holds.
func quotaEntity(asked []kmsg.AlterClientQuotasRequestEntryEntity) ([]metadata.EntityPart, *fault) {
	var parts []metadata.EntityPart
	for _, part := range asked {
		known := part.Type == entityUser || part.Type == entityClientID || part.Type == entityIP
		switch {
		case !known:
			return nil, refuse(kerr.InvalidRequest, "there are no quotas of a "+part.Type)
		case part.Name != nil && *part.Name == "":
			return nil, refuse(kerr.InvalidRequest, "an empty "+part.Type+" has no quotas")
		}
		parts = slices.DeleteFunc(parts, func(p metadata.EntityPart) bool { return p.Type == part.Type })
		parts = append(parts, metadata.EntityPart{Type: part.Type, Name: part.Name})
	}
	parts = metadata.NormalEntity(parts)
	ip := slices.IndexFunc(parts, func(p metadata.EntityPart) bool { return p.Type == entityIP })
	switch {
	case len(parts) == 0:
		return nil, refuse(kerr.InvalidRequest, "an empty entity has no quotas")
	case ip >= 0 && len(parts) > 1:
		return nil, refuse(kerr.InvalidRequest, "an ip goes with no user and no client-id")
	case ip >= 0 && parts[ip].Name != nil:
		if _, err := netip.ParseAddr(*parts[ip].Name); err != nil {
			return nil, refuse(kerr.InvalidRequest, *parts[ip].Name+" is no IP address")
		}
	}
	return parts, nil
}

func checkQuota(ofIP bool, key string, value float64) *fault {
	kind, known := quotaKinds[key]
	switch {
	case !known || kind.ip != ofIP:
		return refuse(kerr.InvalidRequest, "there is no quota "+key+" of this entity")
	case !(value > 0): // float: IEEE 754 compares alike everywhere
		return refuse(kerr.InvalidRequest, key+" must be greater than 0")
	case kind.most > 0 && value > kind.most: // float: as above
		return refuse(kerr.InvalidRequest, key+" is too large")
	case kind.integer && fraction(value) > 1e-6: // float: as above
		return refuse(kerr.InvalidRequest, key+" is a whole number")
	}
	return nil
}

// fraction is what a positive number has behind the point.
func fraction(value float64) float64 {
	if value >= 1<<53 { // float: as above; such a number has nothing there
		return 0
	}
	return value - float64(int64(value))
}

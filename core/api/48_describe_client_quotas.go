package api

import (
	"fmt"

	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeClientQuotas (key 48), versions 0 and 1, from the committed image (KIP-546).
func (k *call) describeClientQuotas() {
	req := k.req.Body.(*kmsg.DescribeClientQuotasRequest)
	resp := kmsg.NewPtrDescribeClientQuotasResponse()
	if err := checkQuotaFilter(req.Components); err != nil {
		resp.ErrorCode, resp.ErrorMessage = wire.Code(err), messageOf(err)
		k.reply(resp)
		return
	}
	resp.Entries = []kmsg.DescribeClientQuotasResponseEntry{} // null would be an error
	k.server.Image().ClientQuotas(func(q *metadata.ClientQuota) bool {
		if matchesQuota(req, q) {
			resp.Entries = append(resp.Entries, describedQuota(q))
		}
		return true
	})
	k.reply(resp)
}

func checkQuotaFilter(components []kmsg.DescribeClientQuotasRequestComponent) error {
	seen := map[string]bool{}
	for _, c := range components {
		switch {
		case c.EntityType == "":
			return fmt.Errorf("a component has no type: %w", kerr.InvalidRequest)
		case seen[c.EntityType]:
			return fmt.Errorf("type %q appears twice: %w", c.EntityType, kerr.InvalidRequest)
		case c.EntityType != "user" && c.EntityType != "client-id" && c.EntityType != "ip":
			return fmt.Errorf("there are no quotas of a %q: %w", c.EntityType, kerr.UnsupportedVersion)
		case c.MatchType < 0 || c.MatchType > kmsg.QuotasMatchTypeAny:
			return fmt.Errorf("unknown match type %d: %w", c.MatchType, kerr.InvalidRequest)
		case (c.MatchType == kmsg.QuotasMatchTypeExact) != (c.Match != nil):
			return fmt.Errorf("a name goes with an exact match, and with no other: %w", kerr.InvalidRequest)
		}
		seen[c.EntityType] = true
	}
	if seen["ip"] && len(seen) > 1 {
		return fmt.Errorf("an ip goes with no user and no client-id: %w", kerr.InvalidRequest)
	}
	return nil
}

// matchesQuota reports whether a filter takes an entity. One without components takes all, or none if it is strict.
func matchesQuota(req *kmsg.DescribeClientQuotasRequest, q *metadata.ClientQuota) bool {
	if req.Strict && len(q.Entity) != len(req.Components) {
		return false
	}
	for _, c := range req.Components {
		name, ok := q.Part(c.EntityType)
		if !ok || !matchesName(c, name) {
			return false
		}
	}
	return true
}

func matchesName(c kmsg.DescribeClientQuotasRequestComponent, name *string) bool {
	switch c.MatchType {
	case kmsg.QuotasMatchTypeExact:
		return name != nil && *name == *c.Match
	case kmsg.QuotasMatchTypeDefault:
		return name == nil
	}
	return true
}

func describedQuota(q *metadata.ClientQuota) kmsg.DescribeClientQuotasResponseEntry {
	e := kmsg.NewDescribeClientQuotasResponseEntry()
	for _, part := range q.Entity {
		e.Entity = append(e.Entity, kmsg.DescribeClientQuotasResponseEntryEntity{Type: part.Type, Name: part.Name})
	}
	for _, v := range q.Values {
		e.Values = append(e.Values, kmsg.DescribeClientQuotasResponseEntryValue{Key: v.Name, Value: v.Value})
	}
	return e
}

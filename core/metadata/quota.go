package metadata

import (
	"cmp"
	"slices"
	"strings"
)

// ClientQuota is what is set for one entity. One without values does not exist.
type ClientQuota struct {
	Entity []EntityPart // sorted by type
	Values []QuotaValue // sorted by name

	hash uint64
}

// QuotaValue is one limit: producer_byte_rate and the like.
type QuotaValue struct {
	Name  string
	Value float64
}

// Part is an entity's part of a type; ok is false if it has none. A nil name is the default.
func (q *ClientQuota) Part(kind string) (name *string, ok bool) {
	for _, e := range q.Entity {
		if e.Type == kind {
			return e.Name, true
		}
	}
	return nil, false
}

// Value is one limit, and whether it is set.
func (q *ClientQuota) Value(name string) (float64, bool) {
	n, found := findQuota(q.Values, name)
	if !found {
		return 0, false
	}
	return q.Values[n].Value, true
}

func findQuota(values []QuotaValue, name string) (int, bool) {
	return slices.BinarySearchFunc(values, name, func(v QuotaValue, n string) int { return strings.Compare(v.Name, n) })
}

// NormalEntity is an entity in the order that the image keeps it in.
func NormalEntity(parts []EntityPart) []EntityPart {
	parts = slices.Clone(parts)
	slices.SortStableFunc(parts, compareParts)
	return parts
}

// EntityKey is a string that is the same for the same entity in normal form and for no other.
func EntityKey(parts []EntityPart) string {
	return string((&ClientQuotaRecord{Entity: parts}).append(nil))
}

func compareParts(a, b EntityPart) int {
	if c := strings.Compare(a.Type, b.Type); c != 0 {
		return c
	}
	if a.Name == nil || b.Name == nil {
		return cmp.Compare(rank(a.Name), rank(b.Name))
	}
	return strings.Compare(*a.Name, *b.Name)
}

// rank puts the default first.
func rank(name *string) int {
	if name == nil {
		return 0
	}
	return 1
}

func compareQuotas(a, b *ClientQuota) int {
	return slices.CompareFunc(a.Entity, b.Entity, compareParts)
}

// ClientQuota returns what is set for an entity in normal form, or nil.
func (i *Image) ClientQuota(entity []EntityPart) *ClientQuota {
	q, _ := i.quotas.Get(&ClientQuota{Entity: entity})
	return q
}

// ClientQuotas calls f for each entity that has quotas, in order, until it answers false.
func (i *Image) ClientQuotas(f func(*ClientQuota) bool) { i.quotas.Ascend(f) }

func (i *Image) applyClientQuota(r *ClientQuotaRecord) {
	entity := NormalEntity(r.Entity)
	old := i.ClientQuota(entity)
	if old == nil {
		old = &ClientQuota{Entity: entity}
	}
	q := old.with(r)
	q.hash = i.hashQuota(q)
	i.hash += q.hash - old.hash
	if len(q.Values) > 0 {
		i.quotas.ReplaceOrInsert(q)
	} else {
		i.quotas.Delete(q)
	}
}

// with is the quota after a record.
func (q *ClientQuota) with(r *ClientQuotaRecord) *ClientQuota {
	values := slices.Clone(q.Values)
	n, found := findQuota(values, r.Name)
	switch {
	case r.Remove && found:
		values = slices.Delete(values, n, n+1)
	case !r.Remove && found:
		values[n].Value = r.Value
	case !r.Remove:
		values = slices.Insert(values, n, QuotaValue{r.Name, r.Value})
	}
	return &ClientQuota{Entity: q.Entity, Values: values}
}

func (i *Image) hashQuota(q *ClientQuota) (sum uint64) {
	for _, r := range q.records() {
		sum += i.hashRecord(r)
	}
	return sum
}

func (q *ClientQuota) records() []Record {
	out := make([]Record, len(q.Values))
	for n, v := range q.Values {
		out[n] = &ClientQuotaRecord{Entity: q.Entity, Name: v.Name, Value: v.Value}
	}
	return out
}

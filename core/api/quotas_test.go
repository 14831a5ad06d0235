package api_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// quotaEntity reads "user=a,client-id": a type without a name is the default.
func quotaEntity(text string) (entity []kmsg.AlterClientQuotasRequestEntryEntity) {
	for part := range strings.SplitSeq(text, ",") {
		kind, name, named := strings.Cut(part, "=")
		e := kmsg.AlterClientQuotasRequestEntryEntity{Type: kind}
		if named {
			e.Name = &name
		}
		entity = append(entity, e)
	}
	return entity
}

func (x *client) setQuota(entity, key string, value float64) int16 {
	req := kmsg.NewPtrAlterClientQuotasRequest()
	req.Version = 1
	op := kmsg.AlterClientQuotasRequestEntryOp{Key: key, Value: value, Remove: value == 0}
	req.Entries = []kmsg.AlterClientQuotasRequestEntry{{Entity: quotaEntity(entity), Ops: []kmsg.AlterClientQuotasRequestEntryOp{op}}}
	return ask[*kmsg.AlterClientQuotasResponse](x, req).Entries[0].ErrorCode
}

// Each of these was asked of Apache Kafka 4.4.0.
func TestQuotasAreJudgedAsKafkaJudgesThem(t *testing.T) {
	x := start(t, 1).client()
	for _, test := range []struct {
		entity, key string
		value       float64
		want        *kerr.Error
	}{
		{"user=a", "producer_byte_rate", 1000, nil},
		{"user=a,client-id", "consumer_byte_rate", 1000, nil},
		{"client-id", "request_percentage", 0.5, nil},
		{"client-id=c", "controller_mutation_rate", 1.5, nil},
		{"ip=10.0.0.1", "connection_creation_rate", 5, nil},
		{"ip", "connection_creation_rate", 5, nil},
		{"ip=nowhere at all", "connection_creation_rate", 5, kerr.InvalidRequest},
		{"ip=10.0.0.1,user=a", "connection_creation_rate", 5, kerr.InvalidRequest},
		{"ip=10.0.0.1", "producer_byte_rate", 5, kerr.InvalidRequest},
		{"user=a", "connection_creation_rate", 5, kerr.InvalidRequest},
		{"user=", "producer_byte_rate", 5, kerr.InvalidRequest},
		{"what=a", "producer_byte_rate", 5, kerr.InvalidRequest},
		{"user=a,user=b", "producer_byte_rate", 5, kerr.InvalidRequest},
		{"user=a", "nosuch", 5, kerr.InvalidRequest},
		{"user=a", "producer_byte_rate", -1, kerr.InvalidRequest},
		{"user=a", "producer_byte_rate", 1.5, kerr.InvalidRequest},
		{"user=a", "producer_byte_rate", math.NaN(), kerr.InvalidRequest},
		{"user=a", "producer_byte_rate", 1e30, kerr.InvalidRequest},
		{"user=b", "producer_byte_rate", 0, nil},
	} {
		x.code(fmt.Sprintf("%s %s=%v", test.entity, test.key, test.value), x.setQuota(test.entity, test.key, test.value), test.want)
	}
	describe := func(strict bool, components ...kmsg.DescribeClientQuotasRequestComponent) string {
		req := kmsg.NewPtrDescribeClientQuotasRequest()
		req.Version, req.Strict, req.Components = 1, strict, components
		resp := ask[*kmsg.DescribeClientQuotasResponse](x, req)
		line := fmt.Sprint(resp.ErrorCode)
		for _, e := range resp.Entries {
			line += " "
			for _, part := range e.Entity {
				line += part.Type
				if part.Name != nil {
					line += "=" + *part.Name
				}
				line += ","
			}
			for _, v := range e.Values {
				line += fmt.Sprintf("%.1s=%v", v.Key, v.Value)
			}
		}
		return line
	}
	component := func(kind string, match kmsg.QuotasMatchType, name ...string) kmsg.DescribeClientQuotasRequestComponent {
		c := kmsg.DescribeClientQuotasRequestComponent{EntityType: kind, MatchType: match}
		if len(name) > 0 {
			c.Match = &name[0]
		}
		return c
	}
	for _, test := range []struct{ got, want string }{
		{describe(false), "0 client-id,r=0.5 client-id,user=a,c=1000 client-id=c,c=1.5 ip,c=5 ip=10.0.0.1,c=5 user=a,p=1000"},
		{describe(true), "0"},
		{describe(false, component("user", 0, "a")), "0 client-id,user=a,c=1000 user=a,p=1000"},
		{describe(true, component("user", 0, "a")), "0 user=a,p=1000"},
		{describe(false, component("client-id", 1)), "0 client-id,r=0.5 client-id,user=a,c=1000"},
		{describe(true, component("client-id", 2)), "0 client-id,r=0.5 client-id=c,c=1.5"},
		{describe(true, component("client-id", 2), component("user", 2)), "0 client-id,user=a,c=1000"},
		{describe(false, component("user", 0)), "42"},
		{describe(false, component("user", 1, "a")), "42"},
		{describe(false, component("user", 7)), "42"},
		{describe(false, component("", 1)), "42"},
		{describe(false, component("what", 1)), "35"},
		{describe(false, component("user", 1), component("user", 2)), "42"},
		{describe(false, component("user", 1), component("ip", 2)), "42"},
	} {
		if test.got != test.want {
			t.Errorf("got %s, want %s", test.got, test.want)
		}
	}
	x.code("remove", x.setQuota("user=a", "producer_byte_rate", 0), nil)
	if got := describe(true, component("user", 0, "a")); got != "0" {
		t.Errorf("after the removal: %s", got)
	}
}

package api_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAClientIsToldWhichMetricsToPush(t *testing.T) {
	x := start(t, 1).client()
	hello := kmsg.NewPtrApiVersionsRequest()
	hello.Version, hello.ClientSoftwareName, hello.ClientSoftwareVersion = 3, "soft", "1.2"
	ask[*kmsg.ApiVersionsResponse](x, hello)
	x.alter(
		alteration(ofMetrics, "all", "SET metrics=b.,a.", "SET interval.ms=20000"),
		alteration(ofMetrics, "mine", "SET metrics=c.", "SET interval.ms=10000", "SET match=client_id=te.t,client_software_name=so.*"),
		alteration(ofMetrics, "another's", "SET metrics=d.", "SET interval.ms=100", "SET match=client_id=tes"),
	)
	get := kmsg.NewPtrGetTelemetrySubscriptionsRequest()
	told := ask[*kmsg.GetTelemetrySubscriptionsResponse](x, get)
	x.code("get", told.ErrorCode, nil)
	if fmt.Sprint(told.RequestedMetrics) != "[a. b. c.]" || told.PushIntervalMillis != 10_000 || told.ClientInstanceID == [16]byte{} || told.TelemetryMaxBytes != 1<<20 || len(told.AcceptedCompressionTypes) != 4 {
		t.Fatalf("%+v", told)
	}
	get.ClientInstanceID = told.ClientInstanceID
	x.code("get again at once", ask[*kmsg.GetTelemetrySubscriptionsResponse](x, get).ErrorCode, kerr.ThrottlingQuotaExceeded)

	push := func(change func(*kmsg.PushTelemetryRequest)) int16 {
		req := kmsg.NewPtrPushTelemetryRequest()
		req.ClientInstanceID, req.SubscriptionID, req.Metrics = told.ClientInstanceID, told.SubscriptionID, []byte("metrics")
		if change != nil {
			change(req)
		}
		return ask[*kmsg.PushTelemetryResponse](x, req).ErrorCode
	}
	x.code("push", push(nil), nil)
	x.code("push at once", push(nil), kerr.ThrottlingQuotaExceeded)
	x.wait(10 * time.Second)
	x.code("push in time", push(nil), nil)
	x.wait(10 * time.Second)
	x.code("without an id", push(func(r *kmsg.PushTelemetryRequest) { r.ClientInstanceID = [16]byte{} }), kerr.InvalidRequest)
	x.code("compressed by what", push(func(r *kmsg.PushTelemetryRequest) { r.CompressionType = 9 }), kerr.UnsupportedCompressionType)
	x.wait(10 * time.Second)
	x.code("too large", push(func(r *kmsg.PushTelemetryRequest) { r.Metrics = make([]byte, 1<<20+1) }), kerr.TelemetryTooLarge)

	x.alter(alteration(ofMetrics, "all", "SET metrics=*"))
	x.code("subscriptions changed", push(nil), kerr.UnknownSubscriptionID)
	told = ask[*kmsg.GetTelemetrySubscriptionsResponse](x, get)
	if told.ErrorCode != 0 || fmt.Sprint(told.RequestedMetrics) != "[*]" {
		t.Errorf("after the change: %+v", told)
	}
	x.code("last words", push(func(r *kmsg.PushTelemetryRequest) { r.Terminating = true }), nil)
	x.code("after the last words", push(nil), kerr.InvalidRequest)
}

func TestMetricsClientsAreForgotten(t *testing.T) {
	x := start(t, 1).client()
	get := kmsg.NewPtrGetTelemetrySubscriptionsRequest()
	first := ask[*kmsg.GetTelemetrySubscriptionsResponse](x, get)
	for range 1024 {
		ask[*kmsg.GetTelemetrySubscriptionsResponse](x, get)
	}
	get.ClientInstanceID = first.ClientInstanceID
	x.code("one that was forgotten", ask[*kmsg.GetTelemetrySubscriptionsResponse](x, get).ErrorCode, nil)
}

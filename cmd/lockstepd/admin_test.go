package main

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What an administrator's client does with configs, quotas and credentials works, and quotas are felt.
func TestAnAdministratorsClient(t *testing.T) {
	t.Parallel()
	p := single(t)
	client := newClient(t, []string{p.addr()}, kgo.ClientID("app"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	admin, ctx := kadm.NewClient(client), deadline(t)
	createTopic(t, client, 1, 1, "1")
	value := "12345"
	altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}, topic)
	if err != nil || altered[0].Err != nil {
		t.Fatal(err, altered)
	}
	altered, err = admin.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "log.retention.ms", Value: &value}})
	if err != nil || altered[0].Err != nil {
		t.Fatal(err, altered)
	}
	described, err := admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range described[0].Configs {
		if c.Key == "retention.ms" && (c.MaybeValue() != value || len(c.Synonyms) < 2) {
			t.Errorf("%+v", c)
		}
	}
	if brokers, err := admin.DescribeBrokerConfigs(ctx, 1); err != nil || len(brokers[0].Configs) < 340 {
		t.Errorf("%v, %v", err, brokers)
	}

	user := kadm.UpsertSCRAM{User: "u", Mechanism: kadm.ScramSha256, Iterations: 4096, Password: "secret"}
	if done, err := admin.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{user}); err != nil || done.Error() != nil {
		t.Errorf("%v, %v", err, done.Error())
	}
	if scrams, err := admin.DescribeUserSCRAMs(ctx); err != nil || len(scrams["u"].CredInfos) != 1 {
		t.Errorf("%v, %+v", err, scrams)
	}
	checkQuota(t, admin, client)
}

func checkQuota(t *testing.T, admin *kadm.Client, client *kgo.Client) {
	ctx, id := deadline(t), "app"
	entry := kadm.AlterClientQuotaEntry{
		Entity: kadm.ClientQuotaEntity{{Type: "client-id", Name: &id}},
		Ops:    []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 10_000}},
	}
	if set, err := admin.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{entry}); err != nil || set[0].Err != nil {
		t.Fatal(err, set)
	}
	if told, err := admin.DescribeClientQuotas(ctx, true, []kadm.DescribeClientQuotaComponent{{Type: "client-id", MatchName: &id}}); err != nil || len(told) != 1 || told[0].Values[0].Value != 10_000 {
		t.Errorf("%v, %+v", err, told)
	}
	began := time.Now()
	for range 4 { // 160 kB of 10 kB/s, of which ten seconds' worth is free
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: make([]byte, 40_000)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("not throttled: %v", took)
	}
}

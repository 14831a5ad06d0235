package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lockstep/lockstep/core/record"
)

// appendToMetadata adds a batch of one record to a stopped node's metadata log.
func appendToMetadata(t *testing.T, p *proc, value []byte) {
	t.Helper()
	file := filepath.Join(p.data(), "__cluster_metadata-0", "00000000000000000000.log")
	log, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var last record.Batch
	for rest := log; len(rest) > 0; {
		if last, rest, err = record.Parse(rest); err != nil {
			t.Fatal(err)
		}
	}
	b := record.NewBuilder(nil, record.BatchOptions{BaseOffset: last.NextOffset(), LeaderEpoch: last.LeaderEpoch(), ProducerID: record.NoProducerID, ProducerEpoch: -1, BaseSequence: -1})
	b.Append(last.MaxTimestamp(), nil, value)
	if err := os.WriteFile(file, append(log, b.Build()...), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestNodeThatCannotReadTheMetadataStopsAndSaysSo(t *testing.T) {
	t.Parallel()
	p := single(t)
	if code := p.terminate(); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	appendToMetadata(t, p, []byte{1, 3, 0, 0xff}) // a PartitionRecord that ends too early
	failsWith(t, p, "log directory lockstep-data failed: __cluster_metadata-0: metadata: batch at")
}

// A directory of Apache Kafka's may have features on that are not here; both sides would only say UNSUPPORTED_VERSION for ever.
func TestNodeNamesTheFeaturesThatItDoesNotHave(t *testing.T) {
	t.Parallel()
	p := single(t)
	if code := p.terminate(); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	const name = "share.version"
	appendToMetadata(t, p, append(append([]byte{1, 12, 0, byte(len(name) + 1)}, name...), 0, 1, 0)) // a FeatureLevelRecord
	p.start()
	p.awaitLog("UNSUPPORTED_VERSION")
	p.awaitLog("does not have: share.version 1")
}

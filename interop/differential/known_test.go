package differential

import "testing"

func TestKnownDifferencesHaveReasons(t *testing.T) {
	known, err := ReadKnown("known.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range known.rules {
		if r.reason == "" {
			t.Errorf("%s | %s | %s has no reason", r.api, r.story, r.path)
		}
	}
	d := Difference{API: "DescribeQuorum", Story: "quorum: right 1", Path: "Topics[__cluster_metadata].Partitions[0].HighWatermark"}
	if known.reason(d) == "" {
		t.Error("a rule with brackets in what it matches does not match")
	}
	d.Path = "ErrorCode"
	if known.reason(d) != "" {
		t.Error("an error code is taken for a known difference")
	}
}

func TestADifferenceIsFound(t *testing.T) {
	r := run{prefix: "d1-"}
	kafka := map[string]string{"Topics holds": "a b", "Topics[a].ErrorCode": "0", "Topics[b].ErrorCode": "3"}
	lock := map[string]string{"Topics holds": "a", "Topics[a].ErrorCode": "6"}
	r.compareFields("story", 3, 12, kafka, lock)
	r.compareFields("story", 3, 13, kafka, lock)
	found := merge(r.found)
	if len(found) != 2 {
		t.Fatalf("%d differences, want 2: %v", len(found), found)
	}
	if got, want := found[0].String(), "Metadata v12-13 [story] Topics holds: Kafka b, lockstepd no more than that"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := found[1].String(), "Metadata v12-13 [story] Topics[a].ErrorCode: Kafka 0, lockstepd 6"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

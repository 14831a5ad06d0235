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
}

func TestARuleIsAsNarrowAsItSays(t *testing.T) {
	r, err := readRule("DescribeQuorum 0-1 | quorum: * | *.HighWatermark | * / 5 | the logs are not equally long")
	if err != nil {
		t.Fatal(err)
	}
	d := Difference{API: "DescribeQuorum", Versions: []int16{0, 1}, Story: "quorum: right 1", Path: "Topics[__cluster_metadata].Partitions[0].HighWatermark", Kafka: "7", Lockstep: "5"}
	if !r.covers(&d) {
		t.Error("a difference is not covered by its rule")
	}
	for what, change := range map[string]func(d *Difference){
		"API":     func(d *Difference) { d.API = "DescribeCluster" },
		"version": func(d *Difference) { d.Versions = []int16{0, 1, 2} },
		"story":   func(d *Difference) { d.Story = "random: request 5" },
		"field":   func(d *Difference) { d.Path = "ErrorCode" },
		"value":   func(d *Difference) { d.Lockstep = "6" },
	} { // order: independent cases
		other := d
		if change(&other); r.covers(&other) {
			t.Errorf("another %s is covered, too", what)
		}
	}
	for _, bad := range []string{"A | s | p | v | reason", "A x | s | p | v | reason", "A 1 | s | p | reason"} {
		if _, err := readRule(bad); err == nil {
			t.Errorf("%q is a rule", bad)
		}
	}
}

func TestADifferenceIsFound(t *testing.T) {
	r := run{prefix: "d1-"}
	kafka := map[string]string{"Topics holds": "a b", "Topics[a].ErrorCode": "0", "Topics[b].ErrorCode": "3"}
	lock := map[string]string{"Topics holds": "a", "Topics[a].ErrorCode": "6"}
	r.compareFields("story", "", 3, 12, kafka, lock)
	r.compareFields("story", "", 3, 13, kafka, lock)
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

package sim

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func recordOf(seed uint64) *Record {
	return &Record{Seed: seed, Build: Build(), Digest: Digest(seed * 7), Verdict: Passed, Stats: Stats{Events: seed, Drawn: KindCounts{Kill: int(seed)}}}
}

func drawRecords(t *rapid.T, label string) (list []*Record) {
	for _, seed := range rapid.SliceOfN(rapid.Uint64Range(1, 20), 0, 12).Draw(t, label) {
		list = append(list, recordOf(seed))
	}
	return list
}

func merged(t rapid.TB, lists ...[]*Record) string {
	var all Results
	for _, list := range lists {
		for _, r := range list {
			if err := all.Add(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	var b strings.Builder
	if err := all.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestMergeIsCommutativeAndIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawRecords(t, "a"), drawRecords(t, "b")
		once := merged(t, a, b)
		if again := merged(t, b, a, b); again != once {
			t.Fatalf("%s\nis not\n%s", again, once)
		}
		var read Results
		if whole, err := read.Read(strings.NewReader(once)); err != nil || whole != int64(len(once)) {
			t.Fatalf("read %d of %d bytes: %v", whole, len(once), err)
		}
		var b2 strings.Builder
		if _ = read.Write(&b2); b2.String() != once {
			t.Fatalf("%s\nwas read as\n%s", once, b2.String())
		}
	})
}

func TestTwoDigestsOfOneSeedAreAnError(t *testing.T) {
	var all Results
	_ = all.Add(recordOf(3))
	other := recordOf(3)
	other.Digest++
	if err := all.Add(other); !errors.Is(err, ErrTwoDigests) || !strings.Contains(err.Error(), "seed 3") {
		t.Errorf("error %v", err)
	}
}

func TestResultsOfTwoBuildsAreAnError(t *testing.T) {
	var all Results
	_ = all.Add(recordOf(3))
	other := recordOf(4)
	other.Build = "c"
	if err := all.Add(other); !errors.Is(err, ErrTwoCampaigns) {
		t.Errorf("error %v", err)
	}
}

func TestResultsFileOfAnotherCampaignIsRefusedAndLeftAlone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "results.ndjson")
	text := merged(t, []*Record{recordOf(1)}) + "{"
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenResults(name, Variant{Length: time.Second}); !errors.Is(err, ErrTwoCampaigns) {
		t.Errorf("error %v", err)
	}
	if after, _ := os.ReadFile(name); string(after) != text {
		t.Errorf("the file is\n%s", after)
	}
}

func TestCampaignGoesOnAfterItsLastWholeLine(t *testing.T) {
	name := filepath.Join(t.TempDir(), "results.ndjson")
	whole := merged(t, []*Record{recordOf(1), recordOf(2)})
	if err := os.WriteFile(name, []byte(whole+`{"seed":3,"bui`), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := OpenResults(name, Variant{})
	if err != nil {
		t.Fatal(err)
	}
	if f.Len() != 2 || f.Find(3) != nil {
		t.Errorf("%d records", f.Len())
	}
	if err := errors.Join(f.Append(recordOf(3)), f.Close()); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(name); string(text) != whole+merged(t, []*Record{recordOf(3)}) {
		t.Errorf("the file is\n%s", text)
	}
}

func TestWhatIsNoRecordIsAnErrorThatNamesTheLine(t *testing.T) {
	for _, line := range []string{"junk", "{}", "[1]", `{"seed":1,"verdict":"passed","digest":"0000000000000001"}`, `{"seed":1,"build":"x","verdict":"nope"}`} {
		_, err := new(Results).Read(strings.NewReader(merged(t, []*Record{recordOf(1)}) + line + "\n"))
		if err == nil || !strings.Contains(err.Error(), "line 2: not a record") {
			t.Errorf("%s: error %v", line, err)
		}
	}
}

func TestShardsShareTheSeeds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		of, seeds := rapid.Uint64Range(1, 9).Draw(t, "of"), rapid.Uint64Range(0, 50).Draw(t, "seeds")
		owners := make([]int, seeds)
		for index := range of {
			s := Shard{Index: index, Of: of}
			share := uint64(0)
			for i := range seeds {
				if s.has(i) {
					owners[i]++
					share++
				}
			}
			if share != s.Share(seeds) {
				t.Fatalf("shard %s has %d of %d seeds and says %d", s, share, seeds, s.Share(seeds))
			}
		}
		for i, n := range owners {
			if n != 1 {
				t.Fatalf("%d shards have seed %d", n, i)
			}
		}
	})
}

func TestShardComesFromTheEnvironment(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		of   uint64
		want string
		fail bool
	}{
		{env: nil, want: ""},
		{env: map[string]string{"JOB_COMPLETION_INDEX": "3"}, of: 8, want: "3/8"},
		{env: map[string]string{"JOB_COMPLETION_INDEX": "3"}, fail: true},
		{env: map[string]string{"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "8"}, want: "4/8"},
		{env: map[string]string{"TEST_SHARD_INDEX": "0", "TEST_TOTAL_SHARDS": "2"}, want: "0/2"},
		{env: map[string]string{"TEST_SHARD_INDEX": "2", "TEST_TOTAL_SHARDS": "2"}, fail: true},
		{env: nil, of: 8, fail: true},
	} {
		s, err := ShardFromEnvironment(func(key string) string { return c.env[key] }, c.of)
		if s.String() != c.want || err != nil != c.fail {
			t.Errorf("%v, %d shards: %q, %v", c.env, c.of, s, err)
		}
	}
}

func TestFailFastReportsTheLowestSeedWhateverTheWorkers(t *testing.T) {
	o := FuzzOptions{From: 1, Seeds: 6, Variant: Variant{Length: time.Second}, FailFast: true}
	f := newFuzz(o)
	for _, seed := range []uint64{5, 2, 4} {
		r := recordOf(seed)
		r.Verdict, r.Promise = Violated, "P1"
		f.add(r)
	}
	f.sort()
	if len(f.Failures) != 1 || f.Failures[0].Seed != 2 {
		t.Errorf("failures %v", f.Failures)
	}
}

// A summary says by itself what it is a summary of: it may be kept.
func TestSummarySaysWhatWasRun(t *testing.T) {
	f := RunFuzz(FuzzOptions{From: 3, Seeds: 3, Variant: Variant{Length: time.Second, Unbounded: true}, Workers: 1})
	s := f.Summary()
	if s.Build != Build() || s.First != 3 || s.Last != 5 || s.Seeds != 3 || s.Length != time.Second || !s.Unbounded || s.SimulatedHours == 0 || s.Events == 0 || len(s.Faults) != len(Kinds()) || len(s.Coverage.Holes) == 0 {
		t.Errorf("%+v", s)
	}
	if f.Verdict() != Passed {
		t.Fatal(f.Verdict())
	}
	if f.Missing = 1; f.Verdict() != Inconclusive {
		t.Errorf("%s, though a seed is missing", f.Verdict())
	}
}

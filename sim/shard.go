package sim

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Shard is one of several equal parts of a campaign's seeds. The zero value is all of them.
type Shard struct {
	Index, Of uint64 // Index counts from 0
}

// has reports whether the i-th seed, from 0, is in the shard.
func (s Shard) has(i uint64) bool { return s.Of == 0 || i%s.Of == s.Index }

// Share is how many of so many seeds are in the shard.
func (s Shard) Share(seeds uint64) uint64 {
	if s.Of == 0 {
		return seeds
	}
	return (seeds + s.Of - 1 - s.Index) / s.Of
}

// String is the shard as ParseShard reads it; empty for all seeds.
func (s Shard) String() string {
	if s.Of == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Index, s.Of)
}

// ParseShard reads "i/n", i from 0 to n-1.
func ParseShard(text string) (Shard, error) {
	index, of, ok := strings.Cut(text, "/")
	s := Shard{}
	var err1, err2 error
	s.Index, err1 = strconv.ParseUint(index, 10, 64)
	s.Of, err2 = strconv.ParseUint(of, 10, 64)
	if !ok || err1 != nil || err2 != nil || s.Index >= s.Of {
		return Shard{}, fmt.Errorf("shard %q is not i/n with i from 0 to n-1", text)
	}
	return s, nil
}

// shardVariables are where schedulers of jobs say which of several a process is: Kubernetes' indexed jobs, Slurm's arrays,
// Bazel's sharded tests. First is where the numbers begin.
var shardVariables = []struct{ index, count, first string }{
	{index: "JOB_COMPLETION_INDEX"},
	{index: "SLURM_ARRAY_TASK_ID", count: "SLURM_ARRAY_TASK_COUNT", first: "SLURM_ARRAY_TASK_MIN"},
	{index: "TEST_SHARD_INDEX", count: "TEST_TOTAL_SHARDS"},
}

// errShardCount says that the environment tells which shard this is, and not of how many.
var errShardCount = errors.New("is set and nothing says of how many shards: give --shards N")

// ShardFromEnvironment is the shard that the process's scheduler gave it, all seeds if there is none. of is the number of
// shards if the environment does not say; 0 if nobody does, which is an error then.
func ShardFromEnvironment(getenv func(string) string, of uint64) (Shard, error) {
	for _, v := range shardVariables {
		text := getenv(v.index)
		if text == "" {
			continue
		}
		index, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return Shard{}, fmt.Errorf("%s=%q is not a number", v.index, text)
		}
		first, _ := strconv.ParseUint(getenv(v.first), 10, 64)
		if count, err := strconv.ParseUint(getenv(v.count), 10, 64); err == nil && of == 0 {
			of = count
		}
		if of == 0 {
			return Shard{}, fmt.Errorf("%s %w", v.index, errShardCount)
		}
		if index < first || index-first >= of {
			return Shard{}, fmt.Errorf("%s=%d is not one of %s from %d on", v.index, index, Count(of, "shard"), first)
		}
		return Shard{Index: index - first, Of: of}, nil
	}
	if of > 0 {
		return Shard{}, errors.New("--shards says how many there are, and nothing which of them this is: give --shard i/n")
	}
	return Shard{}, nil
}

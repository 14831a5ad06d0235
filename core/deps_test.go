package core_test

import (
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pure are the packages that any package of the core may import: they compute, and know neither
// time, nor the machine, nor another goroutine. (Of time and math/rand/v2 the tidy lint allows
// the types only.) What is not named here or in edges is forbidden: os, net, syscall, runtime,
// reflect, unsafe, log, scheduler/virtual, disk/simdisk, …
var pure = []string{
	"bytes", "cmp", "encoding/binary", "errors", "fmt", "iter", "maps", "math", "math/bits", "slices", "sort", "strconv", "strings",
	"time",         // Duration
	"unicode/utf8", // of names
}

const (
	compress = "github.com/klauspost/compress/"
	kafka    = "github.com/twmb/franz-go/pkg/"
)

// edges are the other imports, direct ones, with the reason of each.
var edges = map[string]map[string]string{
	"core/event":     {},
	"core/invariant": {},
	"core/buggify": {
		"math/rand/v2": "streams of random numbers, one a site",
	},
	"core/env": {
		"core/buggify": "rare paths that a simulated run arms",
		"core/event":   "where to say what happened",
		"scheduler":    "a seam",
		"disk":         "a seam",
		"network":      "a seam",
		"math/rand/v2": "streams of random numbers, one a purpose",
	},
	"core/config": {
		"net/url": "voters and listeners are URLs",
		"regexp":  "the clients that a metrics subscription is for", "regexp/syntax": "how large an expression is",
	},
	"core/record": {
		"hash/crc32":                "CRC-32C of a batch",
		"io":                        "the codecs' readers and writers",
		"sync":                      "pools of codecs: validation runs on many goroutines, off the loop",
		compress + "gzip":           "codec 1",
		compress + "s2":             "codec 2; the decoder only: the encoder differs between machines",
		"github.com/pierrec/lz4/v4": "codec 3",
		compress + "zstd":           "codec 4",
		kafka + "kerr":              "verdicts on a batch are Kafka's errors",
	},
	"core/wire": {
		"core/env": "connections, timers", "core/event": "lost connections", "core/invariant": "assertions",
		"core/record": "batches are checked where frames are decoded, off the loop",
		"network":     "frames", "scheduler": "request timeouts",
		"math/rand/v2": "jitter of reconnects",
		"sync":         "pools of decoded messages: decoding runs on many goroutines, off the loop",
		kafka + "kmsg": "requests and responses",
		kafka + "kerr": "error codes",
	},
	"core/storage": {
		"core/buggify": "names of its sites", "core/config": "how long a configured time is at most",
		"core/env": "disk and timers", "core/event": "appends, truncations", "core/invariant": "assertions",
		"core/record":             "what a log is made of",
		"disk":                    "segments, indexes, checkpoints",
		"network":                 "chunks of a read; frames that an append holds on to",
		"scheduler":               "timers of flush and retention",
		"hash/crc32":              "producer snapshots carry one",
		"math/rand/v2":            "segment.jitter.ms",
		"crypto/sha256":           "the cleaner knows a key by its hash",
		"encoding/base64":         "directory ids in meta.properties",
		"github.com/google/btree": "segments and sparse indexes: order and ranges",
		kafka + "kerr":            "answers about offsets and producers",
		"encoding/json":           "the clean-shutdown mark is JSON", "encoding/hex": "names of deleted directories", "path": "names of files",
	},
	"core/metadata": {
		"core/env": "where to say what was applied", "core/event": "partitions' names",
		"core/record":             "batches of the metadata log",
		"github.com/google/btree": "persistent trees: an image is a copy-on-write clone",
		kafka + "kbin":            "metadata records are written by hand",
	},
	"core/raft": {
		"core/buggify": "names of its sites",
		"core/env":     "all three seams", "core/event": "elections, commits", "core/invariant": "assertions",
		"core/record":  "control records: leader change, voters",
		"core/storage": "the metadata log is a log like any other",
		"core/wire":    "peers",
		"disk":         "quorum-state, snapshots", "network": "voters' addresses, chunks of a fetch",
		"scheduler":       "election and fetch timers",
		"math/rand/v2":    "election jitter",
		"encoding/json":   "quorum-state is JSON",
		"encoding/base64": "directory ids",
		kafka + "kmsg":    "quorum requests", kafka + "kerr": "error codes",
	},
	"core/controller": {
		"core/buggify": "names of its sites",
		"core/env":     "timers", "core/event": "what the controller decided", "core/invariant": "assertions",
		"core/metadata": "records and the image",
		"scheduler":     "broker sessions",
		"math/rand/v2":  "placement of replicas",
		"crypto/hmac":   "SCRAM keys", "crypto/sha256": "SCRAM keys", "crypto/sha512": "SCRAM keys", "hash": "SCRAM keys",
		"net/netip":               "quotas of addresses",
		"github.com/google/btree": "sessions and awaited offsets in order",
		kafka + "kmsg":            "requests and responses", kafka + "kerr": "error codes",
	},
	"core/replica": {
		"core/buggify": "names of its sites",
		"core/env":     "timers", "core/event": "leaderships, high watermarks", "core/invariant": "assertions",
		"core/metadata": "images and deltas to follow",
		"core/record":   "batches",
		"core/storage":  "partitions' logs",
		"core/wire":     "peers to fetch from; fetch responses",
		"network":       "frames and chunks",
		"scheduler":     "delayed produces and fetches",
		kafka + "kmsg":  "requests and responses", kafka + "kerr": "error codes",
	},
	"core/coordinator": {
		"core/buggify": "names of its sites",
		"core/env":     "timers", "core/event": "what was loaded",
		"core/metadata": "how many partitions the topic has",
		"core/record":   "batches",
		"core/replica":  "the partitions that this broker leads",
		"core/storage":  "reads of their logs",
		"scheduler":     "timers",
		kafka + "kerr":  "error codes",
	},
	"core/group": {
		"core/coordinator": "shards of __consumer_offsets",
		"core/env":         "timers",
		"core/invariant":   "assertions", "core/storage": "guards",
		"core/metadata": "which topics there are",
		"core/record":   "how the offsets topic is compressed",
		"core/replica":  "the runtime's partitions",
		"scheduler":     "sessions and rebalance timers",
		"math/rand/v2":  "member ids", "encoding/base64": "member ids in Kafka's form",
		"regexp": "topics that members subscribe to; linear in its input", "core/config": "how large an expression may be, and how long a time",
		kafka + "kmsg": "requests, responses and records", kafka + "kerr": "error codes", kafka + "kbin": "records that kmsg does not have",
	},
	"core/txn": {
		"core/buggify": "names of its sites", "core/coordinator": "shards of __transaction_state",
		"core/env": "timers", "core/event": "partitions' names",
		"core/metadata":           "who leads the partitions that are to have markers",
		"core/replica":            "the runtime's partitions",
		"scheduler":               "timeouts of transactions",
		"regexp":                  "which transactional ids to list; linear in its input",
		"github.com/google/btree": "transactional ids in order",
		kafka + "kmsg":            "records and markers", kafka + "kerr": "error codes",
	},
	"core/quota": {
		"core/metadata": "who has which limit",
		"scheduler":     "instants",
	},
	"core/api": {
		"core/txn":    "the transaction coordinator",
		"core/record": "markers", "core/storage": "guards and producer states",
		"core/coordinator": "which partition a group belongs to", "core/group": "the group coordinator",
		"core/buggify": "names of its sites",
		"core/env":     "connections, timers", "core/event": "bad requests", "core/invariant": "assertions",
		"core/config": "what is configured", "core/controller": "requests that write metadata",
		"core/metadata": "requests that read metadata", "core/raft": "the quorum's requests",
		"core/quota":   "what clients may use",
		"core/replica": "produce and fetch",
		"core/wire":    "requests and responses",
		"network":      "connections", "scheduler": "timers",
		"math/rand/v2": "ids of sessions and topics", "encoding/base64": "ids of metrics clients", "hash/crc32": "ids of metrics subscriptions",
		kafka + "kmsg": "requests and responses", kafka + "kerr": "error codes",
	},
	"core": {
		"core/buggify": "names of its sites",
		"core/env":     "what a broker is given", "core/event": "starting, ready, stopped",
		"core/api": "wiring", "core/config": "wiring", "core/group": "wiring", "core/invariant": "assertions", "core/record": "wiring", "core/txn": "wiring", "core/controller": "wiring", "core/metadata": "wiring", "core/raft": "wiring",
		"core/replica": "wiring", "core/storage": "wiring", "core/wire": "wiring",
		"disk": "the log directory", "network": "listeners", "scheduler": "heartbeats",
		"math/rand/v2": "ids drawn at first start", "encoding/base64": "the cluster id's text", "hash/fnv": "one cluster id for all that have the same voters",
		kafka + "kmsg": "registration and heartbeats", kafka + "kerr": "error codes",
	},
}

// badImports says which imports of a package are not allowed.
func badImports(fset *token.FileSet, p sourcePackage) (bad []string) {
	allowed := edges[p.path]
	for _, f := range p.files {
		for _, spec := range f.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			name := strings.TrimPrefix(imported, module)
			switch {
			case spec.Name != nil && (spec.Name.Name == "." || spec.Name.Name == "_"):
				bad = append(bad, complaint(fset, spec.Pos(), "import of %s as %q hides what is used", name, spec.Name.Name))
			case allowed == nil:
				return append(bad, complaint(fset, f.Package, "package %s is not in the table of core/deps_test.go", p.path))
			case allowed[name] == "" && !slices.Contains(pure, imported):
				bad = append(bad, complaint(fset, spec.Pos(), "%s may not import %s (core/deps_test.go says what it may, and why)", p.path, name))
			}
		}
	}
	return bad
}

func TestCoreImportsOnlyWhatTheTableAllows(t *testing.T) {
	s := core(t)
	for _, p := range s.packages {
		for _, bad := range badImports(s.fset, p) {
			t.Error(bad)
		}
		t.Logf("%s has no use for %q", p.path, unusedEdges(p))
	}
}

// unusedEdges are what the table allows a package without need; go test -v tells.
func unusedEdges(p sourcePackage) (unused []string) {
	used := map[string]bool{}
	for _, f := range p.files {
		for _, spec := range f.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			used[strings.TrimPrefix(imported, module)] = true
		}
	}
	for _, edge := range slices.Sorted(maps.Keys(edges[p.path])) {
		if !used[edge] {
			unused = append(unused, edge)
		}
	}
	return unused
}

func TestImportsOfCoreFormLayers(t *testing.T) {
	done := map[string]bool{}
	var visit func(pkg string, above []string)
	visit = func(pkg string, above []string) {
		if slices.Contains(above, pkg) {
			t.Errorf("the table allows the cycle %s", strings.Join(append(above, pkg), " → "))
		}
		if done[pkg] {
			return
		}
		done[pkg] = true
		for imported := range edges[pkg] {
			visit(imported, append(slices.Clone(above), pkg))
		}
	}
	for pkg := range edges {
		visit(pkg, nil)
	}
}

func TestEveryEdgeHasAReason(t *testing.T) {
	for pkg, imports := range edges {
		for imported, reason := range imports {
			if reason == "" || slices.Contains(pure, imported) {
				t.Errorf("%s → %s: reason %q; pure packages need no edge", pkg, imported, reason)
			}
		}
	}
}

func TestImportLintFires(t *testing.T) {
	const text = `package raft

import (
	"fmt"
	. "strings"
	"os"
	"net"

	"github.com/lockstep/lockstep/core/api"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/disk/simdisk"
	v "github.com/lockstep/lockstep/scheduler/virtual"
)
`
	const says = " (core/deps_test.go says what it may, and why)"
	expectComplaints(t, badImports, "core/raft", text,
		`planted.go:5: import of strings as "." hides what is used`,
		"planted.go:6: core/raft may not import os"+says,
		"planted.go:7: core/raft may not import net"+says,
		"planted.go:9: core/raft may not import core/api"+says,
		"planted.go:11: core/raft may not import disk/simdisk"+says,
		"planted.go:12: core/raft may not import scheduler/virtual"+says)
	expectComplaints(t, badImports, "core/novel", "package novel\n\nimport \"fmt\"\n",
		"planted.go:1: package core/novel is not in the table of core/deps_test.go")
}

// expectComplaints runs a lint on planted source.
func expectComplaints(t *testing.T, lint func(*token.FileSet, sourcePackage) []string, pkg, text string, want ...string) {
	t.Helper()
	fset, p := plant(t, pkg, text)
	if got := lint(fset, p); !slices.Equal(got, want) {
		t.Errorf("the lint says\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kgoModule holds franz-go's own tests against a broker.
const kgoModule = "github.com/twmb/franz-go"

// kgoRecords is what each of its flows moves; the default of 500,000 takes minutes.
const kgoRecords = "50000"

// kgo runs franz-go's own broker tests, calmly and with connections that die at random.
func kgoTests() *suite {
	return &suite{client: "franz-go's broker tests", patience: 10 * time.Minute, version: moduleVersion(kgoModule), need: func(context.Context, *env) error { return have("go") }, cases: []testCase{
		{"all tests", func(ctx context.Context, e *env) error { return runKgo(ctx, e, kgoRecords, "KGO_TEST_CHAOS=0") }},
		{"all tests, connection chaos", func(ctx context.Context, e *env) error { return runKgo(ctx, e, kgoRecords, "KGO_TEST_CHAOS=1") }},
	}}
}

// kgoMaySkip are tests that need what a plain cluster has not: SASL, or a broker that is very old.
var kgoMaySkip = map[string]bool{"TestSCRAMAuth": true, "TestSCRAMAuthBadCredentials": true, "TestOAuthAuth": true, "TestIssueProduceBrokerTooOldFailsRecords": true}

// buildKgo makes the test binary for all clusters whose folders lie in work.
func buildKgo(ctx context.Context, work string) (binary string, err error) {
	binary = filepath.Join(work, "kgo.test")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	return binary, quiet(ctx, "", "go", "test", "-c", "-o", binary, kgoModule+"/pkg/kgo")
}

func runKgo(ctx context.Context, e *env, records, chaos string) error {
	binary, err := buildKgo(ctx, filepath.Dir(e.dir))
	if err != nil {
		return err
	}
	source, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", kgoModule).Output()
	if err != nil {
		return err
	}
	hasNewGroups, err := e.serves(ctx, kmsg.ConsumerGroupHeartbeat)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, binary, "-test.v", "-test.timeout", "10m", "-test.skip", "Fuzz|Share")
	cmd.Dir = filepath.Join(strings.TrimSpace(string(source)), "pkg", "kgo") // some tests read the package's source
	cmd.Env = append(cmd.Environ(), "KGO_SEEDS="+e.bootstrap, "KGO_TEST_RF="+strconv.Itoa(int(e.replicas())), "KGO_TEST_RECORDS="+records, "KGO_LOG_LEVEL=none", chaos)
	out, err := cmd.CombinedOutput()
	return judgeKgo(string(out), hasNewGroups, err)
}

// serves says whether the cluster has an API.
func (e *env) serves(ctx context.Context, key kmsg.Key) (bool, error) {
	client, err := e.franz()
	if err != nil {
		return false, err
	}
	defer client.Close()
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, client)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(resp.ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool { return k.ApiKey == int16(key) }), nil
}

// judgeKgo names the tests that failed, or that were skipped without a reason that we accept: those of KIP-848 skip themselves where a cluster has
// no such groups.
func judgeKgo(out string, hasNewGroups bool, err error) error {
	var bad []string
	lines := bufio.NewScanner(strings.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 3 || f[0] != "---" {
			continue
		}
		maySkip := kgoMaySkip[f[2]] || !hasNewGroups && strings.Contains(f[2], "848")
		if f[1] == "FAIL:" || f[1] == "SKIP:" && !maySkip {
			bad = append(bad, strings.ToLower(f[1])+" "+f[2])
		}
	}
	switch {
	case len(bad) > 0:
		return fmt.Errorf("%s", strings.Join(bad, ", "))
	case err != nil:
		return fmt.Errorf("%w: %s", err, lastLineOf(out))
	}
	return nil
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

func kcat() *suite {
	return &suite{client: "kcat", version: kcatVersion, need: installed("kcat", "kcat"), cases: []testCase{
		{"produce and consume", kcatCodecs},
		{"classic group", kcatGroup},
		{"cluster description", kcatList},
	}}
}

func kcatVersion() string {
	out, _ := exec.Command("kcat", "-V").CombinedOutput()
	_, version, _ := strings.Cut(string(out), "Version ")
	version, _, _ = strings.Cut(version, " ")
	return version
}

func runKcat(ctx context.Context, in string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "kcat", args...)
	var out, logged bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &out, &logged
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kcat %s: %v: %s", strings.Join(args, " "), err, lastLineOf(logged.String()))
	}
	return out.String(), nil
}

func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

// kcatCodecs produces through one broker and reads back through another.
func kcatCodecs(ctx context.Context, e *env) error {
	sent, brokers := lines(50000), e.brokers()
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		topic, err := e.topic(ctx, 1, nil)
		if err != nil {
			return err
		}
		if _, err := runKcat(ctx, sent, "-b", brokers[0], "-P", "-t", topic, "-z", codec, "-X", "acks=all", "-X", "enable.idempotence=true"); err != nil {
			return err
		}
		got, err := runKcat(ctx, "", "-b", brokers[len(brokers)-1], "-C", "-t", topic, "-o", "beginning", "-e", "-q")
		if err != nil {
			return err
		}
		if got != sent {
			return fmt.Errorf("%s: %d bytes came back of %d, or in another order", codec, len(got), len(sent))
		}
	}
	return nil
}

func kcatGroup(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	group := e.name("g")
	for range 2 {
		if _, err := runKcat(ctx, lines(100), "-b", e.first(), "-P", "-t", topic); err != nil {
			return err
		}
		got, err := runKcat(ctx, "", "-b", e.first(), "-G", group, "-q", "-e", "-X", "auto.offset.reset=earliest", topic)
		if err != nil {
			return err
		}
		if got != lines(100) {
			return fmt.Errorf("%d bytes came back of %d", len(got), len(lines(100)))
		}
	}
	return nil
}

func kcatList(ctx context.Context, e *env) error {
	out, err := runKcat(ctx, "", "-b", e.first(), "-L")
	if err == nil && !strings.Contains(out, fmt.Sprintf(" %d brokers:", e.nodes)) {
		err = fmt.Errorf("kcat -L does not tell of %d brokers:\n%s", e.nodes, out)
	}
	return err
}

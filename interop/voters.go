package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const quorumCommand = "org.apache.kafka.tools.MetadataQuorumCommand"

// javaVoters brings the voters of a cluster of its own into the metadata log, and takes one out of it and in again (KIP-853).
func javaVoters(ctx context.Context, e *env) error {
	c, err := e.other(ctx)
	if err != nil {
		return err
	}
	defer c.stop()
	if c.nodes < 2 {
		return fmt.Errorf("%w: one controller alone cannot go", errSkip)
	}
	tool := func(class string, args ...string) (string, error) {
		return e.java(ctx, "", class, append([]string{"--bootstrap-server", c.bootstrap}, args...)...)
	}
	if out, err := tool("org.apache.kafka.tools.FeatureCommand", "upgrade", "--feature", "kraft.version=1"); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	dir := filepath.Join(c.dir, "lockstep-data", "node-2")
	id, err := directoryID(dir)
	if err != nil {
		return err
	}
	if out, err := tool(quorumCommand, "remove-controller", "--controller-id", "2", "--controller-directory-id", id); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := awaitVoter(ctx, tool, id, false); err != nil {
		return err
	}
	properties := filepath.Join(e.dir, "controller.properties")
	text := fmt.Sprintf("node.id=2\nprocess.roles=controller\ncontroller.listener.names=CONTROLLER\nlisteners=CONTROLLER://%s\nlog.dirs=%s\n",
		strings.Split(c.controllers, ",")[1], dir)
	if err := os.WriteFile(properties, []byte(text), 0o644); err != nil {
		return err
	}
	if out, err := tool(quorumCommand, "--command-config", properties, "add-controller"); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := awaitVoter(ctx, tool, id, true); err != nil {
		return err
	}
	logs, _ := filepath.Glob(filepath.Join(dir, "__cluster_metadata-0", "*.log"))
	out, err := e.java(ctx, "", "org.apache.kafka.tools.DumpLogSegments", "--cluster-metadata-decoder", "--files", strings.Join(logs, ","))
	if n := strings.Count(out, "KRaftVoters"); err != nil || n != 3 || strings.Count(out, "KRaftVersion ") != 1 {
		return fmt.Errorf("kafka-dump-log finds %d voter sets in the log, not 3: %v", n, err)
	}
	return nil
}

func directoryID(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "meta.properties"))
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile(`(?m)^directory\.id=(\S+)$`).FindSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("no directory.id in %s", dir)
	}
	return string(m[1]), nil
}

// awaitVoter waits until a directory is a voter's or none's: who removed itself has to be followed by another leader first.
func awaitVoter(ctx context.Context, tool func(class string, args ...string) (string, error), id string, want bool) error {
	for {
		out, err := tool(quorumCommand, "describe", "--status")
		voters, _, _ := strings.Cut(out, "CurrentObservers")
		_, voters, found := strings.Cut(voters, "CurrentVoters")
		if err == nil && found && strings.Contains(voters, id) == want {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("controller %s a voter: not %t: %w: %s", id, want, ctx.Err(), out)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

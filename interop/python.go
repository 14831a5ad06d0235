package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const pythonPackages = "python/requirements.txt"

func pythonSuites() []*suite {
	return []*suite{
		pythonSuite("librdkafka (confluent-kafka)", "confluent-kafka", "confluent.py", "produce and consume", "idempotent producer", "offset by timestamp", "classic group", "cooperative group",
			"consumer group (KIP-848)", "transactions", "exactly once", "topic administration", "configuration", "delete records", "group administration", "cluster description"),
		pythonSuite("kafka-python", "kafka-python", "kafka_python.py", "produce and consume", "offset by timestamp", "classic group", "transactions", "topic administration"),
		pythonSuite("aiokafka", "aiokafka", "aio.py", "produce and consume", "idempotent producer", "classic group", "transactions", "topic administration"),
	}
}

func pythonSuite(client, pkg, file string, features ...string) *suite {
	return &suite{
		client:  client,
		version: func() string { return pinned(pythonPackages, pkg+"==") },
		need:    needPython,
		script: &script{features: features, command: func(e *env) *exec.Cmd {
			return &exec.Cmd{Path: python(e), Args: []string{"python", filepath.Join("python", file)}}
		}},
	}
}

func python(e *env) string { return filepath.Join(e.cache, "python", "bin", "python") }

func needPython(ctx context.Context, e *env) error {
	if err := have("python3"); err != nil {
		return err
	}
	_, err := once(e, "python", pythonPackages, func(dir string) error {
		if err := quiet(ctx, "", "python3", "-m", "venv", dir); err != nil {
			return err
		}
		return quiet(ctx, "", filepath.Join(dir, "bin", "pip"), "install", "-q", "-r", pythonPackages)
	})
	return err
}

// pinned is the version that a file pins after a prefix.
func pinned(file, prefix string) string {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), prefix); ok {
			v, _, _ = strings.Cut(v, "<")
			return strings.Trim(v, `",`)
		}
	}
	return ""
}

package main

import (
	"context"
	"os/exec"
)

// confluent is a program of a module of its own: its client is librdkafka, which needs a C compiler.
func confluent() *suite {
	return &suite{
		client: "confluent-kafka-go",
		version: func() string {
			return pinned("confluent/go.mod", "require github.com/confluentinc/confluent-kafka-go/v2 ")
		},
		need: needConfluent,
		script: &script{
			features: []string{"produce and consume", "idempotent producer", "offset by timestamp", "classic group", "cooperative group", "consumer group (KIP-848)", "transactions", "exactly once",
				"topic administration", "configuration", "delete records", "group administration", "cluster description"},
			command: func(e *env) *exec.Cmd {
				program, _ := exec.LookPath("go") // needConfluent has used it
				return &exec.Cmd{Path: program, Args: []string{"go", "run", "."}, Dir: "confluent", Env: []string{"CGO_ENABLED=1"}}
			},
		},
	}
}

func needConfluent(ctx context.Context, _ *env) error {
	if err := have("go", "gcc"); err != nil {
		return err
	}
	return quiet(ctx, "confluent", "go", "list", "-deps", ".") // fetches the module
}

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

const nodePackages = "node/package.json"

func nodeSuites() []*suite {
	return []*suite{
		nodeSuite("kafkajs", "kafkajs.mjs", "produce and consume", "idempotent producer", "classic group", "transactions", "topic administration", "configuration", "delete records",
			"group administration", "cluster description"),
		nodeSuite("@platformatic/kafka", "platformatic.mjs", "produce and consume", "idempotent producer", "classic group", "consumer group (KIP-848)", "topic administration", "group administration"),
	}
}

func nodeSuite(client, file string, features ...string) *suite {
	return &suite{
		client:  client,
		version: func() string { return pinned(nodePackages, `"`+client+`": "`) },
		need:    needNode,
		script: &script{features: features, command: func(e *env) *exec.Cmd {
			node, _ := exec.LookPath("node") // needNode has found it
			return &exec.Cmd{Path: node, Args: []string{"node", filepath.Join(e.cache, "node", file)}}
		}},
	}
}

// needNode installs the clients, and copies the scripts beside them: Node looks for a module beside who imports it.
func needNode(ctx context.Context, e *env) error {
	if err := have("node", "npm"); err != nil {
		return err
	}
	dir, err := once(e, "node", nodePackages, func(dir string) error {
		if err := os.CopyFS(dir, os.DirFS("node")); err != nil {
			return err
		}
		return quiet(ctx, dir, "npm", "install", "--silent", "--no-audit", "--no-fund")
	})
	if err != nil {
		return err
	}
	scripts, _ := filepath.Glob("node/*.mjs")
	for _, s := range scripts {
		text, err := os.ReadFile(s)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(s)), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

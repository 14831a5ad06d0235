package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// daemon is the program under test, built once.
var daemon string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lockstepd-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	defer os.RemoveAll(dir)
	daemon = filepath.Join(dir, "lockstepd")
	if out, err := exec.Command("go", "build", "-o", daemon, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building lockstepd: %v\n%s", err, out)
		return exitFailed
	}
	return m.Run()
}

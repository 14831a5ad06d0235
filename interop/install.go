package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// installed says whether a program is there, and if not whether apt can bring it.
func installed(program, debianPackage string) func(ctx context.Context, e *env) error {
	return func(ctx context.Context, e *env) error {
		if _, err := exec.LookPath(program); err == nil {
			return nil
		}
		if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
			return fmt.Errorf("%s is not installed, and apt or root to install it is missing", program)
		}
		if err := quiet(ctx, "", "apt-get", "update"); err != nil {
			return err
		}
		return quiet(ctx, "", "apt-get", "install", "-y", debianPackage)
	}
}

// quiet runs a program whose output matters only when it fails.
func quiet(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %v: %s", program, strings.Join(args, " "), err, lastLineOf(string(out)))
	}
	return nil
}

// once runs install unless it succeeded before with the same recipe; its folder is the place for what it installs.
func once(e *env, name, recipe string, install func(dir string) error) (dir string, err error) {
	dir = filepath.Join(e.cache, name)
	text, err := os.ReadFile(recipe)
	if err != nil {
		return "", err
	}
	stamp := filepath.Join(dir, "installed")
	if before, err := os.ReadFile(stamp); err == nil && string(before) == string(text) {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := install(dir); err != nil {
		return "", err
	}
	return dir, os.WriteFile(stamp, text, 0o644)
}

func have(programs ...string) error {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("%s is not installed", p)
		}
	}
	return nil
}

func lastLineOf(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

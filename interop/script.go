package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// script is a suite in another language. It gets the features to try as arguments, BOOTSTRAP, REPLICAS and RUN in its
// environment, and prints a line for each: "pass FEATURE", "fail FEATURE: why" or "skip FEATURE: why".
type script struct {
	features []string
	command  func(e *env) *exec.Cmd
}

const scriptTimeout = 10 * time.Minute

func (s *script) run(ctx context.Context, e *env, base result, only func(string) bool, report func(result)) {
	waiting := map[string]bool{}
	var features []string
	for _, f := range s.features {
		if only(f) {
			waiting[f] = true
			features = append(features, f)
		}
	}
	if len(features) == 0 {
		return
	}
	tail, err := s.start(ctx, e, features, func(o outcome, feature, detail string, took time.Duration) {
		delete(waiting, feature)
		r := base
		r.Outcome, r.Feature, r.Detail, r.Took = o, feature, detail, took
		report(r)
	})
	for _, f := range features {
		if waiting[f] {
			r := base
			r.Outcome, r.Feature, r.Detail = fail, f, fmt.Sprintf("the script did not say: %v; %s", err, tail)
			report(r)
		}
	}
}

// start runs the script and returns the last line of what it logged.
func (s *script) start(ctx context.Context, e *env, features []string, say func(outcome, string, string, time.Duration)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, scriptTimeout)
	defer cancel()
	plain := s.command(e)
	cmd := exec.CommandContext(ctx, plain.Path, append(plain.Args[1:], features...)...)
	cmd.Dir, cmd.WaitDelay = plain.Dir, 5*time.Second
	cmd.Env = append(os.Environ(), "BOOTSTRAP="+e.bootstrap, "REPLICAS="+strconv.Itoa(int(e.replicas())), fmt.Sprintf("RUN=%x", e.run))
	cmd.Env = append(cmd.Env, plain.Env...)
	logged, err := os.Create(filepath.Join(e.dir, "stderr"))
	if err != nil {
		return "", err
	}
	defer logged.Close()
	cmd.Stderr = logged
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	readVerdicts(out, say)
	err = cmd.Wait()
	return lastLine(logged.Name()), err
}

func readVerdicts(out io.Reader, say func(outcome, string, string, time.Duration)) {
	began := time.Now()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		verdict, rest, _ := strings.Cut(lines.Text(), " ")
		feature, detail, _ := strings.Cut(rest, ": ")
		switch o := outcome(verdict); o {
		case pass, fail, skip:
			say(o, feature, detail, time.Since(began))
			began = time.Now()
		}
	}
}

func lastLine(name string) string {
	text, _ := os.ReadFile(name)
	return lastLineOf(string(text))
}

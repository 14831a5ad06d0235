package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"
)

// suite is what one client or tool is tried with.
type suite struct {
	client   string
	version  func() string
	need     func(ctx context.Context, e *env) error // nil, or why the machine cannot run it
	cases    []testCase
	patience time.Duration // with one case, where it is not the usual one
	script   *script       // instead of cases, for a client in another language
}

// testCase tries a feature; its name is a row of docs/COMPATIBILITY.md.
type testCase struct {
	feature string
	run     func(ctx context.Context, e *env) error
}

// env is where a suite runs.
type env struct {
	*cluster
	dir      string // scratch, of this suite alone
	cache    string // what is installed, kept between runs
	binary   string // lockstepd; empty where the cluster is somebody else's
	other    func(ctx context.Context) (*cluster, error)
	run      int64
	patience time.Duration // with one case
	names    int
}

// name gives a name for a topic or a group that nobody else uses.
func (e *env) name(what string) string {
	e.names++
	return fmt.Sprintf("%s-%x-%d", what, e.run, e.names)
}

type outcome string

const (
	pass outcome = "pass"
	fail outcome = "fail"
	skip outcome = "skip"
)

// result is what came of one case.
type result struct {
	Client  string
	Version string
	Feature string
	Nodes   int
	Outcome outcome
	Detail  string        `json:",omitempty"`
	Took    time.Duration `json:"-"`
}

// errSkip wraps why a case does not apply here.
var errSkip = errors.New("skipped")

// run tries all cases and tells report of each.
func (s *suite) run(ctx context.Context, e *env, only func(feature string) bool, report func(result)) {
	base := result{Client: s.client, Nodes: e.nodes}
	if s.need != nil {
		if err := s.need(ctx, e); err != nil {
			base.Feature, base.Outcome, base.Detail = "all", skip, err.Error()
			report(base)
			return
		}
	}
	base.Version = s.version()
	if s.patience != 0 {
		e.patience = s.patience
	}
	if s.script != nil {
		s.script.run(ctx, e, base, only, report)
		return
	}
	for _, c := range s.cases {
		if only(c.feature) {
			report(c.try(ctx, e, base))
		}
	}
}

func (c *testCase) try(ctx context.Context, e *env, r result) result {
	ctx, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	began := time.Now()
	err := c.guarded(ctx, e)
	r.Feature, r.Took, r.Outcome = c.feature, time.Since(began), pass
	switch {
	case errors.Is(err, errSkip):
		r.Outcome, r.Detail = skip, err.Error()
	case err != nil:
		r.Outcome, r.Detail = fail, err.Error()
	}
	return r
}

// guarded returns when the time is over even where a client does not, and survives a client's panic.
func (c *testCase) guarded(ctx context.Context, e *env) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		done <- c.run(ctx, e)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(5 * time.Second):
		return fmt.Errorf("the client hangs: %w", ctx.Err())
	}
}

func newEnv(c *cluster, work, cache, client string, patience time.Duration) (*env, error) {
	dir := filepath.Join(work, fmt.Sprintf("%s-%d", strings.ReplaceAll(client, "/", "-"), c.nodes))
	return &env{cluster: c, dir: dir, cache: cache, run: rand.Int64N(1 << 32), patience: patience}, os.MkdirAll(dir, 0o755)
}

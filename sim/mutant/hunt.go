package mutant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// Hunt is how long to look for a mutant, and what to do with what is found.
type Hunt struct {
	Budget time.Duration `json:"budget"`   // core time, of the program under test; in ns
	From   uint64        `json:"seedFrom"` // the first seed
	Seeds  uint64        `json:"seeds"`    // the most seeds
	Shrink bool          `json:"shrink"`
	Clean  string        `json:"-"` // the program without a mutant: what fails there as well proves nothing
}

// String is the hunt as flags of lockstep mutants.
func (h Hunt) String() string {
	text := fmt.Sprintf("--budget %s --seed-from %d --seeds %d", h.Budget, h.From, h.Seeds)
	if h.Shrink {
		text += " --shrink"
	}
	return text
}

// Report says whether a mutant was found, and how.
type Report struct {
	ID          string   `json:"id"`
	Title       string   `json:"title"`
	Tier        string   `json:"tier"`
	Found       bool     `json:"found"`
	Checker     string   `json:"checker,omitempty"`
	Expected    bool     `json:"expected"` // the checker is one of those that are to notice
	Promise     string   `json:"promise,omitempty"`
	Reason      string   `json:"reason,omitempty"`
	Seed        uint64   `json:"seed,omitempty"`
	Seeds       uint64   `json:"seeds"` // run, up to the one that found it
	CoreSeconds float64  `json:"coreSeconds"`
	Dirty       []uint64 `json:"dirty,omitempty"`    // seeds that fail without the mutant as well
	Directed    string   `json:"directed,omitempty"` // what the schedule written for it does: "fails", "passes"
	Faults      *int     `json:"faults,omitempty"`   // of the shrunk schedule
	Operations  *int     `json:"operations,omitempty"`
	Shrinking   *float64 `json:"shrinkingCoreSeconds,omitempty"`
	Error       string   `json:"error,omitempty"`
}

// hunt is a hunt under way.
type hunt struct {
	Hunt
	mutant  *Mutant
	program string
	report  *Report
	used    time.Duration
}

// Run builds a mutant and looks for a seed that shows it.
func (w *Workshop) Run(ctx context.Context, m *Mutant, o Hunt) *Report {
	r := &Report{ID: m.ID, Title: m.Title, Tier: m.Tier}
	program, err := w.Build(ctx, m.ID, m)
	if err == nil {
		h := hunt{Hunt: o, mutant: m, program: program, report: r}
		err = h.run(ctx, w.Schedule(m))
		_ = os.Remove(program)
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

func (h *hunt) run(ctx context.Context, schedule string) error {
	if schedule != "" {
		if err := h.direct(ctx, schedule); err != nil {
			return err
		}
	}
	if err := h.search(ctx); err != nil {
		return err
	}
	if h.report.Found && h.Shrink {
		h.shrink(ctx)
	}
	return nil
}

// direct plays the schedule that was written for the mutant.
func (h *hunt) direct(ctx context.Context, schedule string) error {
	_, code, err := h.exec(ctx, h.program, time.Minute, "replay", schedule, "--quiet", "--json")
	h.report.Directed = "passes"
	if code == 1 || code == 4 {
		h.report.Directed = "fails"
	}
	return err
}

// search runs seeds, some at a time, until one fails that does not without the mutant, by a checker that is to notice. The
// first that fails otherwise counts if no such comes: a mutant also moves what happens, into another bug perhaps.
func (h *hunt) search(ctx context.Context) error {
	next, end, n := h.From, h.From+h.Seeds, uint64(16)
	for next < end && h.used < h.Budget {
		n = min(n, end-next)
		before := h.used
		failure, err := h.fuzz(ctx, next, n)
		if !h.report.Found {
			h.report.CoreSeconds = h.used.Seconds()
		}
		if err != nil {
			return err
		}
		if failure == nil {
			next += n
			h.report.Seeds = next - h.From
			n = h.pace(n, h.used-before)
			continue
		}
		next = failure.Seed + 1
		h.report.Seeds = next - h.From
		if h.isDirty(ctx, failure.Seed) {
			h.report.Dirty = append(h.report.Dirty, failure.Seed)
			continue
		}
		if !h.report.Found || h.mutant.Expects(failure.checker()) {
			h.take(failure)
		}
		if h.report.Expected {
			break
		}
	}
	if h.report.Found {
		h.report.Seeds = h.report.Seed - h.From + 1
	}
	return nil
}

// pace is how many seeds to run next, after n took so long: some seconds' worth, within the budget.
func (h *hunt) pace(n uint64, took time.Duration) uint64 {
	each := max(took/time.Duration(n), time.Millisecond)
	return uint64(max(min(10*time.Second, h.Budget-h.used)/each, 1))
}

// crash stands for a checker where the run itself broke: a panic that is no assertion of the core.
const crash = "crash"

// failure is a seed that failed, as fuzz --json has it.
type failure struct {
	Seed                     uint64
	Promise, Checker, Reason string
}

func (f *failure) checker() string {
	if f.Checker == "" {
		return crash
	}
	return f.Checker
}

func (h *hunt) fuzz(ctx context.Context, from, seeds uint64) (*failure, error) {
	out, code, err := h.exec(ctx, h.program, 10*h.Budget, "fuzz", "--json", "--fail-fast", "--no-canary", "--workers", "1",
		"--seed-from", strconv.FormatUint(from, 10), "--seeds", strconv.FormatUint(seeds, 10))
	if err != nil {
		return nil, err
	}
	var summary struct{ Failures []failure }
	if err := json.Unmarshal(out, &summary); err != nil || code == 2 {
		return nil, fmt.Errorf("fuzz ended with %d: %.200s", code, out)
	}
	if len(summary.Failures) == 0 {
		return nil, nil
	}
	return &summary.Failures[0], nil
}

// isDirty reports whether a seed fails without the mutant too. It costs the mutant nothing.
func (h *hunt) isDirty(ctx context.Context, seed uint64) bool {
	used := h.used
	_, code, _ := h.exec(ctx, h.Clean, time.Minute, "replay", "--quiet", "--json", "--seed", strconv.FormatUint(seed, 10))
	h.used = used
	return code == 1 || code == 4
}

func (h *hunt) take(f *failure) {
	r := h.report
	r.Found, r.Seed, r.Promise, r.Checker, r.Reason = true, f.Seed, f.Promise, f.checker(), f.Reason
	r.CoreSeconds = h.used.Seconds()
	r.Expected = h.mutant.Expects(r.Checker)
}

// shrink asks for the smallest schedule that still shows it.
func (h *hunt) shrink(ctx context.Context) {
	out, _, err := h.exec(ctx, h.program, 2*time.Minute, "shrink", "--json", "--budget", "30s", "--seed", strconv.FormatUint(h.report.Seed, 10))
	var shrunk struct {
		Faults, Operations *int
		Seconds            *float64
	}
	if err == nil && json.Unmarshal(out, &shrunk) == nil {
		h.report.Faults, h.report.Operations, h.report.Shrinking = shrunk.Faults, shrunk.Operations, shrunk.Seconds
	}
}

// exec runs a program on one core and adds the core time that it took to what is used.
func (h *hunt) exec(ctx context.Context, program string, limit time.Duration, args ...string) (out []byte, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, max(limit, 5*time.Minute)) // of a busy machine; a mutant may also hang
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	c.Env = append(os.Environ(), "GOMAXPROCS=1")
	out, err = c.Output()
	if c.ProcessState != nil {
		h.used += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
		code = c.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		err = nil // the code says it all
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%s: %w", args[0], ctx.Err())
	}
	return out, code, err
}

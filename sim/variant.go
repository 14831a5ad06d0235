package sim

import (
	"time"

	"github.com/lockstep/lockstep/scheduler/virtual"
)

// Variant is what a campaign wants of every schedule that it draws. The zero value takes them as they come.
type Variant struct {
	Length    time.Duration `json:"length,omitempty"`    // of the main phase, simulated, in ns; 0: as drawn
	Unbounded bool          `json:"unbounded,omitempty"` // losses of power and disks beyond what the promises survive
	Voters    bool          `json:"voters,omitempty"`    // voters come and go in all, not only in some
	LogDirs   bool          `json:"logDirs,omitempty"`   // every node has two log directories, likewise
}

// Draw is the schedule of a seed.
func (v Variant) Draw(seed uint64) *Schedule {
	o := DrawOptions(seed)
	if v.Length > 0 {
		o.For = v.Length
	}
	o.Unbounded = o.Unbounded || v.Unbounded
	s := &Schedule{Build: Build(), Scenario: "fuzz", Seed: seed}
	drawn := drawVariant(seed)
	if v.Voters || drawn.Voters {
		o.Cluster.drawControllers(seed)
		s.Faults = drawVoterFaults(seed, &o)
	}
	if v.LogDirs || drawn.LogDirs {
		o.Cluster.LogDirs = 2
		s.Faults = append(s.Faults, drawLogDirFaults(seed, &o)...)
	}
	s.Options, s.Faults = o, append(DrawFaults(seed, o), s.Faults...)
	SortFaults(s.Faults)
	return s
}

// drawVariant is what a seed is of itself: one in sixteen has voters that come and go, another one several log directories.
func drawVariant(seed uint64) Variant {
	n := virtual.Rand(seed, "options/variant").IntN(16)
	return Variant{Voters: n == 0, LogDirs: n == 1}
}

// Flags are the variant as flags of lockstep, each after a blank.
func (v Variant) Flags() (flags string) {
	if v.Length > 0 {
		flags += " --length " + v.Length.String()
	}
	if v.Unbounded {
		flags += " --unbounded"
	}
	if v.Voters {
		flags += " --voters"
	}
	if v.LogDirs {
		flags += " --log-dirs"
	}
	return flags
}

// variant is how the schedule differs from what its seed draws by default.
func (s *Schedule) variant() (v Variant) {
	options, drawn := DrawOptions(s.Seed), drawVariant(s.Seed)
	if s.Options.For != options.For {
		v.Length = s.Options.For
	}
	v.Unbounded = s.Options.Unbounded && !options.Unbounded
	v.Voters = s.Options.Cluster.Controllers > 0 && !drawn.Voters
	v.LogDirs = s.Options.Cluster.LogDirs > 1 && !drawn.LogDirs
	return v
}

// Draw is the schedule of a seed.
func Draw(seed uint64) *Schedule { return Variant{}.Draw(seed) }

// DrawFor is the schedule of a seed for another duration of its main phase; 0 keeps the drawn one.
func DrawFor(seed uint64, d time.Duration) *Schedule { return Variant{Length: d}.Draw(seed) }

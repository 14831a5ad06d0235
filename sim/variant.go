package sim

import "time"

// Variant is what a campaign wants of every schedule that it draws. The zero value takes them as they come.
type Variant struct {
	Length    time.Duration `json:"length,omitempty"`    // of the main phase, simulated, in ns; 0: as drawn
	Unbounded bool          `json:"unbounded,omitempty"` // losses of power and disks beyond what the promises survive
	Voters    bool          `json:"voters,omitempty"`    // voters come and go
	LogDirs   bool          `json:"logDirs,omitempty"`   // every node has two log directories
}

// Draw is the schedule of a seed.
func (v Variant) Draw(seed uint64) *Schedule {
	o := DrawOptions(seed)
	if v.Length > 0 {
		o.For = v.Length
	}
	o.Unbounded = o.Unbounded || v.Unbounded
	s := &Schedule{Build: Build(), Scenario: "fuzz", Seed: seed}
	if v.Voters {
		o.Cluster.drawControllers(seed)
		s.Faults = drawVoterFaults(seed, &o)
	}
	if v.LogDirs {
		o.Cluster.LogDirs = 2
		s.Faults = append(s.Faults, drawLogDirFaults(seed, &o)...)
	}
	s.Options, s.Faults = o, append(DrawFaults(seed, o), s.Faults...)
	SortFaults(s.Faults)
	return s
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
	drawn := DrawOptions(s.Seed)
	if s.Options.For != drawn.For {
		v.Length = s.Options.For
	}
	v.Unbounded = s.Options.Unbounded && !drawn.Unbounded
	v.Voters = s.Options.Cluster.Controllers > 0
	v.LogDirs = s.Options.Cluster.LogDirs > 1
	return v
}

// Draw is the schedule of a seed.
func Draw(seed uint64) *Schedule { return Variant{}.Draw(seed) }

// DrawFor is the schedule of a seed for another duration of its main phase; 0 keeps the drawn one.
func DrawFor(seed uint64, d time.Duration) *Schedule { return Variant{Length: d}.Draw(seed) }

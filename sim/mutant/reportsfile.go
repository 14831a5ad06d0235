package mutant

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lockstep/lockstep/sim"
)

// ErrOtherHunt says that a file has reports of another build, or of hunts that looked elsewhere.
var ErrOtherHunt = errors.New("reports of other hunts")

// ReportsFile is the reports of hunts on a disk: they grow by a line for each mutant, and who was interrupted goes on from there. Nil is
// none: it has no reports and keeps none.
type ReportsFile struct {
	*sim.LineFile
	of    Hunt
	known map[string]*Report
}

// line is a report in the file, with what it depends on.
type line struct {
	Build  string  `json:"build"`
	Hunt   Hunt    `json:"hunt"`
	Report *Report `json:"report"`
}

// OpenReports opens the reports of hunts of this build, or makes the file. It fails with ErrOtherHunt if there are others in it.
func OpenReports(name string, h Hunt) (*ReportsFile, error) {
	h.Clean = ""
	f := &ReportsFile{of: h, known: map[string]*Report{}}
	lines, err := sim.OpenLineFile(name, f.take)
	f.LineFile = lines
	return f, err
}

func (f *ReportsFile) take(text []byte) error {
	var l line
	if err := json.Unmarshal(text, &l); err != nil || l.Report == nil {
		return errors.Join(errors.New("not the report of a hunt"), err)
	}
	if l.Build != sim.Build() || l.Hunt != f.of {
		return fmt.Errorf("%w: %s of build %s, with %s; not of build %s, with %s", ErrOtherHunt, l.Report.ID, l.Build, l.Hunt, sim.Build(), f.of)
	}
	f.known[l.Report.ID] = l.Report
	return nil
}

// Find is the report of a mutant; nil if there is none, or only that of a hunt that failed.
func (f *ReportsFile) Find(id string) *Report {
	if f == nil || f.known[id] == nil || f.known[id].Error != "" {
		return nil
	}
	return f.known[id]
}

// Append adds a report to the file.
func (f *ReportsFile) Append(r *Report) error {
	if f == nil {
		return nil
	}
	return f.LineFile.Append(line{sim.Build(), f.of, r})
}

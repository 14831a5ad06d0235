package sim

import (
	"runtime/debug"
	"sync"
)

// version names the schedules' format and meaning.
const version = "lockstep-1"

// Build names the program in the schedules and results that it writes: the version, and the commit where it was built from one.
var Build = sync.OnceValue(func() string {
	revision, modified := vcs()
	switch {
	case revision == "":
		return version
	case modified:
		return version + "+" + revision + "-modified"
	}
	return version + "+" + revision
})

// vcs is the commit that the program was built from, empty if it does not know, and whether files differed from it.
func vcs() (revision string, modified bool) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", false
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value[:min(len(s.Value), 12)]
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	return revision, modified
}

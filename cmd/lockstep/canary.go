package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/lockstep/lockstep/sim"
)

// seesCanaries plays the canaries before a campaign. If one is missed the checkers are blind to something, and
// the campaign would prove nothing.
func (p *program) seesCanaries(asJSON bool) bool {
	missed := sim.MissedCanaries(sim.RunOptions{Interrupted: p.interrupted})
	if len(missed) == 0 {
		return true
	}
	fmt.Fprintf(p.err, "lockstep: the canary was not found (%s): the checkers are blind, whatever passes means nothing\n", strings.Join(missed, ", "))
	if asJSON {
		_ = json.NewEncoder(p.out).Encode(map[string]any{"verdict": sim.Broken, "missedCanaries": missed})
	}
	return false
}

package sim

import "io"

// Promise is a row of the table that a run is judged by: what a verdict's "P1 broken" is about.
type Promise struct {
	ID    string `json:"id"`
	With  string `json:"with"` // the configuration for which it is given
	Holds string `json:"holds"`
}

// Promises is the table.
func Promises() []Promise {
	return []Promise{
		{"P1", "acks=all, min.insync.replicas of 2 or more, no unclean election", "an acknowledged record stays at its offset in every later leader's log, through kills, partitions, pauses, and lost power within the budget"},
		{"P2", "flush.messages=1", "the same when every broker loses its power at once"},
		{"P3", "any", "replicas agree below the high watermark; one leader per partition and epoch; epochs and high watermarks never go back; the ISR is of eligible replicas"},
		{"P4", "any", "Raft: one leader an epoch, matching logs, complete leaders; the metadata at an offset is the same on every node"},
		{"P5", "idempotent producer", "no duplicate and no other order, per partition and session"},
		{"P6", "transactions", "atomic across partitions; read_committed sees no aborted and no open one; zombies are fenced; a group that copies copies each record once"},
		{"P7", "groups", "one owner per partition and generation; committed offsets move only by a live generation or a reset"},
		{"P8", "any", "recovery yields a prefix that has everything synced; no bytes with a bad CRC are served"},
		{"P9", "any, when all faults have ended, or have nothing to do with it", "a leader everywhere, full ISRs, every produce acknowledged, consumers at the end, no open transaction, within the time to settle"},
	}
}

// PrintPromises writes the table for people.
func PrintPromises(w io.Writer) {
	t := newLeftTable(w)
	for _, p := range Promises() {
		_ = t.Append(p.ID, p.With, p.Holds)
	}
	_ = t.Render()
}

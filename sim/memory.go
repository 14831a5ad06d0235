package sim

import (
	"runtime"
	"runtime/metrics"
)

// enoughToCollect is how much must have been allocated since the last collection, in bytes.
const enoughToCollect = 128 << 20

// collect frees what earlier runs have left, once it is much. Between two runs next to nothing is alive, so that it costs next to
// nothing; the collector of itself would come in the midst of a run, to a whole cluster. And memory that is used again costs the
// system no page faults.
func collect() {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Uint64() > sample[1].Value.Uint64()+enoughToCollect {
		runtime.GC()
	}
}

package main

import "runtime/debug"

// tuneMemory lets the heap grow further between collections than Go does by itself: it is small and
// mostly pooled buffers, so a collection costs more than the memory it gives back.
func tuneMemory() { debug.SetGCPercent(400) }

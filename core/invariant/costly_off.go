//go:build !invariants

package invariant

// Costly says whether assertions that walk whole structures are on (-tags invariants).
const Costly = false

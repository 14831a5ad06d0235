package virtual

import "math/rand/v2"

// Rand returns the random stream of a purpose: independent of all other labels, and the same on
// every machine.
func Rand(seed uint64, label string) *rand.Rand { return rand.New(rand.NewPCG(seed, hash(label))) }

// stream is a source that Reseed can start anew.
type stream struct {
	source *rand.PCG
	seed   uint64
	label  uint64
}

// Stream is Rand for what happens within a run: Reseed reaches it.
func (w *World) Stream(seed uint64, label string) *rand.Rand {
	s := stream{rand.NewPCG(seed^w.salt, hash(label)), seed, hash(label)}
	w.streams = append(w.streams, s)
	return rand.New(s.source)
}

// Reseed has all streams, those of now and of later, draw anew from here: what is still to happen becomes another, as salt says.
func (w *World) Reseed(salt uint64) {
	w.salt = salt
	for _, s := range w.streams {
		s.source.Seed(s.seed^salt, s.label)
	}
}

// hash is FNV-1a: our own, so that a seed outlives changes of the standard library.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

const digestSeed = 0x9e3779b97f4a7c15

// mix folds x into the digest d. The order of what is folded matters.
func mix(d, x uint64) uint64 {
	d = (d ^ x) * 0xff51afd7ed558ccd
	return d ^ d>>32
}

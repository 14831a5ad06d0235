package sim

import "testing"

// Seeds whose voters come and go keep every promise, are the same twice, and do change voters.
func TestSeedsWhoseVotersComeAndGo(t *testing.T) {
	changes, added, removed := Variant{Voters: true}, 0, 0
	for seed := uint64(1); seed <= 15; seed++ {
		s := changes.Draw(seed)
		first, second := Run(s, RunOptions{}), Run(s, RunOptions{})
		if first.Verdict() == Violated || first.Verdict() == Broken || first.Digest != second.Digest {
			t.Errorf("seed %d: %s: %s; digests %x and %x", seed, first.Verdict(), first.Reason(), first.Digest, second.Digest)
		}
		added, removed = added+first.Stats.Effective[AddVoter], removed+first.Stats.Effective[RemoveVoter]
	}
	if added < 5 || removed < 5 {
		t.Errorf("%d voters were added and %d removed", added, removed)
	}
}

// Without the variant a seed's schedule is what it was, and the variant can be told from it.
func TestVoterVariantAddsToASeed(t *testing.T) {
	plain, voters := Draw(3), Variant{Voters: true}.Draw(3)
	if plain.Options.Cluster.Controllers != 0 || plain.variant() != (Variant{}) {
		t.Errorf("%+v", plain.Options.Cluster)
	}
	if v := voters.variant(); !v.Voters || v.Flags() != " --voters" {
		t.Errorf("%+v", v)
	}
	again, err := ParseSchedule(voters.String())
	if err != nil || again.String() != voters.String() {
		t.Errorf("%v", err)
	}
}

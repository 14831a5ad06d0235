package mutant

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockstep/lockstep/sim"
)

func bank(t *testing.T) []*Mutant {
	t.Helper()
	all, err := Load(".")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEveryPatchApplies(t *testing.T) {
	for _, m := range bank(t) {
		files, err := m.Apply("../..")
		if err != nil {
			t.Error(err)
		}
		for name := range files { // order: independent checks
			if !strings.HasPrefix(name, "core/") && name != "sim/producer.go" && name != "sim/consumer.go" {
				t.Errorf("%s changes %s, which is neither of the core nor a client", m.ID, name)
			}
		}
	}
}

func TestEveryMutantCompiles(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the core several times")
	}
	w, err := NewWorkshop(".")
	if err != nil {
		t.Skip(err)
	}
	defer w.Close()
	for _, err := range w.Check(context.Background(), bank(t)) {
		t.Error(err)
	}
}

// A schedule that shows a mutant shows nothing if it fails without it.
func TestSchedulesOfMutantsPassWithoutThem(t *testing.T) {
	names, err := filepath.Glob("schedules/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, m := range bank(t) {
		ids[m.ID] = true
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := sim.ParseSchedule(string(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if id := strings.TrimSuffix(filepath.Base(name), ".txt"); !ids[id] {
			t.Errorf("%s is of no mutant", name)
		}
		if r := sim.Run(s, sim.RunOptions{}); r.Verdict() != sim.Passed {
			t.Errorf("%s: %s: %s", name, r.Verdict(), r.Reason())
		}
	}
}

const patch = `Id: M99
Title: Two and two is five
Source: 1984
Tier: A
Checkers: I1, H1
Faults: none

It adds up.

diff --git a/core/sum.go b/core/sum.go
--- a/core/sum.go
+++ b/core/sum.go
@@ -2,5 +2,5 @@
 
 func sum() int {
-	return 2 + 2
+	return 2 + 2 + 1
 }
 
`

func plant(t *testing.T, name, text string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := write(filepath.Join(dir, name), []byte(text)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestHeaderTellsWhatAMutantIs(t *testing.T) {
	m, err := parse("M99-sum.patch", []byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != "M99" || m.Title != "Two and two is five" || m.Source != "1984" || m.Tier != TierA || !m.Expects("I1") || !m.Expects("H1") || m.Expects("I2") ||
		m.Faults != "none" || m.Wrong != "It adds up." {
		t.Errorf("%+v", m)
	}
}

func TestHeaderMustBeComplete(t *testing.T) {
	for _, key := range []string{"Id: M99", "Title: Two and two is five", "Source: 1984", "Tier: A", "Checkers: I1, H1", "Faults: none", "It adds up."} {
		if _, err := parse("M99-sum.patch", []byte(strings.Replace(patch, key, "", 1))); err == nil {
			t.Errorf("without %q it is taken", key)
		}
	}
	if _, err := parse("M98-sum.patch", []byte(patch)); err == nil {
		t.Error("a file of another name is taken")
	}
}

func TestPatchFollowsItsLines(t *testing.T) {
	m, err := parse("M99-sum.patch", []byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	root := plant(t, "core/sum.go", "package core\n\n// One line more.\n\nfunc zero() int {\n\treturn 0\n}\n\nfunc sum() int {\n\treturn 2 + 2\n}\n\n")
	files, err := m.Apply(root)
	if err != nil || !strings.Contains(string(files["core/sum.go"]), "return 2 + 2 + 1\n}") || !strings.Contains(string(files["core/sum.go"]), "return 0\n}") {
		t.Errorf("%v\n%s", err, files["core/sum.go"])
	}
}

func TestPatchIsRefusedWhereItsLinesAreGone(t *testing.T) {
	m, err := parse("M99-sum.patch", []byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	root := plant(t, "core/sum.go", "package core\n\nfunc sum() int {\n\treturn 4\n}\n\n")
	if _, err := m.Apply(root); err == nil {
		t.Error("it applies")
	}
}

func TestIDsAreUnique(t *testing.T) {
	dir := plant(t, "M99-sum.patch", patch)
	if err := write(filepath.Join(dir, "M99-other.patch"), []byte(patch)); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("two mutants of one id are taken")
	}
}

func TestSelectionIsByIDAndTier(t *testing.T) {
	all := []*Mutant{{ID: "A1", Tier: TierA}, {ID: "B1", Tier: TierB}, {ID: "E1", Tier: Equivalent}}
	for _, c := range []struct {
		ids  []string
		tier string
		want string
	}{{nil, "", "A1 B1"}, {nil, TierB, "B1"}, {[]string{"E1"}, "", "E1"}, {[]string{"A1", "B1"}, TierA, "A1"}} {
		chosen, err := Select(all, c.ids, c.tier)
		var ids []string
		for _, m := range chosen {
			ids = append(ids, m.ID)
		}
		if err != nil || strings.Join(ids, " ") != c.want {
			t.Errorf("%v of tier %q: %v, %v", c.ids, c.tier, ids, err)
		}
	}
	if _, err := Select(all, []string{"M77"}, ""); err == nil {
		t.Error("an unknown id is taken")
	}
}

func TestSourceTreeIsFoundFromWithin(t *testing.T) {
	if root, err := findRoot("."); err != nil || filepath.Base(filepath.Dir(filepath.Join(root, "sim", "mutant"))) != "sim" {
		t.Errorf("%s, %v", root, err)
	}
	if _, err := findRoot(t.TempDir()); err == nil {
		t.Error("an empty directory is a source tree")
	}
}

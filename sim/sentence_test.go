package sim

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// What the run itself judges has a first cause, too, as sim/check's violations have: no call leaves it out.
func TestNoViolationOfTheRunLeavesTheFirstCauseOut(t *testing.T) {
	packages, err := parser.ParseDir(token.NewFileSet(), ".", func(i fs.FileInfo) bool { return !strings.HasSuffix(i.Name(), "_test.go") }, 0)
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	ast.Inspect(packages["sim"], func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 4 {
			return true
		}
		if method, ok := call.Fun.(*ast.SelectorExpr); !ok || method.Sel.Name != "violate" {
			return true
		}
		calls++
		if l, ok := call.Args[3].(*ast.BasicLit); ok && l.Value == `""` {
			t.Errorf("a call of violate leaves the first cause out")
		}
		return true
	})
	if calls < 6 {
		t.Errorf("only %d calls were found", calls)
	}
}

// A cluster that does not become well says since when, and what happened to whom it waits for. In brackets, so that a shrunk schedule may come to the same in
// another way.
func TestWhatIsStuckSaysWhatHappenedToIt(t *testing.T) {
	r := Run(brokenSchedule(), RunOptions{})
	cause := regexp.MustCompile(`; first cause: .* first at \d+\.\d{3} s \(broker 2 (was killed or stopped|lost its power|was fenced) at \d+\.\d{3} s\)$`)
	if reason := r.Reason(); !cause.MatchString(reason) {
		t.Error(reason)
	}
	if sig := r.signature(); strings.Contains(sig.cause, "killed") {
		t.Errorf("%+v", sig)
	}
}

// Each promise that a checker calls broken is in the table that tells people what it is.
func TestEveryPromiseThatCanBreakIsInTheTable(t *testing.T) {
	known := map[string]bool{}
	for _, p := range Promises() {
		known[p.ID] = true
	}
	used := map[string]bool{}
	for _, dir := range []string{".", "check"} {
		packages, err := parser.ParseDir(token.NewFileSet(), dir, func(i fs.FileInfo) bool { return !strings.HasSuffix(i.Name(), "_test.go") && i.Name() != "promise.go" }, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range packages { // order: a set
			ast.Inspect(p, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok && regexp.MustCompile(`^"P\d+"$`).MatchString(l.Value) {
					used[strings.Trim(l.Value, `"`)] = true
				}
				return true
			})
		}
	}
	if len(used) < 7 {
		t.Errorf("only %v were found", used)
	}
	for id := range used { // order: each alone
		if !known[id] {
			t.Errorf("%s is not in the table", id)
		}
	}
}

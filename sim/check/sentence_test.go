package check

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// A verdict is a sentence: the promise, what it was about and its fate; then the first cause, with who and when.
var (
	aboutSomething = regexp.MustCompile(`^P[1-9] broken: .*(\w-\d+(@\d+)?|broker \d|node \d|nodes \d|leader \d|controller \d|quorum|metadata|producer \d|transactional id)`)
	aCause         = regexp.MustCompile(`^(broker|node|leader|controller|consumer|producer|nothing|the metadata) .* (at|before|until) \d+\.\d{3} s$`)
)

// checkSentence is asked of every violation that any test of this package provokes.
func checkSentence(t *testing.T, v *Violation) {
	t.Helper()
	if !aboutSomething.MatchString(v.Text) || !strings.HasPrefix(v.Text, v.Promise+" broken: ") {
		t.Errorf("%s: the sentence names no promise or nothing that it is about: %s", v.Checker, v.Text)
	}
	if !aCause.MatchString(v.FirstCause) {
		t.Errorf("%s: the first cause does not say who did what and when: %q in: %s", v.Checker, v.FirstCause, v.Error())
	}
}

func TestSentencesHaveTheirShape(t *testing.T) {
	for _, v := range []Violation{{
		Promise: "P1", Checker: "I1",
		Text:       "P1 broken: record orders-2@1841 (acknowledged to producer 3 at 12.402 s with acks=all) is gone from leader 2's log",
		FirstCause: "broker 1 truncated to its high watermark at 12.611 s",
	}} {
		checkSentence(t, &v)
	}
	for _, bad := range []string{"", "broker 1 truncated", "at 12.611 s", "it happened at 1 s"} {
		if aCause.MatchString(bad) {
			t.Errorf("%q is no cause", bad)
		}
	}
}

// TestNoCheckerLeavesTheFirstCauseOut reads every call that notes a violation: its cause is not an empty literal.
func TestNoCheckerLeavesTheFirstCauseOut(t *testing.T) {
	packages, err := parser.ParseDir(token.NewFileSet(), ".", func(i fs.FileInfo) bool { return !strings.HasSuffix(i.Name(), "_test.go") }, 0)
	if err != nil {
		t.Fatal(err)
	}
	cause := map[string]int{"violate": 2, "violateAs": 3, "violateFinal": 3, "stuck": 0}
	calls := 0
	ast.Inspect(packages["check"], func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		at, ok := cause[method.Sel.Name]
		if of, isName := method.X.(*ast.Ident); isName && of.Name == "h" && method.Sel.Name == "violate" {
			at = 4
		}
		if !ok || len(call.Args) <= at {
			return true
		}
		calls++
		if l, ok := call.Args[at].(*ast.BasicLit); ok && l.Value == `""` {
			t.Errorf("a call of %s leaves the first cause out", method.Sel.Name)
		}
		return true
	})
	if calls < 50 {
		t.Errorf("only %d calls were found", calls)
	}
}

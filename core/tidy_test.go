package core_test

import (
	"go/ast"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// forbidden are the names that the core may not use of a package that it may import, with what to
// use instead.
var forbidden = map[string]map[string]string{
	"time": {
		"Now": "the loop's clock", "Since": "the loop's clock", "Until": "the loop's clock",
		"After": "the loop's AfterFunc", "AfterFunc": "the loop's AfterFunc", "NewTimer": "the loop's AfterFunc",
		"NewTicker": "the loop's AfterFunc", "Tick": "the loop's AfterFunc", "Sleep": "the loop's AfterFunc",
		"Local": "UTC", "LoadLocation": "UTC",
	},
}

// ofRand are the names that may be used of math/rand and math/rand/v2: all others draw from the
// global source, or may one day.
var ofRand = []string{"New", "NewPCG", "Rand", "PCG", "Source"}

// unordered are the functions of package maps that walk a map.
var unordered = []string{"All", "Keys", "Values", "DeleteFunc", "EqualFunc"}

// sorting are the functions of package slices that put a walk in order again.
var sorting = []string{"Sorted", "SortedFunc", "SortedStableFunc"}

var pointerVerb = regexp.MustCompile(`%[-+# 0]*[0-9]*(\[[0-9]+\])?p`)

// tidy walks one file.
type tidy struct {
	fset    *token.FileSet
	file    *ast.File
	info    *types.Info
	remarks map[int]string // line → trailing comment
	sorted  map[ast.Node]bool
	bad     []string
}

// untidy says what in a package could make two runs differ.
func untidy(fset *token.FileSet, p sourcePackage) (bad []string) {
	for _, f := range p.files {
		t := tidy{fset: fset, file: f, info: p.info, remarks: map[int]string{}, sorted: map[ast.Node]bool{}}
		for _, group := range f.Comments {
			t.remarks[fset.Position(group.Pos()).Line] = group.List[0].Text
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if n != nil {
				t.visit(n)
			}
			return true
		})
		bad = append(bad, t.bad...)
	}
	return bad
}

func (t *tidy) complain(n ast.Node, format string, args ...any) {
	t.bad = append(t.bad, complaint(t.fset, n.Pos(), format, args...))
}

func (t *tidy) visit(n ast.Node) {
	switch n := n.(type) {
	case *ast.GoStmt:
		t.complain(n, "go statement: the core has one goroutine, use Loop.Offload")
	case *ast.SelectStmt:
		t.complain(n, "select statement: the core has no channels")
	case *ast.ChanType:
		t.complain(n, "channel type: the core has no channels")
	case *ast.SendStmt:
		t.complain(n, "channel send: the core has no channels")
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			t.complain(n, "channel receive: the core has no channels")
		}
	case *ast.CallExpr:
		t.call(n)
	case *ast.SelectorExpr:
		t.selector(n)
	case *ast.RangeStmt:
		t.rangeOver(n)
	case *ast.BinaryExpr:
		t.comparison(n)
	case *ast.SwitchStmt:
		if n.Tag != nil && t.isFloat(n.Tag) {
			t.float(n)
		}
	case *ast.BasicLit:
		t.literal(n)
	}
}

// packageOf returns the import path of the package that an expression names, or "".
func (t *tidy) packageOf(x ast.Expr) string {
	id, ok := x.(*ast.Ident)
	if !ok {
		return ""
	}
	if obj := t.info.Uses[id]; obj != nil {
		if pkg, ok := obj.(*types.PkgName); ok {
			return pkg.Imported().Path()
		}
		return "" // a variable that shadows the package
	}
	return t.importNamed(id.Name)
}

// importNamed finds an import without the help of types: for files behind build tags.
func (t *tidy) importNamed(name string) string {
	for _, spec := range t.file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		words := strings.Split(strings.TrimSuffix(imported, "/v2"), "/")
		if spec.Name != nil && spec.Name.Name == name || spec.Name == nil && words[len(words)-1] == name {
			return imported
		}
	}
	return ""
}

func (t *tidy) selector(n *ast.SelectorExpr) {
	pkg, name := t.packageOf(n.X), n.Sel.Name
	switch {
	case forbidden[pkg][name] != "":
		t.complain(n, "%s.%s: use %s", pkg, name, forbidden[pkg][name])
	case (pkg == "math/rand" || pkg == "math/rand/v2") && !slices.Contains(ofRand, name):
		t.complain(n, "%s.%s: draw from a stream of Env.Rand", pkg, name)
	case pkg == "maps" && slices.Contains(unordered, name) && !t.sorted[n] && !t.hasRemark(n, "order"):
		t.complain(n, "maps.%s walks a map without order: sort it, or say why none is needed (// order: …)", name)
	}
}

// call takes note of a walk over a map that is sorted at once. It is visited before its arguments.
func (t *tidy) call(n *ast.CallExpr) {
	f, ok := n.Fun.(*ast.SelectorExpr)
	if !ok || t.packageOf(f.X) != "slices" || !slices.Contains(sorting, f.Sel.Name) {
		return
	}
	for _, arg := range n.Args {
		if walk, ok := arg.(*ast.CallExpr); ok {
			t.sorted[walk.Fun] = true
		}
	}
}

func (t *tidy) rangeOver(n *ast.RangeStmt) {
	switch {
	case t.isA(n.X, func(u types.Type) bool { _, ok := u.(*types.Chan); return ok }):
		t.complain(n, "range over a channel: the core has no channels")
	case t.isA(n.X, func(u types.Type) bool { _, ok := u.(*types.Map); return ok }) && !t.hasRemark(n, "order"):
		t.complain(n, "range over a map: walk sorted keys, or say why no order is needed (// order: …)")
	}
}

// comparison finds decisions made on floats, which differ in their last bit between machines.
func (t *tidy) comparison(n *ast.BinaryExpr) {
	switch n.Op {
	case token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ:
		if t.isFloat(n.X) || t.isFloat(n.Y) {
			t.float(n)
		}
	}
}

func (t *tidy) float(n ast.Node) {
	if !t.hasRemark(n, "float") {
		t.complain(n, "decision on a float: use integers, or say why every machine agrees (// float: …)")
	}
}

// isFloat reports whether x is a float that is not a constant.
func (t *tidy) isFloat(x ast.Expr) bool {
	return t.info.Types[x].Value == nil && t.isA(x, func(u types.Type) bool {
		b, ok := u.(*types.Basic)
		return ok && b.Info()&types.IsFloat != 0
	})
}

// isA reports whether the type of x, or a type that its type parameter allows, is of a kind.
func (t *tidy) isA(x ast.Expr, kind func(underlying types.Type) bool) bool {
	typ := t.info.Types[x].Type
	if typ == nil {
		return false
	}
	constraint, ok := typ.Underlying().(*types.Interface)
	if !ok {
		return kind(typ.Underlying())
	}
	for embedded := range constraint.EmbeddedTypes() {
		if union, ok := embedded.(*types.Union); ok {
			for term := range union.Terms() {
				if kind(term.Type().Underlying()) {
					return true
				}
			}
		} else if kind(embedded.Underlying()) {
			return true
		}
	}
	return false
}

func (t *tidy) literal(n *ast.BasicLit) {
	if n.Kind != token.STRING {
		return
	}
	text, err := strconv.Unquote(n.Value)
	if err == nil && pointerVerb.MatchString(strings.ReplaceAll(text, "%%", "")) {
		t.complain(n, "%%p in a string: addresses differ between runs")
	}
}

// hasRemark reports whether the line where n begins ends with "// word: <reason>".
func (t *tidy) hasRemark(n ast.Node, word string) bool {
	reason, ok := strings.CutPrefix(t.remarks[t.fset.Position(n.Pos()).Line], "// "+word+": ")
	return ok && strings.TrimSpace(reason) != ""
}

func TestCoreDoesNothingThatDiffersBetweenRuns(t *testing.T) {
	s := core(t)
	if s.broken != nil {
		t.Errorf("the lint is half blind where the code does not compile:\n%v", s.broken)
	}
	for _, p := range s.packages {
		for _, bad := range untidy(s.fset, p) {
			t.Error(bad)
		}
	}
}

func TestTidyLintFires(t *testing.T) {
	for name, planted := range map[string]struct{ text, want string }{
		"go statement":             {"func f() {\n go f()\n}", "planted.go:4: go statement: the core has one goroutine, use Loop.Offload"},
		"select":                   {"func f() {\n select {}\n}", "planted.go:4: select statement: the core has no channels"},
		"channel type":             {"type c struct {\n c chan int\n}", "planted.go:4: channel type: the core has no channels"},
		"send":                     {"var c = d()\nfunc f() {\n c <- 1\n}", "planted.go:5: channel send: the core has no channels"},
		"receive":                  {"var c = d()\nvar x = <-c", "planted.go:4: channel receive: the core has no channels"},
		"time.Now":                 {"import \"time\"\nvar now = time.Now()", "planted.go:4: time.Now: use the loop's clock"},
		"time.Now as a value":      {"import \"time\"\nvar now = time.Now", "planted.go:4: time.Now: use the loop's clock"},
		"renamed time":             {"import clock \"time\"\nfunc f() {\n clock.Sleep(1)\n}", "planted.go:5: time.Sleep: use the loop's AfterFunc"},
		"time.Since":               {"import \"time\"\nvar d = time.Since(t)", "planted.go:4: time.Since: use the loop's clock"},
		"time.Until":               {"import \"time\"\nvar d = time.Until(t)", "planted.go:4: time.Until: use the loop's clock"},
		"time.After":               {"import \"time\"\nvar d = time.After(1)", "planted.go:4: time.After: use the loop's AfterFunc"},
		"time.AfterFunc":           {"import \"time\"\nvar d = time.AfterFunc(1, f)", "planted.go:4: time.AfterFunc: use the loop's AfterFunc"},
		"time.NewTimer":            {"import \"time\"\nvar d = time.NewTimer(1)", "planted.go:4: time.NewTimer: use the loop's AfterFunc"},
		"time.NewTicker":           {"import \"time\"\nvar d = time.NewTicker(1)", "planted.go:4: time.NewTicker: use the loop's AfterFunc"},
		"global rand":              {"import \"math/rand/v2\"\nvar n = rand.IntN(3)", "planted.go:4: math/rand/v2.IntN: draw from a stream of Env.Rand"},
		"old global rand":          {"import \"math/rand\"\nvar n = rand.Int()", "planted.go:4: math/rand.Int: draw from a stream of Env.Rand"},
		"range over a map":         {"func f(m map[int]int) {\n for range m {\n }\n}", "planted.go:4: range over a map: walk sorted keys, or say why no order is needed (// order: …)"},
		"range over a named map":   {"type s map[int]int\nfunc f(m s) {\n for k := range m {\n _ = k\n }\n}", "planted.go:5: range over a map: walk sorted keys, or say why no order is needed (// order: …)"},
		"range over a generic map": {"func f[M ~map[int]int](m M) {\n for range m {\n }\n}", "planted.go:4: range over a map: walk sorted keys, or say why no order is needed (// order: …)"},
		"remark without reason":    {"func f(m map[int]int) {\n for range m { // order:\n }\n}", "planted.go:4: range over a map: walk sorted keys, or say why no order is needed (// order: …)"},
		"remark elsewhere":         {"// order: none\nfunc f(m map[int]int) {\n for range m {\n }\n}", "planted.go:5: range over a map: walk sorted keys, or say why no order is needed (// order: …)"},
		"maps.Keys":                {"import \"maps\"\nvar ks = slices.Collect(maps.Keys(m))", "planted.go:4: maps.Keys walks a map without order: sort it, or say why none is needed (// order: …)"},
		"float decision":           {"func f(x float64) bool {\n return x > 0\n}", "planted.go:4: decision on a float: use integers, or say why every machine agrees (// float: …)"},
		"float switch":             {"func f(x float32) {\n switch x {\n }\n}", "planted.go:4: decision on a float: use integers, or say why every machine agrees (// float: …)"},
		"%p":                       {"var s = \"at %p\"", "planted.go:3: %p in a string: addresses differ between runs"},
		"%-16p":                    {"var s = `at %-16p`", "planted.go:3: %p in a string: addresses differ between runs"},
	} {
		t.Run(name, func(t *testing.T) {
			expectComplaints(t, untidy, "core/planted", "package planted\n\n"+planted.text+"\n", planted.want)
		})
	}
}

func TestTidyLintLetsPass(t *testing.T) {
	for name, text := range map[string]string{
		"a map range with a reason":    "func f(m map[int]int) (n int) {\n for _, v := range m { // order: a sum\n n += v\n }\n return n\n}",
		"a range over a slice":         "func f(s []int) {\n for range s {\n }\n}",
		"sorted keys":                  "import (\n \"maps\"\n \"slices\"\n)\nfunc f(m map[int]int) {\n for range slices.Sorted(maps.Keys(m)) {\n }\n}",
		"durations":                    "import \"time\"\nconst d = 3 * time.Second\nvar e = time.Duration(1)",
		"a seeded stream":              "import \"math/rand/v2\"\nvar r *rand.Rand = rand.New(rand.NewPCG(1, 2))",
		"a method of the same name":    "type clock struct{}\nfunc (clock) Now() int { return 0 }\nfunc f(time clock) int { return time.Now() }",
		"a comparison of constants":    "const yes = 1.5 > 1",
		"a float that decides nothing": "func share(a, b int) float64 { return float64(a) / float64(b) }",
		"percent and p":                "var s = \"100%%p\"",
	} {
		t.Run(name, func(t *testing.T) {
			expectComplaints(t, untidy, "core/planted", "package planted\n\n"+text+"\n")
		})
	}
}

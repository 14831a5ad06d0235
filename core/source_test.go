package core_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/lockstep/lockstep/"

// source is the code of the core, as the lints see it: all files but tests.
type source struct {
	fset     *token.FileSet
	packages []sourcePackage // sorted by path
	broken   error           // what does not type-check: there the lints see less
}

type sourcePackage struct {
	path  string // in the module: "core/raft"
	files []*ast.File
	info  *types.Info // covers the files that build without tags
}

// loadCore parses and type-checks core/... once for all lints. Files are read through package os, so
// that go test's cache notices their changes.
var loadCore = sync.OnceValues(func() (*source, error) {
	s := &source{fset: token.NewFileSet()}
	err := filepath.WalkDir(".", func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if d.Name() == "testdata" {
			return fs.SkipDir
		}
		return s.parseDir(dir)
	})
	if err != nil {
		return nil, err
	}
	imports, err := compiledImporter(s.fset)
	if err != nil {
		return nil, err
	}
	for i := range s.packages {
		s.broken = errors.Join(s.broken, s.packages[i].check(s.fset, imports))
	}
	return s, nil
})

// core is the core's source, for a test.
func core(t *testing.T) *source {
	t.Helper()
	s, err := loadCore()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *source) parseDir(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return err
	}
	p := sourcePackage{path: path.Join("core", filepath.ToSlash(dir))}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(s.fset, path.Join("core", filepath.ToSlash(name)), text, parser.ParseComments)
		if err != nil {
			return err
		}
		p.files = append(p.files, f)
	}
	if len(p.files) > 0 {
		s.packages = append(s.packages, p)
	}
	return nil
}

// check type-checks what builds without tags. It fills info as far as it gets.
func (p *sourcePackage) check(fset *token.FileSet, imports types.Importer) error {
	p.info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	var first error
	conf := types.Config{Importer: imports, Error: func(err error) { first = cmp.Or(first, err) }}
	var plain []*ast.File
	for _, f := range p.files {
		if !needsTag(f) {
			plain = append(plain, f)
		}
	}
	conf.Check(module+p.path, fset, plain, p.info) // its error is the first that Error got
	return first
}

// needsTag reports whether the file asks for a build tag. "Not without" is no request.
func needsTag(f *ast.File) bool {
	for _, group := range f.Comments {
		for _, c := range group.List {
			if tag, ok := strings.CutPrefix(c.Text, "//go:build "); ok && c.Pos() < f.Package {
				return !strings.HasPrefix(tag, "!")
			}
		}
	}
	return false
}

// compiledImporter imports what the compiler left in the build cache: type-checking the
// dependencies from source would take ten times as long.
func compiledImporter(fset *token.FileSet) (types.Importer, error) {
	var stderr bytes.Buffer
	list := exec.Command("go", "list", "-e", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", "./...")
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("%v: %w: %s", list, err, stderr.Bytes())
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if p, file, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			exports[p] = file
		}
	}
	return importer.ForCompiler(fset, "gc", func(p string) (io.ReadCloser, error) {
		if exports[p] == "" {
			return nil, fmt.Errorf("%s does not compile", p)
		}
		return os.Open(exports[p])
	}), nil
}

// plant makes a package of one file that exists in the test only. Its imports need not resolve.
func plant(t *testing.T, pkg, text string) (*token.FileSet, sourcePackage) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "planted.go", text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	p := sourcePackage{path: pkg, files: []*ast.File{f}}
	p.check(fset, noImporter{})
	return fset, p
}

type noImporter struct{}

func (noImporter) Import(string) (*types.Package, error) { return nil, errors.New("not imported") }

// complaint is one finding, as "file:line: rule".
func complaint(fset *token.FileSet, pos token.Pos, format string, args ...any) string {
	p := fset.Position(pos)
	return fmt.Sprintf("%s:%d: %s", p.Filename, p.Line, fmt.Sprintf(format, args...))
}

package mutant

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// typeChecker checks the types of patched packages against what the others export. A compiler says the same, many times slower:
// it builds everything above the package again.
type typeChecker struct {
	root    string
	exports map[string]string // of an import path: the file with what it exports
	fset    *token.FileSet
	types   types.Config
}

// newTypeChecker builds the tree as it is.
func newTypeChecker(ctx context.Context, w *Workshop) (*typeChecker, error) {
	list := exec.CommandContext(ctx, w.tool, "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", "./core/...", "./sim")
	list.Dir = w.Root
	list.Stderr = new(bytes.Buffer)
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("the tree does not build: %w\n%s", err, list.Stderr)
	}
	c := &typeChecker{root: w.Root, exports: map[string]string{}, fset: token.NewFileSet()}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		name, file, _ := strings.Cut(lines.Text(), " ")
		c.exports[name] = file
	}
	c.types.Importer = importer.ForCompiler(c.fset, "gc", c.lookup)
	return c, nil
}

func (c *typeChecker) lookup(name string) (io.ReadCloser, error) {
	if c.exports[name] == "" {
		return nil, fmt.Errorf("nothing known of package %s", name)
	}
	return os.Open(c.exports[name])
}

// check says what is wrong with a mutant's packages; nil if nothing is.
func (c *typeChecker) check(m *Mutant) error {
	patched, err := m.Apply(c.root)
	if err != nil {
		return err
	}
	done := map[string]bool{}
	for name := range patched { // order: any error is one
		dir := path.Dir(name)
		if done[dir] {
			continue
		}
		done[dir] = true
		if err := c.checkPackage(dir, patched); err != nil {
			return fmt.Errorf("mutant %s: %w", m.ID, err)
		}
	}
	return nil
}

func (c *typeChecker) checkPackage(dir string, patched map[string][]byte) error {
	p, err := build.ImportDir(filepath.Join(c.root, filepath.FromSlash(dir)), 0)
	if err != nil {
		return err
	}
	var files []*ast.File
	for _, base := range p.GoFiles {
		var source any
		if content, ok := patched[path.Join(dir, base)]; ok {
			source = content
		}
		f, err := parser.ParseFile(c.fset, filepath.Join(p.Dir, base), source, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	_, err = c.types.Check(modulePath+"/"+dir, c.fset, files, nil)
	return err
}

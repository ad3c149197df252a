package knit_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A house is the Go files of this module by folder, "." being the root. They
// are read without build constraints, so that the rules hold on all systems.
type house map[string][]*source

// A source is one Go file.
type source struct {
	name string // slash-separated path
	text []byte
	*ast.File
	fset *token.FileSet
}

// loadHouse returns all Go files of this module, except testdata, files that
// are never built, and folders that are modules of their own to the go command.
func loadHouse(t *testing.T) house {
	t.Helper()
	h, err := parseHouse()
	if err != nil {
		t.Error(err) // and go on: what could be parsed has its rules too
	}
	return h
}

var parseHouse = sync.OnceValues(func() (house, error) {
	h := make(house)
	var broken []error
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		p = filepath.ToSlash(p)
		if d.IsDir() {
			base := path.Base(p)
			if p != "." && (base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || exists(p+"/go.mod")) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(p) != ".go" {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f, err := parseSource(p, text)
		if err != nil {
			broken = append(broken, err)
			return nil
		}
		if !f.ignored() {
			h[path.Dir(p)] = append(h[path.Dir(p)], f)
		}
		return nil
	})
	return h, errors.Join(append(broken, err)...)
})

func exists(name string) bool { _, err := os.Stat(name); return err == nil }

func parseSource(name string, text []byte) (*source, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	return &source{name, text, f, fset}, err
}

func (h house) folders() []string { return slices.Sorted(maps.Keys(h)) }

// isModule reports whether folder is a module to the kernel.
func (h house) isModule(folder string) bool {
	return under(folder, modular...) && !slices.Contains(shared, folder) && h.hasModuleFile(folder)
}

func (h house) hasModuleFile(folder string) bool {
	return slices.ContainsFunc(h[folder], func(f *source) bool { return path.Base(f.name) == "module.go" })
}

func (f *source) test() bool { return strings.HasSuffix(f.name, "_test.go") }

// ignored reports whether the file is outside all builds.
func (f *source) ignored() bool {
	for _, c := range f.Comments {
		if c.Pos() < f.Package && strings.HasPrefix(c.List[0].Text, "//go:build ignore") {
			return true
		}
	}
	return false
}

func (f *source) imports() (paths []string) {
	for _, spec := range f.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

// at returns file and line of a node for a message.
func (f *source) at(n ast.Node) string {
	return f.name + ":" + strconv.Itoa(f.fset.Position(n.Pos()).Line)
}

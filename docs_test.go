package knit_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var updateDocs = flag.Bool("update-docs", false, "write the listings and tables of the pages anew")

const tour = "docs/writing-a-module.md"

// A listing is a fenced block of the tour behind a comment that names it:
// "main.go", "step 2: hello/module.go", "step 2: output".
type listing struct{ name, text string }

var fence = regexp.MustCompile("(?ms)^<!-- (.*?) -->\n```[a-z]+\n(.*?)^```$")

func listings(t *testing.T) (all []listing) {
	t.Helper()
	text, err := os.ReadFile(tour)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range fence.FindAllSubmatch(text, -1) {
		all = append(all, listing{string(m[1]), string(m[2])})
	}
	if n := bytes.Count(text, []byte("\n```go\n")); n != countGo(all) {
		t.Errorf("%s: %d Go listings, of which %d have a name and are checked", tour, n, countGo(all))
	}
	return all
}

func countGo(all []listing) (n int) {
	for _, l := range all {
		if strings.HasSuffix(l.name, ".go") {
			n++
		}
	}
	return n
}

// A goFile is what the listings of one file have built up: its declarations by
// name, with their comments.
type goFile struct {
	head    string // package clause with its comment
	imports string
	order   []string
	decls   map[string]string
}

// add takes over a listing; declarations replace those of the same name.
func (g *goFile) add(t *testing.T, l listing) {
	t.Helper()
	text := l.text
	if g.head == "" && !strings.HasPrefix(text, "package ") && !strings.Contains(text, "\npackage ") {
		t.Fatalf("%s: the first listing of a file must be whole", l.name)
	}
	whole := strings.HasPrefix(text, "package ") || strings.Contains(text, "\npackage ")
	if !whole {
		text = "package p\n\n" + text
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, l.name, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	if whole {
		g.head = text[:fset.Position(f.Name.End()).Offset]
		g.decls = map[string]string{}
		g.order = nil
	}
	for _, d := range f.Decls {
		begin := d.Pos()
		if doc := docOf(d); doc != nil {
			begin = doc.Pos()
		}
		source := text[fset.Position(begin).Offset:fset.Position(d.End()).Offset]
		name := declName(d)
		if name == "import" {
			g.imports = source
			continue
		}
		if _, ok := g.decls[name]; !ok {
			g.order = append(g.order, name)
		}
		g.decls[name] = source
	}
}

func docOf(d ast.Decl) *ast.CommentGroup {
	switch d := d.(type) {
	case *ast.FuncDecl:
		return d.Doc
	case *ast.GenDecl:
		return d.Doc
	}
	return nil
}

// declName names a declaration by what it declares.
func declName(d ast.Decl) string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv != nil {
			return fmt.Sprint("method ", d.Name.Name)
		}
		return d.Name.Name
	case *ast.GenDecl:
		switch s := d.Specs[0].(type) {
		case *ast.ValueSpec:
			return s.Names[0].Name
		case *ast.TypeSpec:
			return s.Name.Name
		}
	}
	return "import"
}

// String returns the file.
func (g *goFile) String() string {
	parts := []string{g.head, g.imports}
	for _, name := range g.order {
		parts = append(parts, g.decls[name])
	}
	return strings.Join(parts, "\n\n") + "\n"
}

// A tourModule is the Go module that a reader of the tour ends up with, and one
// folder beside it for each step.
type tourModule struct {
	dir     string
	files   map[string]*goFile // by name in the listings, without the step
	outputs []listing          // "step N" and what its console shows
}

// writeTour builds the reader's files from the listings. What the reader has after
// step N is in the folder stepN.
func writeTour(t *testing.T) *tourModule {
	t.Helper()
	m := &tourModule{dir: t.TempDir(), files: map[string]*goFile{}}
	m.write(t, "go.mod", goMod(t))
	m.copy(t, "go.sum", "go.sum")
	for _, l := range listings(t) {
		step, name, ok := strings.Cut(l.name, ": ")
		if !ok {
			step, name = "", l.name
		}
		if name == "output" {
			m.outputs = append(m.outputs, listing{folderOf(step), l.text})
			continue
		}
		if m.files[name] == nil {
			m.files[name] = &goFile{}
		}
		m.files[name].add(t, l)
		text := m.files[name].String()
		if formatted, err := format.Source([]byte(text)); err != nil || string(formatted) != text {
			t.Errorf("%s, %s: not formatted as gofmt does: %v", tour, l.name, err)
		}
		m.write(t, name, text)
		if step != "" {
			folder := folderOf(step)
			m.write(t, folder+"/"+name, text)
			m.write(t, folder+"/main.go", strings.ReplaceAll(m.files["main.go"].String(), "tour/hello", "tour/"+folder+"/hello"))
		}
	}
	m.copy(t, "testdata/docs/drive_test.go", "drive/drive_test.go")
	return m
}

func folderOf(step string) string { return strings.ReplaceAll(step, " ", "") }

// goMod returns the reader's go.mod, with this module in place of a release.
func goMod(t *testing.T) string {
	t.Helper()
	own, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	rest := strings.TrimPrefix(string(own), "module "+modulePath)
	return "module example.com/tour\n" + rest +
		fmt.Sprintf("\nrequire %s v0.0.0\n\nreplace %[1]s => %[2]s\n", modulePath, here)
}

func (m *tourModule) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (m *tourModule) copy(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	m.write(t, to, string(text))
}

// goTool runs the go command in the reader's module, without a network.
func (m *tourModule) goTool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// TestDocsTour does what docs/writing-a-module.md says: it builds the module of
// every step, vets it, loads it, talks to it and unloads it.
func TestDocsTour(t *testing.T) {
	m := writeTour(t)
	m.goTool(t, "vet", "./...")
	m.goTool(t, "test", "./...")
	shipped, err := os.ReadFile("service/hello/module.go")
	if err != nil {
		t.Fatal(err)
	}
	var want goFile
	want.add(t, listing{"service/hello/module.go", string(shipped)})
	got := m.files["hello/module.go"]
	if got.head != want.head || got.imports != want.imports {
		t.Errorf("the head of step 5 is not that of service/hello:\n%s\n%s", got.head, got.imports)
	}
	if len(got.decls) != len(want.decls) {
		t.Errorf("step 5 declares %q, service/hello %q", got.order, want.order)
	}
	for name, text := range want.decls {
		if got.decls[name] != text {
			t.Errorf("%s of step 5:\n%s\nwant that of service/hello:\n%s", name, got.decls[name], text)
		}
	}
}

var uptime = regexp.MustCompile(`\[ *\d+\.\d{6}\]`)

// TestDocsTourOutput holds the consoles of the tour against the programs.
func TestDocsTourOutput(t *testing.T) {
	m := writeTour(t)
	if len(m.outputs) == 0 {
		t.Errorf("%s shows no output", tour)
	}
	for _, o := range m.outputs {
		program := filepath.Join(m.dir, "bin", o.name)
		m.goTool(t, "build", "-o", program, "./"+o.name)
		var got strings.Builder
		for line := range strings.Lines(o.text) {
			if args, ok := strings.CutPrefix(line, "$ go run ."); ok {
				got.WriteString(line)
				got.WriteString(runProgram(t, program, strings.Fields(args)))
			}
		}
		if s := uptime.ReplaceAllString(got.String(), "[    0.000000]"); s != o.text {
			t.Errorf("%s, %s shows\n%sthe program prints\n%s", tour, o.name, o.text, s)
		}
	}
}

// runProgram returns what go run would show of a program.
func runProgram(t *testing.T, program string, args []string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return fmt.Sprintf("%sexit status %d\n", out, exit.ExitCode())
	case err != nil:
		t.Fatal(err)
	}
	return string(out)
}

var (
	mdLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdHeading = regexp.MustCompile("(?m)^#+ (.+)$")
	mdCode    = regexp.MustCompile("(?ms)^```.*?^```")
)

// TestDocsLinks follows the links of all pages to files and headings.
func TestDocsLinks(t *testing.T) {
	pages := docPages(t)
	links := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mdLink.FindAllSubmatch(mdCode.ReplaceAll(text, nil), -1) {
			target := string(m[1])
			if strings.Contains(target, "://") {
				continue
			}
			links++
			file, heading, _ := strings.Cut(target, "#")
			path := page
			if file != "" {
				path = filepath.Join(filepath.Dir(page), file)
			}
			if !exists(path) {
				t.Errorf("%s: link to %s: there is no %s", page, target, path)
			} else if heading != "" && !slices.Contains(anchors(t, path), heading) {
				t.Errorf("%s: link to %s: no such heading", page, target)
			}
		}
	}
	t.Logf("%d links in %d pages", links, len(pages))
}

// docPages returns the pages for people.
func docPages(t *testing.T) []string {
	t.Helper()
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "bench/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	if len(pages) < 3 {
		t.Fatalf("pages %q: are we in the root of the repository?", pages)
	}
	return pages
}

// anchors returns the headings of a page as links name them.
func anchors(t *testing.T, page string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mdHeading.FindAllSubmatch(mdCode.ReplaceAll(text, nil), -1) {
		all = append(all, strings.Map(anchorRune, strings.ToLower(string(m[1]))))
	}
	return all
}

func anchorRune(r rune) rune {
	switch {
	case r == ' ':
		return '-'
	case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
		return r
	}
	return -1
}

var fromSource = regexp.MustCompile("(?ms)^<!-- from (\\S+): (\\w+) -->\n```go\n(.*?)^```$")

// TestDocsListings holds the listings of pages against the functions they are the
// bodies of; -update writes them anew.
func TestDocsListings(t *testing.T) {
	n := 0
	for _, page := range docPages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		fresh := fromSource.ReplaceAllFunc(text, func(m []byte) []byte {
			n++
			part := fromSource.FindSubmatch(m)
			file, function, got := string(part[1]), string(part[2]), string(part[3])
			want := bodyOf(t, file, function)
			if got != want && !*updateDocs {
				t.Errorf("%s: the listing is not %s of %s; go test -run Docs -update-docs . writes it", page, function, file)
			}
			return fmt.Appendf(nil, "<!-- from %s: %s -->\n```go\n%s```", file, function, want)
		})
		if *updateDocs {
			if err := os.WriteFile(page, fresh, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d listings", n)
}

// bodyOf returns what a function does, without its indentation.
func bodyOf(t *testing.T, file, function string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		if d, ok := d.(*ast.FuncDecl); ok && d.Name.Name == function {
			body := string(text[fset.Position(d.Body.Lbrace).Offset+2 : fset.Position(d.Body.Rbrace).Offset])
			body, _, _ = strings.Cut(body, "\t// Output:")
			return regexp.MustCompile(`(?m)^\t`).ReplaceAllString(body, "")
		}
	}
	t.Fatalf("there is no %s in %s", function, file)
	return ""
}

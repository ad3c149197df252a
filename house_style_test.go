package knit_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxLines is the length of the longest file.
const maxLines = 800

// TestStyle holds all code to the rules that a linter cannot know: no state
// outside of a kernel, and nothing exported without a contract.
func TestStyle(t *testing.T) {
	house := loadHouse(t)
	for _, folder := range house.folders() {
		for _, complaint := range checkStyle(house[folder]) {
			t.Error(complaint)
		}
	}
}

// checkStyle returns what is wrong with the files of a folder.
func checkStyle(files []*source) (complaints []string) {
	complain := func(where, format string, args ...any) {
		complaints = append(complaints, where+": "+fmt.Sprintf(format, args...))
	}
	var code []*source
	for _, f := range files {
		if n := bytes.Count(f.text, []byte("\n")); n > maxLines && !ast.IsGenerated(f.File) {
			complain(f.name, "%d lines, at most %d: split it by what its parts are about", n, maxLines)
		}
		if !f.test() {
			code = append(code, f)
		}
	}
	if len(code) > 0 && !slices.ContainsFunc(code, func(f *source) bool { return f.Doc.Text() != "" }) {
		complain(code[0].name, "package %s has no package comment", code[0].Name.Name)
	}
	globals := make(map[string]*ast.ValueSpec)
	for _, f := range code {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				checkFunc(f, d, complain)
			case *ast.GenDecl:
				checkDoc(f, d, complain)
				if d.Tok == token.VAR {
					checkGlobals(f, d, globals, complain)
				}
			}
		}
	}
	for _, f := range code {
		checkAssignments(f, globals, complain)
	}
	return complaints
}

type complainer = func(where, format string, args ...any)

// wellKnown are methods whose contract is that of an interface of the standard
// library.
var wellKnown = []string{"Error", "Unwrap", "Is", "String", "Len", "Less", "Swap", "Push", "Pop"}

func checkFunc(f *source, d *ast.FuncDecl, complain complainer) {
	if d.Name.Name == "init" && d.Recv == nil {
		complain(f.at(d), "func init: two kernels in one process share nothing; do it in New or in a module's Init")
	}
	if d.Name.IsExported() && d.Doc.Text() == "" && exportedReceiver(d) && (d.Recv == nil || !slices.Contains(wellKnown, d.Name.Name)) {
		complain(f.at(d), "exported %s has no doc comment", d.Name.Name)
	}
}

// exportedReceiver reports whether d is a function, or a method that others
// can see.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

// checkDoc wants a comment on every exported type, constant and variable; for
// constants and variables that of the group will do.
func checkDoc(f *source, d *ast.GenDecl, complain complainer) {
	group := d.Doc.Text() != ""
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc.Text() == "" && (!group || len(d.Specs) > 1) {
				complain(f.at(s), "exported type %s has no doc comment", s.Name.Name)
			}
		case *ast.ValueSpec:
			if group || s.Doc.Text() != "" || s.Comment.Text() != "" {
				continue
			}
			for _, name := range s.Names {
				if name.IsExported() {
					complain(f.at(s), "exported %s has no doc comment", name.Name)
				}
			}
		}
	}
}

var sentinel = regexp.MustCompile(`^[Ee]rr[A-Z]`)

// constant are functions whose result nobody changes.
var constant = []string{
	"errors.New", "fmt.Errorf", "regexp.MustCompile", "strings.NewReplacer",
	"netip.MustParseAddr", "netip.MustParseAddrPort", "netip.MustParsePrefix", "netip.AddrFrom4", "netip.AddrFrom16",
	"netip.AddrPortFrom", "netip.PrefixFrom", "netip.IPv4Unspecified", "netip.IPv6Unspecified",
	"netip.IPv6LinkLocalAllNodes", "netip.IPv6LinkLocalAllRouters", "netip.IPv6Loopback",
}

// checkGlobals wants variables of a package to be constants in all but name,
// and adds them to globals.
func checkGlobals(f *source, d *ast.GenDecl, globals map[string]*ast.ValueSpec, complain complainer) {
	for _, spec := range d.Specs {
		s := spec.(*ast.ValueSpec)
		for i, name := range s.Names {
			var value ast.Expr
			if i < len(s.Values) {
				value = s.Values[i]
			}
			switch {
			case name.Name == "_", embedded(d, s):
			case sentinel.MatchString(name.Name) && value != nil, isConstant(value):
				globals[name.Name] = s
			default:
				complain(f.at(name), "package variable %s: allowed are error sentinels, tables, regexps and embedded files; "+
					"state belongs to a kernel", name.Name)
			}
		}
	}
}

func embedded(d *ast.GenDecl, s *ast.ValueSpec) bool {
	for _, doc := range []*ast.CommentGroup{d.Doc, s.Doc} {
		if doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") }) {
			return true
		}
	}
	return false
}

// isConstant reports whether the value of a variable looks like one that
// never changes: a filled table, or the result of one of the functions above.
func isConstant(value ast.Expr) bool {
	switch v := value.(type) {
	case *ast.CompositeLit:
		array, ok := v.Type.(*ast.ArrayType)
		return len(v.Elts) > 0 || ok && array.Len != nil
	case *ast.UnaryExpr: // a pointer to a filled table
		return v.Op == token.AND && isConstant(v.X)
	case *ast.CallExpr:
		sel, ok := v.Fun.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		pkg, ok := sel.X.(*ast.Ident)
		return ok && slices.Contains(constant, pkg.Name+"."+sel.Sel.Name)
	case *ast.SelectorExpr:
		pkg, ok := v.X.(*ast.Ident)
		return ok && pkg.Name == "binary" // binary.BigEndian
	}
	return false
}

// checkAssignments complains about assignments to globals or parts of them.
func checkAssignments(f *source, globals map[string]*ast.ValueSpec, complain complainer) {
	check := func(e ast.Expr) {
		id := root(e)
		if id == nil || globals[id.Name] == nil {
			return
		}
		// The parser has resolved what is declared in the same file.
		if id.Obj == nil || id.Obj.Decl == globals[id.Name] {
			complain(f.at(e), "%s is a table or a sentinel of the package and must not be assigned to", id.Name)
		}
	}
	ast.Inspect(f.File, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, lhs := range n.Lhs {
					check(lhs)
				}
			}
		case *ast.IncDecStmt:
			check(n.X)
		case *ast.CallExpr:
			if fn, ok := n.Fun.(*ast.Ident); ok && (fn.Name == "delete" || fn.Name == "clear") && len(n.Args) > 0 {
				check(n.Args[0])
			}
		}
		return true
	})
}

// root returns x of x[i].y and the like.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// TestStyleRules tests the rules on code that must and must not pass.
func TestStyleRules(t *testing.T) {
	const head = "// Package p is a test.\npackage p\n"
	for _, c := range []struct {
		code, want string // want is part of the only complaint, or empty
	}{
		{head + "var _ = 1\nvar ErrX, errY = errors.New(`x`), fmt.Errorf(`y`)\n", "exported ErrX has no doc comment"},
		{head + "var errX error = syscall.EINVAL\nvar re = regexp.MustCompile(`x`)", ""},
		{head + "//go:embed x\nvar text string", ""},
		{head + "var names = map[int]string{1: `x`}\nvar zero = [6]byte{}\nvar t = T{1}", ""},
		{head + "var names = map[int]string{}", "package variable names"},
		{head + "var n int", "package variable n"},
		{head + "var mu sync.Mutex", "package variable mu"},
		{head + "var p = &T{}", "package variable p"},
		{head + "var p = &T{1}", ""}, // known by its address, as a type is
		{head + "var p = &T{1}\nfunc f() { p.x = 2 }", "p is a table"},
		{head + "var x = f()", "package variable x"},
		{head + "var a = [2]int{1, 2}\nfunc f() { a[0]++ }", "a is a table"},
		{head + "var a = [2]int{1, 2}\nfunc f() { a := a; a[0] = 1 }", ""},
		{head + "var a = map[int]int{1: 2}\nfunc f() { delete(a, 1) }", "a is a table"},
		{head + "func init() {}", "func init"},
		{head + "func (T) init() {}", ""},
		{head + "func F() {}", "exported F"},
		{head + "// F does.\nfunc F() {}", ""},
		{head + "func (t *T[X]) F() {}", "exported F"},
		{head + "func (t *t) F() {}", ""},
		{head + "func (t *T) Error() string { return `` }", ""},
		{head + "func Error() {}", "exported Error"},
		{head + "type T int", "exported type T"},
		{head + "// Both.\ntype (\n\tT int\n\tu int\n)", "exported type T"},
		{head + "// Colours.\nconst (\n\tRed = 1\n\tBlue = 2\n)", ""},
		{head + "const (\n\tRed = 1 // the colour\n\tBlue = 2\n)", "exported Blue"},
		{"package p", "no package comment"},
		{head + strings.Repeat("\n", maxLines), "lines, at most"},
		{"// Code generated by x. DO NOT EDIT.\n\n" + head + strings.Repeat("\n", maxLines), ""},
	} {
		f, err := parseSource("p.go", []byte(c.code))
		if err != nil {
			t.Fatalf("%v in\n%s", err, c.code)
		}
		got := checkStyle([]*source{f})
		if (len(got) > 0) != (c.want != "") || len(got) > 1 || !strings.Contains(strings.Join(got, "\n"), c.want) {
			t.Errorf("complaints %q, want one with %q, about\n%.300s", got, c.want, c.code)
		}
	}
}

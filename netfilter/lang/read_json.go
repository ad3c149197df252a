package lang

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// ParseJSON reads commands as Parse does, in the form of libnftables-json(5). Errors
// have no place in the source, as nft's have none.
//
// The commands are put into words and parsed, so that one grammar and one set of
// checks serve both forms.
func ParseJSON(src, filename string, opts Options) (cmds []Command, err error) {
	if len(src) > maxSource {
		return nil, Errors{{Msg: "too much source"}}
	}
	root, err := decode(src)
	if err != nil {
		return nil, Errors{{Msg: err.Error()}}
	}
	text, err := wordsOf(root)
	if err != nil {
		return nil, err
	}
	opts.Include, opts.Define = nil, nil
	cmds, err = Parse(text, filename, opts)
	if errs, ok := err.(Errors); ok {
		for i := range errs {
			errs[i] = &Error{Msg: errs[i].Msg, Warning: errs[i].Warning}
		}
		return nil, errs
	}
	for i := range cmds {
		c := &cmds[i]
		c.At, c.TableAt, c.NameAt, c.HandleAt = Span{}, Span{}, Span{}, Span{}
	}
	return cmds, err
}

// decode reads one JSON value, whose numbers stay as they are written.
func decode(src string) (any, error) {
	d := json.NewDecoder(strings.NewReader(src))
	d.UseNumber()
	var root any
	if err := d.Decode(&root); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("end of file expected")
	}
	return root, nil
}

// A reader puts JSON into words of nft. What cannot be put so unwinds it.
type reader struct{ nest int }

func (r *reader) fail(format string, args ...any) {
	panic(syntax{&Error{Msg: fmt.Sprintf(format, args...)}})
}

// wordsOf puts a whole document into words.
func wordsOf(root any) (text string, err error) {
	defer func() {
		switch x := recover().(type) {
		case nil:
		case syntax:
			err = Errors{x.err}
		default:
			panic(x)
		}
	}()
	r := &reader{}
	top, ok := root.(map[string]any)
	if !ok {
		r.fail("Expected object")
	}
	list, found := top["nftables"]
	if !found {
		r.fail("Object item not found: nftables")
	}
	cmds, ok := list.([]any)
	if !ok {
		r.fail(`Value of property "nftables" must be an array.`)
	}
	var b bytes.Buffer
	for i, c := range cmds {
		r.command(&b, c, i)
	}
	return b.String(), nil
}

// enter counts nesting, whose depth is bounded.
func (r *reader) enter() {
	if r.nest++; r.nest > maxNesting {
		r.fail("too deeply nested")
	}
}

func (r *reader) leave() { r.nest-- }

// one returns the only property of an object.
func (r *reader) one(v any, what string) (string, any) {
	m, ok := v.(map[string]any)
	if !ok || len(m) != 1 {
		r.fail("Expected %s object with a single property", what)
	}
	for k, x := range m {
		return k, x
	}
	return "", nil
}

func (r *reader) object(v any) map[string]any {
	m, ok := v.(map[string]any)
	if !ok && v != nil {
		r.fail("Expected object")
	}
	return m
}

// list returns an array, or a single value as one.
func list(v any) []any {
	switch x := v.(type) {
	case nil:
		return nil
	case []any:
		return x
	}
	return []any{v}
}

// word returns a property that is a name, which must be one.
func (r *reader) word(m map[string]any, key string) string {
	s, ok := m[key].(string)
	if !ok {
		r.fail("Object item not found: %s", key)
	}
	return r.name(s)
}

// name checks that a string is one word of nft, or some with blanks between.
func (r *reader) name(s string) string {
	for i := range len(s) {
		if c := s[i]; !letter(c) && !digit(c) && !strings.ContainsRune("_-./ []@", rune(c)) {
			r.fail("Invalid name '%s'", s)
		}
	}
	if s == "" || s[0] == ' ' {
		r.fail("Invalid name '%s'", s)
	}
	return s
}

// quote returns a string in quotes, which nft's strings cannot hold.
func (r *reader) quote(s string) string {
	if strings.ContainsAny(s, "\"\n\x00") {
		r.fail("Invalid string '%s'", s)
	}
	return `"` + s + `"`
}

// number returns a property that is a number; def if it is not there.
func (r *reader) number(m map[string]any, key, def string) string {
	v, ok := m[key]
	if !ok {
		if def == "" {
			r.fail("Object item not found: %s", key)
		}
		return def
	}
	return r.digits(v)
}

func (r *reader) digits(v any) string {
	n, ok := v.(json.Number)
	if !ok {
		r.fail("Expected number")
	}
	for _, c := range n {
		if c != '-' && (c < '0' || c > '9') {
			r.fail("Expected integer, got %s", n)
		}
	}
	return n.String()
}

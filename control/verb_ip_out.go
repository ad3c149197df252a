package control

import (
	"encoding/json"
	"fmt"
	"strings"
)

// ipOut collects the output of one reply, as text or as JSON: what has a key goes
// to both, text alone only to text.
type ipOut struct {
	f  ipFormat
	b  strings.Builder
	js jsonWriter
}

func newIPOut(f ipFormat) *ipOut { return &ipOut{f: f, js: jsonWriter{pretty: f.pretty}} }

// String returns what was collected.
func (o *ipOut) String() string {
	if o.f.json {
		return o.js.String() + "\n"
	}
	return o.b.String()
}

// text prints only when the output is text.
func (o *ipOut) text(format string, args ...any) {
	if !o.f.json {
		fmt.Fprintf(&o.b, format, args...)
	}
}

// line ends a line within one entry.
func (o *ipOut) line() {
	if o.f.oneline {
		o.text("\\")
	} else {
		o.text("\n")
	}
}

// val prints a value by format, or as the member key. An empty format is JSON
// only.
func (o *ipOut) val(key, format string, v any) {
	if o.f.json {
		o.js.member(key, v)
	} else if format != "" {
		fmt.Fprintf(&o.b, format, v)
	}
}

func (o *ipOut) beginArray(key string) {
	if o.f.json {
		o.js.name(key)
		o.js.begin('[')
	}
}

func (o *ipOut) endArray() {
	if o.f.json {
		o.js.end(']')
	}
}

func (o *ipOut) beginObject(key string) {
	if o.f.json {
		o.js.name(key)
		o.js.begin('{')
	}
}

func (o *ipOut) endObject() {
	if o.f.json {
		o.js.end('}')
	}
}

// list prints strings as a JSON array.
func (o *ipOut) list(key string, items []string) {
	o.beginArray(key)
	for _, s := range items {
		if o.f.json {
			o.js.value(s)
		}
	}
	o.endArray()
}

// A jsonWriter writes JSON with members in the order of the calls and in the
// layout of iproute2, compact or pretty.
type jsonWriter struct {
	strings.Builder
	pretty bool
	depth  int
	comma  bool // something stands before the next element
}

func (w *jsonWriter) separate() {
	if w.comma {
		w.WriteByte(',')
	}
	w.comma = true
}

func (w *jsonWriter) indent() {
	if w.pretty {
		w.WriteByte('\n')
		w.WriteString(strings.Repeat("    ", w.depth))
	}
}

// name begins a member; with an empty key it does nothing, for elements of arrays.
func (w *jsonWriter) name(key string) {
	if key == "" {
		return
	}
	w.separate()
	w.indent()
	w.WriteString(jsonText(key))
	w.WriteByte(':')
	if w.pretty {
		w.WriteByte(' ')
	}
	w.comma = false
}

func (w *jsonWriter) begin(bracket byte) {
	w.separate()
	w.WriteByte(bracket)
	w.depth++
	w.comma = false
	if bracket == '[' && w.pretty {
		w.WriteByte(' ')
	}
}

func (w *jsonWriter) end(bracket byte) {
	w.depth--
	switch {
	case bracket == ']' && w.pretty && w.comma:
		w.WriteByte(' ')
	case bracket == '}' && w.comma:
		w.indent()
	}
	w.WriteByte(bracket)
	w.comma = true
}

func (w *jsonWriter) value(v any) {
	w.separate()
	w.WriteString(jsonText(v))
}

func (w *jsonWriter) member(key string, v any) {
	w.name(key)
	w.value(v)
}

// jsonText encodes a string, a number, a bool or nil.
func jsonText(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "null"
	}
	return strings.TrimSuffix(b.String(), "\n")
}

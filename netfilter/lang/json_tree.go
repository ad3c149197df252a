package lang

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strconv"
)

// The values of a JSON text: strings, ints, *big.Int, bools, nil, []any and objects,
// whose fields keep their order.
type (
	object []field
	field  struct {
		name  string
		value any
	}
)

// obj returns an object of one field.
func obj(name string, value any) object { return object{{name, value}} }

// with returns o with a field added at its end.
func (o object) with(name string, value any) object { return append(o, field{name, value}) }

// appendJSON writes v as nft does: on one line, with blanks behind commas and colons.
func appendJSON(b []byte, v any) []byte {
	switch x := v.(type) {
	case object:
		b = append(b, '{')
		for i, f := range x {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendJSONString(b, f.name)
			b = append(b, ": "...)
			b = appendJSON(b, f.value)
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, e := range x {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendJSON(b, e)
		}
		return append(b, ']')
	case string:
		return appendJSONString(b, x)
	case bool:
		return strconv.AppendBool(b, x)
	case int:
		return strconv.AppendInt(b, int64(x), 10)
	case uint64:
		return strconv.AppendUint(b, x, 10)
	case *big.Int:
		return x.Append(b, 10)
	}
	return append(b, "null"...)
}

// appendJSONString writes a string without the escapes that only HTML needs.
func appendJSONString(b []byte, s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if enc.Encode(s) != nil {
		return append(b, `""`...)
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

// oneOrMany is a list, or its only element.
func oneOrMany(list []string) any {
	if len(list) == 1 {
		return list[0]
	}
	return strings2any(list)
}

func strings2any(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

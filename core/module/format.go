package module

import (
	"fmt"
	"strings"
)

// FormatLsmod returns what lsmod prints for these modules, header included.
func FormatLsmod(modules []Info) string {
	var b strings.Builder
	b.WriteString("Module                  Size  Used by\n")
	for _, m := range modules {
		line := fmt.Sprintf("%-19s %8d  %d %s", m.Name, m.Size, m.Refs, strings.Join(m.Holders, ","))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// FormatProcModules returns the content of /proc/modules: name, size, use
// count, holders, state and address, which is zero here as it is on Linux for
// whoever must not see it.
func FormatProcModules(modules []Info) string {
	var b strings.Builder
	for _, m := range modules {
		holders := "-"
		if len(m.Holders) > 0 {
			holders = strings.Join(m.Holders, ",") + ","
		}
		fmt.Fprintf(&b, "%s %d %d %s %s 0x%016x\n", m.Name, m.Size, m.Refs, holders, m.State, 0)
	}
	return b.String()
}

// A Field is one line of modinfo.
type Field struct{ Key, Value string }

// native is what modinfo says about modules that are compiled in: Go cannot
// unload machine code.
const native = "native (unloading frees the instance; its code stays in the program)"

// Modinfo returns the module's metadata in the order in which modinfo prints
// it. Aliases and parameters have one field each; what is empty has none,
// except depends.
func (s *Spec) Modinfo() []Field {
	name := canonical(s.Name)
	filename, kind := s.Filename, ""
	var fields []Field
	add := func(key, value string) {
		if value != "" {
			fields = append(fields, Field{key, value})
		}
	}
	if filename == "" {
		filename, kind = "(builtin)", native
		add("name", name)
	}
	add("filename", filename)
	add("version", s.Version)
	add("description", s.Description)
	add("author", s.Author)
	add("license", s.License)
	for _, a := range s.Alias {
		add("alias", a)
	}
	add("softdep", s.Softdep.String())
	fields = append(fields, Field{"depends", joinCanonical(s.Depends)})
	if s.Filename != "" {
		add("name", name)
	}
	add("kind", kind)
	for _, p := range s.Params {
		add("parm", fmt.Sprintf("%s:%s (%s)", p.name, p.desc, p.kind))
	}
	return fields
}

// String returns the form of modinfo and modprobe.d: "pre: a b post: c".
func (d Softdep) String() string {
	var words []string
	if len(d.Pre) > 0 {
		words = append(append(words, "pre:"), d.Pre...)
	}
	if len(d.Post) > 0 {
		words = append(append(words, "post:"), d.Post...)
	}
	return strings.Join(words, " ")
}

func joinCanonical(names []string) string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = canonical(n)
	}
	return strings.Join(list, ",")
}

// FormatModinfo returns what modinfo prints: each key padded to 16 columns.
func FormatModinfo(fields []Field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "%-16s%s\n", f.Key+":", f.Value)
	}
	return b.String()
}

// FormatModinfo0 returns what `modinfo -0` prints. Like kmod's, it ends each
// field with a zero byte and writes key=value, except for the fields that kmod
// makes up itself.
func FormatModinfo0(fields []Field) string {
	var b strings.Builder
	for _, f := range fields {
		switch f.Key {
		case "name", "filename", "parm":
			fmt.Fprintf(&b, "%-16s%s\x00", f.Key+":", f.Value)
		default:
			fmt.Fprintf(&b, "%s=%s\x00", f.Key, f.Value)
		}
	}
	return b.String()
}

// FormatModinfoField returns what `modinfo -F field` prints: the values of one
// field, each followed by end, a newline or with -0 a zero byte. Keys compare
// without regard to case; of a field that is not there nothing is printed.
func FormatModinfoField(fields []Field, key string, end byte) string {
	var b strings.Builder
	for _, f := range fields {
		if strings.EqualFold(f.Key, key) {
			b.WriteString(f.Value)
			b.WriteByte(end)
		}
	}
	return b.String()
}

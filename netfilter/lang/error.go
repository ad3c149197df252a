package lang

import (
	"fmt"
	"slices"
	"strings"
)

// An Error is what is wrong with a piece of source.
type Error struct {
	At Span
	// More are further places that belong to it, underlined with `~`.
	More []Span
	Msg  string
	// Warning: the word in front of the message is not "Error".
	Warning bool
	// stored: it is the kernel that says so, and not nft.
	stored bool
}

// Errors are all errors of one source, in nft's order.
type Errors []*Error

// Error returns the errors as nft prints them, without the last newline.
func (l Errors) Error() string {
	var b strings.Builder
	for _, e := range l {
		b.WriteString(e.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// said returns the errors that nft shows: as long as it complains itself, the kernel is not asked.
func (l Errors) said() Errors {
	own := slices.DeleteFunc(slices.Clone(l), func(e *Error) bool { return e.stored })
	if len(own) > 0 {
		return own
	}
	return l
}

// position returns the line and the columns of s, counted from 1, and the text of
// the line.
func (s Span) position() (line, from, to int, text string) {
	if s.File == nil {
		return 0, 0, 0, ""
	}
	src := s.File.Text
	start := min(s.Start, len(src))
	head := src[:start]
	line = strings.Count(head, "\n") + 1
	bol := strings.LastIndexByte(head, '\n') + 1
	text, _, _ = strings.Cut(src[bol:], "\n")
	if start == len(src) && text == "" && bol > 0 { // at the end, nft shows the line before it
		text = src[strings.LastIndexByte(src[:bol-1], '\n')+1 : bol-1]
	}
	from = start - bol + 1
	to = max(s.End-bol, from)
	return line, from, to, text
}

// Error returns e as nft prints it: place, message, the line and carets.
func (e *Error) Error() string {
	word := "Error"
	if e.Warning {
		word = "Warning"
	}
	if e.At.File == nil {
		return fmt.Sprintf("%s: %s\n", word, e.Msg)
	}
	line, from, to, text := e.At.position()
	var b strings.Builder
	writeIncludes(&b, e.At.File.By)
	if e.At.File.Name != "" {
		fmt.Fprintf(&b, "%s:%d:%d-%d: ", e.At.File.Name, line, from, to)
	}
	fmt.Fprintf(&b, "%s: %s\n%s\n", word, e.Msg, text)
	b.WriteString(e.carets(line, from, to, text))
	b.WriteByte('\n')
	return b.String()
}

// writeIncludes writes where the file with the error was included, the innermost first.
func writeIncludes(b *strings.Builder, by *Span) {
	lead := "In file included from"
	for ; by != nil; by = by.File.By {
		line, from, to, _ := by.position()
		fmt.Fprintf(b, "%s %s:%d:%d-%d:\n", lead, by.File.Name, line, from, to)
		lead = "                 from"
	}
}

// carets returns the line below the source line.
func (e *Error) carets(line, from, to int, text string) string {
	end := to
	for _, m := range e.More {
		if l, _, t, _ := m.position(); l == line {
			end = max(end, t)
		}
	}
	end = min(end, len(text)+1)
	end = max(end, from)
	mark := []byte(strings.Repeat(" ", end))
	for i := range mark {
		if i < len(text) && text[i] == '\t' {
			mark[i] = '\t'
		}
	}
	put := func(from, to int, c byte) {
		for i := from - 1; i < to && i < len(mark); i++ {
			mark[i] = c
		}
	}
	for _, m := range e.More {
		if l, f, t, _ := m.position(); l == line {
			put(f, t, '~')
		}
	}
	put(from, to, '^')
	return string(mark)
}

// Store returns the error nft prints when the kernel refuses a command: err is the
// errno, at the part of the command it is about.
func Store(at Span, err error) *Error {
	msg := err.Error()
	if msg != "" {
		msg = strings.ToUpper(msg[:1]) + msg[1:]
	}
	return &Error{At: at, Msg: "Could not process rule: " + msg, stored: true}
}

package control

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Word is one word of a boot script, unquoted, and where it begins. Line and
// Column count from 1; a column is a character.
type Word struct {
	Text         string
	Line, Column int
}

// A ScriptError says where a boot script is wrong.
type ScriptError struct {
	File         string
	Line, Column int
	Quote        string // the line
	Text         string
	Status       int
}

// Error returns FILE:LINE:COLUMN: message, the line, and a caret below the place.
func (e *ScriptError) Error() string {
	var under strings.Builder
	for i, r := range []rune(e.Quote) {
		if i == e.Column-1 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		under.WriteRune(r)
	}
	return fmt.Sprintf("%s:%d:%d: %s\n%s\n%s^", e.File, e.Line, e.Column, e.Text, e.Quote, under.String())
}

// A script is being split.
type script struct {
	file         string
	lines        []string // as they are quoted in errors
	text         string   // what is still to be read
	line, column int
	commands     [][]Word
	words        []Word // of the command that is being read
}

// ParseScript splits a boot script into commands of words: one command a line,
// quotes and backslash as in a shell, # begins a comment where a word could
// begin, and a backslash at the end of a line continues it. Nothing is expanded.
// Errors are *ScriptError; file is the name they show.
func ParseScript(file, text string) ([][]Word, error) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	s := &script{file: file, lines: strings.Split(text, "\n"), text: text, line: 1, column: 1}
	for s.text != "" {
		switch c := s.text[0]; {
		case c == '\n':
			s.endCommand()
			s.take()
		case c == ' ' || c == '\t':
			s.take()
		case strings.HasPrefix(s.text, "\\\n"):
			s.take()
			s.take()
		case c == '#':
			for s.text != "" && s.text[0] != '\n' {
				s.take()
			}
		default:
			if err := s.word(); err != nil {
				return nil, err
			}
		}
	}
	s.endCommand()
	return s.commands, nil
}

func (s *script) endCommand() {
	if len(s.words) > 0 {
		s.commands = append(s.commands, s.words)
		s.words = nil
	}
}

// take returns the next character and steps over it.
func (s *script) take() string {
	_, n := utf8.DecodeRuneInString(s.text)
	c := s.text[:n]
	s.text = s.text[n:]
	s.column++
	if c == "\n" {
		s.line, s.column = s.line+1, 1
	}
	return c
}

// word reads one word, which begins here.
func (s *script) word() error {
	w := Word{Line: s.line, Column: s.column}
	var b strings.Builder
	for s.text != "" && !strings.Contains(" \t\n", s.text[:1]) {
		line, column := s.line, s.column
		switch c := s.take(); c {
		case "'", `"`:
			if !s.quoted(c, &b) {
				return s.fail(line, column, "this quote is never closed")
			}
		case `\`:
			if s.text == "" {
				return s.fail(line, column, "nothing follows the backslash")
			}
			if c := s.take(); c != "\n" {
				b.WriteString(c)
			}
		case "\x00":
			return s.fail(line, column, "this is no text: it has a zero byte")
		case ";", "&", "|", "<", ">", "`":
			return s.fail(line, column, "%q is of no use here: one command a line; write %s to mean the character", c, "'"+c+"'")
		default:
			b.WriteString(c)
		}
	}
	w.Text = b.String()
	s.words = append(s.words, w)
	return nil
}

// quoted reads up to the closing quote and reports whether there is one.
func (s *script) quoted(quote string, b *strings.Builder) bool {
	for s.text != "" {
		c := s.take()
		switch {
		case c == quote:
			return true
		case c == `\` && quote == `"` && s.text != "" && strings.Contains("\"\\$`\n", s.text[:1]):
			if c = s.take(); c == "\n" {
				continue
			}
		}
		b.WriteString(c)
	}
	return false
}

func (s *script) fail(line, column int, format string, args ...any) error {
	return &ScriptError{s.file, line, column, s.lines[line-1], fmt.Sprintf(format, args...), 1}
}

// Quote returns words as a line of a boot script, or of a shell.
func Quote(words ...string) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(quoteWord(w))
	}
	return b.String()
}

func quoteWord(w string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%^"
	if w != "" && strings.Trim(w, plain) == "" {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

package nftcase

import (
	"fmt"
	"strings"
)

// A Position is a line of a file.
type Position struct {
	File string `json:"file"`
	Line int    `json:"line"` // from 1
}

// String returns the position as editors understand it.
func (p Position) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// An Error is what is wrong with a line.
type Error struct {
	Position
	Msg string
}

// Error returns the place and the message.
func (e *Error) Error() string { return e.Position.String() + ": " + e.Msg }

// words are the words of a line from left to right. Whoever takes one says what it
// wanted if there is none.
type words struct {
	list []string
	at   int
}

// split cuts a line into words. A word in double quotes keeps its quotes, so that it
// cannot be taken for a keyword; `#` begins a comment.
func split(line string) (*words, error) {
	w := &words{}
	for {
		line = strings.TrimLeft(line, " \t\r\n")
		if line == "" || line[0] == '#' {
			return w, nil
		}
		end := strings.IndexAny(line, " \t\r\n")
		if end < 0 {
			end = len(line)
		}
		if line[0] == '"' {
			n := strings.IndexByte(line[1:], '"')
			if n < 0 {
				return nil, fmt.Errorf("%s: the quotation mark is not closed", line)
			}
			end = n + 2
		}
		w.list = append(w.list, line[:end])
		line = line[end:]
	}
}

// unquote takes the quotation marks off.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

func (w *words) end() bool { return w.at == len(w.list) }

// peek returns the word that is n words ahead, or "".
func (w *words) peek(n int) string {
	if w.at+n < len(w.list) {
		return w.list[w.at+n]
	}
	return ""
}

// next takes a word; want says what it should be.
func (w *words) next(want string) (string, error) {
	if w.end() {
		return "", fmt.Errorf("the line ends here: want %s", want)
	}
	w.at++
	return w.list[w.at-1], nil
}

// take takes the next word if it is s.
func (w *words) take(s string) bool {
	if w.peek(0) != s {
		return false
	}
	w.at++
	return true
}

// rest takes all that is left, as one text.
func (w *words) rest() string {
	s := strings.Join(w.list[w.at:], " ")
	w.at = len(w.list)
	return s
}

// cut splits the words at the first `->`.
func (w *words) cut() (left, right *words, found bool) {
	for i := w.at; i < len(w.list); i++ {
		if w.list[i] == "->" {
			return &words{list: w.list[w.at:i]}, &words{list: w.list[i+1:]}, true
		}
	}
	return w, &words{}, false
}

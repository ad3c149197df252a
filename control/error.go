package control

import (
	"context"
	"errors"
	"fmt"
)

// ErrHelp is returned by a Parse that was asked for help.
var ErrHelp = errors.New("help requested")

// An Error is how a command fails: in the words of the tool whose name the verb
// has, and with its exit status.
type Error struct {
	// Text is what goes to standard error, without a final newline; it may have
	// several lines. Empty says nothing.
	Text string `json:"text"`
	// Status is the exit status.
	Status int `json:"status"`
	// Word is the index of the wrong word behind the verb's name, from 1 on, or 0.
	// Boot scripts point at it.
	Word int `json:"-"`

	help bool // Text is for standard output
}

// Error returns the text.
func (e *Error) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("exit status %d", e.Status)
	}
	return e.Text
}

// Errorf returns an *Error.
func Errorf(status int, format string, args ...any) *Error {
	return &Error{Text: fmt.Sprintf(format, args...), Status: status}
}

// WordErrorf returns an *Error about one word; see Error.Word.
func WordErrorf(word, status int, format string, args ...any) *Error {
	return &Error{Text: fmt.Sprintf(format, args...), Status: status, Word: word}
}

// interrupted is the exit status of a program that Ctrl-C ended, as a shell
// reports it.
const interrupted = 130

// asError turns any error into an *Error.
func asError(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled):
		return &Error{Status: interrupted}
	}
	return Errorf(1, "%s", err)
}

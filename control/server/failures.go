package server

import "github.com/knitnet/knit/control"

// failures collects what goes wrong in a command that goes on after a failure.
// The last one is the error that the command ends with, so that whoever runs it
// knows a reason; earlier ones are told on the way.
type failures struct {
	tell func(text string) error
	last *control.Error
}

// add notes one more failure, in the words of the tool. It fails if the caller
// has gone.
func (f *failures) add(text string) error {
	if f.last != nil {
		if err := f.tell(f.last.Text); err != nil {
			return err
		}
	}
	f.last = control.Errorf(1, "%s", text)
	return nil
}

// err returns nil if nothing failed.
func (f *failures) err() error {
	if f.last == nil {
		return nil
	}
	return f.last
}

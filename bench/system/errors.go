package system

import (
	"errors"
	"fmt"
)

// ErrUnsupported says that a stack, or the machine, does not have what a
// benchmark asked for. The benchmark leaves the stack out and prints why.
var ErrUnsupported = errors.New("not supported")

// Unsupportedf returns an error that wraps ErrUnsupported and gives the reason.
func Unsupportedf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))
}

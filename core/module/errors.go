package module

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

var (
	// ErrNotFound is in the chain of the error for a name that is neither a
	// module nor an alias of one.
	ErrNotFound = errors.New("no such module")
	// ErrNotLoaded is in the chain of the error for a module that would have
	// to be loaded.
	ErrNotLoaded = errors.New("module is not loaded")
	// ErrInUse is in the chain of an *InUseError.
	ErrInUse = errors.New("module is in use")
	// ErrCycle is in the chain of the error for modules that wait for each
	// other.
	ErrCycle = errors.New("dependency cycle")
	// ErrStuck is in the chain of the error for a module whose goroutines do
	// not end; it stays Unloading.
	ErrStuck = errors.New("goroutines do not end")
	// ErrShutdown is in the chain of the error for a load after Shutdown.
	ErrShutdown = errors.New("the kernel is shut down")
	// ErrPanic is in the chain of the error for an Init that panicked.
	ErrPanic = errors.New("panic")
	// ErrUnknownSymbol is in the chain of the error for a dependency that is
	// not there; so is ENOENT.
	ErrUnknownSymbol = errors.New("unknown symbol in module")
)

// A NotFoundError says that no module has this name or alias. It is
// ErrNotFound and ENOENT.
type NotFoundError struct {
	Name        string
	Blacklisted []string // modules that have the alias but are blacklisted
}

// Error has the words of modprobe, which adds the directory.
func (e *NotFoundError) Error() string {
	if len(e.Blacklisted) > 0 {
		return fmt.Sprintf("Module %s not found (%s is blacklisted)", e.Name, strings.Join(e.Blacklisted, ", "))
	}
	return fmt.Sprintf("Module %s not found", e.Name)
}

// Is reports whether target is ErrNotFound or ENOENT.
func (e *NotFoundError) Is(target error) bool {
	return target == ErrNotFound || target == syscall.ENOENT
}

// A NotLoadedError says that a module is not loaded. It is ErrNotLoaded and
// ENOENT.
type NotLoadedError struct{ Module string }

// Error has the words of rmmod.
func (e *NotLoadedError) Error() string {
	return fmt.Sprintf("Module %s is not currently loaded", e.Module)
}

// Is reports whether target is ErrNotLoaded or ENOENT.
func (e *NotLoadedError) Is(target error) bool {
	return target == ErrNotLoaded || target == syscall.ENOENT
}

// A UserCount is how many users of one kind a module has.
type UserCount struct {
	Kind string // a singular noun: "socket"
	N    int
}

// String returns the count with its noun: "1 socket", "2 sockets".
func (u UserCount) String() string { return count(u.N, u.Kind) }

// An InUseError says who holds a module that was to be unloaded. It is
// ErrInUse and EBUSY.
type InUseError struct {
	Module  string
	Holders []string    // loaded modules that depend on it, sorted
	Users   []UserCount // live users, by kind
	Loading bool        // a load under way needs it
}

// Error has the words of rmmod; what rmmod cannot know comes behind.
func (e *InUseError) Error() string {
	var users []string
	for _, u := range e.Users {
		users = append(users, u.String())
	}
	s := "Module " + e.Module + " is in use"
	switch {
	case len(e.Holders) > 0 && len(users) > 0:
		return s + " by: " + strings.Join(e.Holders, " ") + " and by " + strings.Join(users, ", ")
	case len(e.Holders) > 0:
		return s + " by: " + strings.Join(e.Holders, " ")
	case len(users) > 0:
		return s + " by " + strings.Join(users, ", ")
	case e.Loading:
		return s + " by a load under way"
	}
	return s
}

// Is reports whether target is ErrInUse or EBUSY.
func (e *InUseError) Is(target error) bool {
	return target == ErrInUse || target == syscall.EBUSY
}

// A ParamError says which parameter was wrong and what was expected. It wraps
// the reason: EINVAL for a value or a name, EACCES for one that is read-only,
// ENOENT for an unknown one at run time.
type ParamError struct {
	Module string
	Param  string
	Value  string
	Want   string // what would be right
	Errno  syscall.Errno
	msg    string // in Linux's words, without the module
}

// Error has the words of Linux, and what was expected.
func (e *ParamError) Error() string {
	s := e.Module + ": " + e.msg
	if e.Want != "" {
		s += ": want " + e.Want
	}
	return s
}

// Unwrap returns the errno.
func (e *ParamError) Unwrap() error { return e.Errno }

// count returns n with the noun in singular or plural.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %s", n, plural(noun))
}

// plural forms the regular plural of an English noun.
func plural(noun string) string {
	for _, end := range []string{"s", "x", "ch", "sh"} {
		if strings.HasSuffix(noun, end) {
			return noun + "es"
		}
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok && stem != "" && !strings.ContainsAny(stem[len(stem)-1:], "aeiou") {
		return stem + "ies"
	}
	return noun + "s"
}

// A LoadError says which module could not be loaded. It wraps the reason.
type LoadError struct {
	Module string
	Err    error
}

// Error has the words of modprobe.
func (e *LoadError) Error() string {
	return fmt.Sprintf("could not insert '%s': %v", e.Module, e.Err)
}

// Unwrap returns the reason.
func (e *LoadError) Unwrap() error { return e.Err }

// symbolError is a symbol, or a module, that a load needs and does not find.
type symbolError struct{ name string }

// Error has the words of insmod.
func (e *symbolError) Error() string { return "Unknown symbol in module: " + e.name }

func (e *symbolError) Is(target error) bool {
	return target == ErrUnknownSymbol || target == syscall.ENOENT
}

package sandbox

import (
	"errors"
	"fmt"
)

// A Report says what the machine allows the caller.
type Report struct {
	// TUN says why a sandbox with a TUN cannot be started, and Packet the
	// same of the fallback. Nil means that it can.
	TUN, Packet error
}

// Probe starts and ends a sandbox of each kind. It takes some tens of
// milliseconds and runs no command.
func Probe() Report {
	return Report{TUN: try(TUN), Packet: try(Packet)}
}

// Diagnose returns nil if a sandbox can be started, and otherwise one line
// that says what forbids it and how to change that.
func Diagnose() error { return Probe().Err() }

func try(k Kind) error {
	s, err := Start(Config{Require: k})
	if err != nil {
		return err
	}
	return s.Close()
}

// Err returns nil if a sandbox can be started, of whatever kind.
func (r Report) Err() error {
	var forbidden *ForbiddenError
	switch {
	case r.TUN == nil || r.Packet == nil:
		return nil
	case errors.As(r.Packet, &forbidden):
		return r.Packet // it needs the namespaces only
	}
	return errors.Join(r.TUN, r.Packet)
}

// String returns a line for each kind.
func (r Report) String() string {
	line := func(k Kind, err error) string {
		if err == nil {
			return fmt.Sprintf("%s: ok\n", k)
		}
		return fmt.Sprintf("%s: %v\n", k, err)
	}
	return line(TUN, r.TUN) + line(Packet, r.Packet)
}

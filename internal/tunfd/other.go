//go:build !linux

package tunfd

// Open returns ErrUnsupported.
func Open(Config) (*Device, error) { return nil, ErrUnsupported }

// MTU returns ErrUnsupported.
func MTU(string) (int, error) { return 0, ErrUnsupported }

// SetMTU returns ErrUnsupported.
func SetMTU(string, int) error { return ErrUnsupported }

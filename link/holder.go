package link

import (
	"fmt"
	"syscall"
)

// A Holder counts a module's devices that are up, so that the module stays while
// there is one: *module.Users. Get reports false when the module is going.
type Holder interface {
	Get() bool
	Put()
}

// Hold counts one device that goes up; EBUSY when its module is being unloaded.
func Hold(h Holder) error {
	if !h.Get() {
		return fmt.Errorf("its module is being unloaded: %w", syscall.EBUSY)
	}
	return nil
}

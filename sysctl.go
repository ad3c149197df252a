package knit

import (
	"fmt"
	"syscall"

	"github.com/knitnet/knit/core/sysctl"
)

// registerSysctls publishes the settings that belong to no module.
func (k *Kernel) registerSysctls() error {
	ports := &k.Transport.Ephemeral
	_, err := k.Sysctl.Register(sysctl.String("net.ipv4.ip_local_port_range", func() string {
		lo, hi := ports.Get()
		return fmt.Sprintf("%d\t%d", lo, hi)
	}, func(text string) error {
		var lo, hi uint16
		if n, err := fmt.Sscanf(text, "%d %d", &lo, &hi); n != 2 || err != nil {
			return fmt.Errorf("%w: want two ports, low and high", syscall.EINVAL)
		}
		return ports.Set(lo, hi)
	}))
	return err
}

package tunfd

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// MTU returns the MTU in bytes of the interface called name in the network
// namespace of the calling thread.
func MTU(name string) (int, error) {
	ifr, err := ioctlIfreq(name, unix.SIOCGIFMTU, 0)
	if err != nil {
		return 0, fmt.Errorf("device %s: read MTU: %w", name, err)
	}
	return int(ifr.Uint32()), nil
}

// SetMTU sets the MTU in bytes of the interface called name in the network
// namespace of the calling thread. It needs CAP_NET_ADMIN there; Linux takes
// 68 to 65535 for a TUN and 14 less for a TAP.
func SetMTU(name string, mtu int) error {
	if mtu < 0 || mtu > 1<<16 {
		return fmt.Errorf("device %s: MTU %d: %w", name, mtu, unix.EINVAL)
	}
	if _, err := ioctlIfreq(name, unix.SIOCSIFMTU, uint32(mtu)); err != nil {
		return fmt.Errorf("device %s: MTU %d: %w", name, mtu, err)
	}
	return nil
}

func ioctlIfreq(name string, req uint, value uint32) (*unix.Ifreq, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	ifr.SetUint32(value)
	// Any socket will do: interface ioctls go by the socket's namespace.
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return ifr, unix.IoctlIfreq(fd, req, ifr)
}

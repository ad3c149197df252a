package netdev

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The ethtool commands of the offloads that decide how large a packet on a veth
// may be (linux/ethtool.h). Checksum offload stays on throughout.
const (
	setTSO = 0x1f // ETHTOOL_STSO: large segments handed to the device
	setGSO = 0x24 // ETHTOOL_SGSO: large segments cut just before the device
	setGRO = 0x2c // ETHTOOL_SGRO: small segments merged on receipt
)

// ethtoolValue is struct ethtool_value.
type ethtoolValue struct{ cmd, data uint32 }

// ifreq is struct ifreq with a pointer in its union.
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte // the union is 24 bytes
}

// segmentation sets the offloads of a device in the calling thread's namespace.
func (d Device) segmentation() error {
	for _, set := range []struct {
		cmd uint32
		on  bool
	}{{setTSO, d.Offload}, {setGSO, d.Offload || d.Software}, {setGRO, d.Software}} {
		if err := ethtoolSet(d.Name, set.cmd, set.on); err != nil {
			return fmt.Errorf("ethtool command %#x: %w", set.cmd, err)
		}
	}
	return nil
}

func ethtoolSet(device string, cmd uint32, on bool) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	value := ethtoolValue{cmd: cmd}
	if on {
		value.data = 1
	}
	request := ifreq{data: unsafe.Pointer(&value)}
	copy(request.name[:unix.IFNAMSIZ-1], device)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return errno
	}
	return nil
}

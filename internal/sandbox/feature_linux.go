package sandbox

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// udpSegmentation is the feature by which an interface takes UDP datagrams
// that are yet to be segmented.
const udpSegmentation = "tx-udp-segmentation"

// packetCarriesUSO reports whether a packet socket's virtio-net header can
// say that a UDP datagram is unsegmented. Before Linux 6.2 it could not, and
// reading such a frame failed.
func packetCarriesUSO() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	return releaseAtLeast(unix.ByteSliceToString(u.Release[:]), 6, 2)
}

// releaseAtLeast compares a release such as "6.1.0-13-amd64".
func releaseAtLeast(release string, major, minor int) bool {
	var x, y int
	if n, _ := fmt.Sscanf(release, "%d.%d", &x, &y); n < 2 {
		return false
	}
	return x > major || x == major && y >= minor
}

// Commands of SIOCETHTOOL (linux/ethtool.h). All structures are of 32-bit
// words in the machine's order.
const (
	stringSetFeatures = 4 // ETH_SS_FEATURES
	featureNameLen    = 32
	maxFeatures       = 512 // Linux has some seventy
)

// disableFeature turns a feature of an interface off, as ethtool -K does.
func disableFeature(device, feature string) error {
	index, err := featureIndex(device, feature)
	if err != nil {
		return err
	}
	active, err := activeFeatures(device)
	if err != nil {
		return err
	}
	b := words(unix.ETHTOOL_SFEATURES, uint32(len(active)))
	for i := range active {
		valid := uint32(0)
		if i == index/32 {
			valid = 1 << (index % 32)
		}
		b = append(b, words(valid, 0)...)
	}
	if err := ethtool(device, b); err != nil {
		return fmt.Errorf("%s: turn off %s: %w", device, feature, err)
	}
	return nil
}

// activeFeatures returns the bit set of features that are on, in as many
// words as this kernel has.
func activeFeatures(device string) ([]uint32, error) {
	const header, block = 8, 16 // available, requested, active, never_changed
	b := append(words(unix.ETHTOOL_GFEATURES, maxFeatures/32), make([]byte, maxFeatures/32*block)...)
	if err := ethtool(device, b); err != nil {
		return nil, fmt.Errorf("%s: read features: %w", device, err)
	}
	count := min(int(binary.NativeEndian.Uint32(b[4:])), maxFeatures/32)
	active := make([]uint32, count)
	for i := range active {
		active[i] = binary.NativeEndian.Uint32(b[header+i*block+8:])
	}
	return active, nil
}

// featureIndex returns a feature's number on this kernel.
func featureIndex(device, feature string) (int, error) {
	const header = 12
	// A length of zero asks for all; newer kernels refuse one that is not
	// exactly theirs.
	b := append(words(unix.ETHTOOL_GSTRINGS, stringSetFeatures, 0), make([]byte, maxFeatures*featureNameLen)...)
	if err := ethtool(device, b); err != nil {
		return 0, fmt.Errorf("%s: list features: %w", device, err)
	}
	count := min(int(binary.NativeEndian.Uint32(b[8:])), maxFeatures)
	for i := range count {
		name := b[header+i*featureNameLen:][:featureNameLen]
		if string(bytes.TrimRight(name, "\x00")) == feature {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%s has no feature %s", device, feature)
}

func words(ws ...uint32) []byte {
	var b []byte
	for _, w := range ws {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return b
}

// ethtool carries out the command in data, in the calling thread's network
// namespace.
func ethtool(device string, data []byte) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// struct ifreq with its pointer member (netdevice(7)).
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [24 - unsafe.Sizeof(uintptr(0))]byte
	}{data: unsafe.Pointer(&data[0])}
	copy(request.name[:unix.IFNAMSIZ-1], device)
	var pin runtime.Pinner
	pin.Pin(&data[0])
	defer pin.Unpin()
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return errno
	}
	return nil
}

package tunfd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inNamespace runs f in a network namespace of its own, which vanishes with
// f's devices and the thread.
func inNamespace(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	done := make(chan error)
	go func() {
		// Never unlocked: the runtime ends the thread with the goroutine.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			defer close(done)
			f(t)
			return
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Skipf("this machine does not let the test make a network namespace: %v", err)
	}
}

// open opens a device or ends the goroutine of the test.
func open(t *testing.T, c Config) *Device {
	t.Helper()
	d, err := Open(c)
	if err != nil {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) {
			t.Skipf("this machine does not let the test open a TUN: %v", err)
		}
		t.Error(err)
		runtime.Goexit()
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func setUp(t *testing.T, name string) {
	t.Helper()
	ifr, err := ioctlIfreq(name, unix.SIOCGIFFLAGS, 0)
	if err == nil {
		_, err = ioctlIfreq(name, unix.SIOCSIFFLAGS, ifr.Uint32()|unix.IFF_UP)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestOpenNamesAndKinds(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		for _, c := range []struct {
			config Config
			name   string
			hdr    int
		}{
			{Config{}, "tun0", 0},
			{Config{VnetHdr: true}, "tun1", VnetHdrLen},
			{Config{TAP: true}, "tap0", 0},
			{Config{TAP: true, Name: "eth0", VnetHdr: true, MultiQueue: 4}, "eth0", VnetHdrLen},
		} {
			d := open(t, c.config)
			if d.Name != c.name || d.VnetHdrLen != c.hdr || len(d.Files) != max(c.config.MultiQueue, 1) {
				t.Errorf("Open(%+v) = %+v, want name %s, header %d", c.config, d, c.name, c.hdr)
			}
			if c.config.VnetHdr && d.Offload&OffloadTSO != OffloadTSO {
				t.Errorf("%s: offload %#x, want at least %#x", d.Name, d.Offload, OffloadTSO)
			}
		}
	})
}

func TestCloseRemovesTheDevice(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		d := open(t, Config{Name: "gone", MultiQueue: 2})
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if _, err := MTU("gone"); !errors.Is(err, unix.ENODEV) {
			t.Errorf("MTU of a closed device: %v, want ENODEV", err)
		}
	})
}

func TestPersistKeepsTheDevice(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		open(t, Config{Name: "stays", Persist: true}).Close()
		if _, err := MTU("stays"); err != nil {
			t.Error(err)
		}
		// It vanishes with the namespace.
	})
}

func TestMTU(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		d := open(t, Config{})
		for _, mtu := range []int{68, 1280, 65520} {
			if err := SetMTU(d.Name, mtu); err != nil {
				t.Error(err)
			}
			if got, err := MTU(d.Name); got != mtu || err != nil {
				t.Errorf("MTU = %d, %v, want %d", got, err, mtu)
			}
		}
		for _, mtu := range []int{-1, 0, 67, 65536, 1 << 20} {
			if err := SetMTU(d.Name, mtu); !errors.Is(err, unix.EINVAL) {
				t.Errorf("SetMTU(%d) = %v, want EINVAL", mtu, err)
			}
		}
	})
}

func TestOpenExplains(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "tun")
	_, err := Open(Config{Path: missing})
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "modprobe tun") {
		t.Errorf("missing node: %v", err)
	}
	inNamespace(t, func(t *testing.T) {
		open(t, Config{Name: "mine"})
		for _, c := range []struct {
			config Config
			want   unix.Errno
			hint   string
		}{
			{Config{Name: "mine"}, unix.EBUSY, "another program has it open"},
			{Config{Name: "mine", TAP: true}, unix.EINVAL, "differs in kind"},
			{Config{Name: "a/b"}, unix.EINVAL, "not valid"},
		} {
			_, err := Open(c.config)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.hint) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Open(%+v) = %v, want %v and %q", c.config, err, c.want, c.hint)
			}
		}
	})
}

// TestFrameHasHeader sends a datagram through the host's stack to the device
// and back: the header is VnetHdrLen little-endian bytes, and its checksum
// mark points at the UDP checksum.
func TestFrameHasHeader(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		d := open(t, Config{VnetHdr: true})
		setUp(t, d.Name)
		payload := []byte("a datagram to nobody")
		sendTo(t, d.Name, payload)
		frame := make([]byte, 2048)
		d.Files[0].SetReadDeadline(time.Now().Add(10 * time.Second))
		for {
			n, err := d.Files[0].Read(frame)
			if err != nil {
				t.Error(err)
				return
			}
			// The host sends router solicitations of its own.
			if f := frame[:n]; n > VnetHdrLen && f[VnetHdrLen]>>4 == 4 {
				checkFrame(t, f, payload)
				return
			}
		}
	})
}

func checkFrame(t *testing.T, f, payload []byte) {
	t.Helper()
	const ihl, udp = 20, 8
	if len(f) != VnetHdrLen+ihl+udp+len(payload) || !bytes.HasSuffix(f, payload) {
		t.Errorf("frame % x, want %d bytes that end with %q", f, VnetHdrLen+ihl+udp+len(payload), payload)
	}
	start, offset := binary.LittleEndian.Uint16(f[6:]), binary.LittleEndian.Uint16(f[8:])
	if f[0]&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM == 0 || start != ihl || offset != 6 {
		t.Errorf("header % x: flags %#x, csum_start %d, csum_offset %d, want 1, %d, 6", f[:VnetHdrLen], f[0], start, offset, ihl)
	}
}

// sendTo sends a broadcast datagram out of the device, which needs neither
// an address nor a route.
func sendTo(t *testing.T, device string, payload []byte) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer unix.Close(fd)
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1),
		unix.BindToDevice(fd, device),
		unix.Sendto(fd, payload, 0, &unix.SockaddrInet4{Port: 9, Addr: [4]byte(net.IPv4bcast.To4())}),
	)
	if err != nil {
		t.Error(err)
	}
}

// TestPollerServesTheFile defends what the drivers build on: deadlines work,
// and Close wakes a reader.
func TestPollerServesTheFile(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		d := open(t, Config{})
		f := d.Files[0]
		f.SetReadDeadline(time.Now().Add(-time.Second))
		if _, err := f.Read(make([]byte, 100)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read after the deadline: %v", err)
		}
		f.SetReadDeadline(time.Time{})
		raw, err := f.SyscallConn()
		if err != nil {
			t.Error(err)
			return
		}
		tried, ended := make(chan struct{}), make(chan error)
		go func() {
			first := true
			ended <- raw.Read(func(fd uintptr) bool {
				_, err := unix.Read(int(fd), make([]byte, 100))
				if first {
					first = false
					close(tried)
				}
				return err != unix.EAGAIN
			})
		}()
		<-tried
		f.Close()
		// RawConn does not turn the poller's error into os.ErrClosed.
		if err := <-ended; err == nil {
			t.Error("reader of a closed file got no error")
		}
	})
}

package sandbox

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sysctlVar names the variable that mode forbid sets to zero.
const sysctlVar = "SANDBOX_TEST_SYSCTL"

// insideProgram is main of a command that runs in a sandbox.
func insideProgram(mode string) int {
	var err error
	switch mode {
	case "burst":
		err = burst()
	case "forbid":
		err = forbid(os.Getenv(sysctlVar))
	case "nested":
		err = nested()
	case "diagnose":
		fmt.Println(Diagnose())
	default:
		err = fmt.Errorf("unknown mode %q", mode)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// burst sends 20 datagrams as one (UDP_SEGMENT, udp(7)) and wants them echoed.
func burst() error {
	c, err := net.Dial("udp", netip.AddrPortFrom(gateway4, echoPort).String())
	if err != nil {
		return err
	}
	defer c.Close()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, 1000)
	})
	if err != nil || set != nil {
		return fmt.Errorf("UDP_SEGMENT: %v, %v", err, set)
	}
	if _, err = c.Write(make([]byte, 20*1000)); err != nil {
		return err
	}
	// What arrived as one frame comes back so, and the host segments it.
	c.SetReadDeadline(time.Now().Add(patience))
	buffer := make([]byte, 1<<16)
	for i := range 20 {
		if n, err := c.Read(buffer); n != 1000 || err != nil {
			return fmt.Errorf("echo %d: %d bytes, %v, want 1000", i, n, err)
		}
	}
	return nil
}

// nested forbids user namespaces and runs a sandbox all the same, as root.
func nested() error {
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		return err
	}
	os.Unsetenv(modeVar)
	status, err := Run(context.Background(), Config{Command: []string{"readlink", "/proc/self/ns/user", "/proc/self/ns/net"}}, nil)
	if err == nil && status != 0 {
		err = fmt.Errorf("status %d", status)
	}
	return err
}

// forbid forbids namespaces with a variable of its own user namespace, and
// goes on in mode diagnose as a root without capabilities.
func forbid(sysctl string) error {
	if err := os.WriteFile("/proc/sys/user/"+sysctl, []byte("0"), 0); err != nil {
		return err
	}
	runtime.LockOSThread()
	for c := uintptr(0); ; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			break // past the last capability
		}
	}
	if err := dropInheritable(); err != nil {
		return err
	}
	return syscall.Exec(self, os.Args[:1], []string{modeVar + "=diagnose", "GORACE=" + os.Getenv("GORACE")})
}

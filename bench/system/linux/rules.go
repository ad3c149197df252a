package linux

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/knitnet/knit/bench/netdev"
	"github.com/knitnet/knit/bench/system"
)

// load gives the router a ruleset, in place of the one it has.
func (c *chain) load(rules string) error {
	if _, err := exec.LookPath("nft"); err != nil {
		return system.Unsupportedf("nft is not installed")
	}
	return c.r.Do(func() error {
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader("flush ruleset\n" + rules)
		out, err := cmd.CombinedOutput()
		if err == nil {
			return nil
		}
		if strings.Contains(rules, "flowtable") && strings.Contains(string(out), "No such file") {
			return system.Unsupportedf("this kernel has no flowtables")
		}
		first, _, _ := strings.Cut(string(out), "\n")
		return fmt.Errorf("nft: %w: %s", err, first)
	})
}

// answer implements Router.Answer.
func (c *chain) answer() error {
	var mac []byte
	err := c.r.Do(func() error {
		l, err := netlink.LinkByName("out")
		if err == nil {
			mac = l.Attrs().HardwareAddr
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.z.Do(func() error {
		l, err := netlink.LinkByName("bench1")
		if err != nil {
			return err
		}
		fd, err := netdev.Socket("bench1", false)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, p := range system.Answers() {
			if _, err := unix.Write(fd, frame(mac, l.Attrs().HardwareAddr, p)); err != nil {
				return fmt.Errorf("answer: %w", err)
			}
		}
		return nil
	})
}

// begin implements Router.Begin.
func (s *sender) begin(n int) error {
	if n > maxBatch {
		return errors.New("batch too large")
	}
	const ethernet = 14
	iovs := make([]unix.Iovec, n)
	msgs := make([]mmsghdr, n)
	for i := range msgs {
		f := append([]byte(nil), s.frame...)
		system.Beginning(f[ethernet:], s.begun)
		s.begun++
		iovs[i] = unix.Iovec{Base: &f[0], Len: uint64(len(f))}
		msgs[i].hdr.Iov, msgs[i].hdr.Iovlen = &iovs[i], 1
	}
	for len(msgs) > 0 {
		sent, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&msgs[0])), uintptr(len(msgs)), 0, 0, 0)
		if errno != 0 && errno != unix.EINTR {
			return fmt.Errorf("sendmmsg: %w", errno)
		}
		if errno == 0 {
			msgs = msgs[sent:]
		}
	}
	return nil
}

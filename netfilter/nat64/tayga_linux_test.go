package nat64_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knitnet/knit/wire"
)

// A tayga is another translator between IPv6 and IPv4, a program, in a network
// namespace of its own on a thread that ends with the test. Packets go to its TUN and
// come from there by a packet socket; Linux has no address in there, and no part in it.
type tayga struct {
	t      testing.TB
	fd, id int // of the packet socket; of the last mark
	to     unix.SockaddrLinklayer
}

// taygaPort is the one port, and echo identifier, of the inside: what is translated
// statefully keeps it, so that both translate alike.
const taygaPort = 40000

func newTayga(t *testing.T) *tayga {
	t.Helper()
	program, err := exec.LookPath("tayga")
	if err != nil {
		t.Skipf("no tayga on this machine: %v", err)
	}
	conf := filepath.Join(t.TempDir(), "tayga.conf")
	text := fmt.Sprintf("tun-device nat64\nipv4-addr %s\nipv6-addr %s\nprefix 64:ff9b::/96\nmap %s %s\n", own4, own6, pool, client)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	y := &tayga{t: t, id: 1}
	started, end, ended := make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // never unlocked: the namespace goes with the thread
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			started <- fmt.Errorf("cannot make a network namespace: %w (needs CAP_SYS_ADMIN)", err)
			return
		}
		cmd, err := y.start(program, conf)
		started <- err
		if err == nil {
			<-end
			cmd.Process.Kill()
			cmd.Wait()
		}
	}()
	err = <-started
	t.Cleanup(func() { close(end); <-ended; unix.Close(y.fd) })
	if err != nil {
		t.Skip(err)
	}
	return y
}

// start runs on the namespace's thread.
func (y *tayga) start(program, conf string) (*exec.Cmd, error) {
	for _, c := range [][]string{
		{program, "-c", conf, "--mktun"}, {"sysctl", "-qw", "net.ipv6.conf.nat64.disable_ipv6=1"}, {"ip", "link", "set", "nat64", "mtu", "9000", "up"},
	} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%v: %w: %s", c, err, out)
		}
	}
	dev, err := net.InterfaceByName("nat64")
	if err != nil {
		return nil, err
	}
	y.to = unix.SockaddrLinklayer{Ifindex: dev.Index}
	all := int(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL)))
	if y.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, all); err != nil {
		return nil, err
	}
	wait := unix.Timeval{Sec: 1}
	if err := unix.SetsockoptInt(y.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return nil, err
	}
	if err := unix.SetsockoptTimeval(y.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-c", conf, "--nodetach")
	return cmd, cmd.Start()
}

func (y *tayga) put(b []byte) {
	y.t.Helper()
	to := y.to
	proto := uint16(unix.ETH_P_IP)
	if b[0]>>4 == 6 {
		proto = unix.ETH_P_IPV6
	}
	to.Protocol = binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, proto))
	if err := unix.Sendto(y.fd, b, 0, &to); err != nil {
		y.t.Fatal(err)
	}
}

// translate returns what comes of packets: all that comes out before a mark that is sent
// behind them. A program that has just been started may not read yet; the mark is sent
// again then.
func (y *tayga) translate(packets ...[]byte) (out [][]byte) {
	y.t.Helper()
	for _, b := range packets {
		y.put(b)
	}
	y.id++
	mark := udp(client, taygaPort, embed(peer), uint16(y.id), "mark")
	y.put(mark)
	buf := make([]byte, 65536)
	for deadline := time.Now().Add(20 * time.Second); ; {
		n, _, err := unix.Recvfrom(y.fd, buf, 0)
		switch {
		case err == unix.EAGAIN && time.Now().Before(deadline):
			y.put(mark)
			continue
		case err == unix.EINTR:
			continue
		case err != nil:
			y.t.Fatalf("tayga does not answer: %v", err)
		}
		b := bytes.Clone(buf[:n])
		if h, ok := wire.ParseIPv4(b); !ok || !bytes.HasSuffix(b, []byte("mark")) || h.Protocol() != wire.ProtoUDP {
			out = append(out, b)
		} else if binary.BigEndian.Uint16(h.Payload()[2:]) == uint16(y.id) {
			return out
		}
	}
}

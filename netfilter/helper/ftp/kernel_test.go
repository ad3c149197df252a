package ftp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/std"
)

var ctx = context.Background()

// A world is a client behind a firewall that hides it, and a server outside.
//
//	client 10.0.0.2 --- 10.0.0.1 router 192.0.2.1 --- 192.0.2.2 server
//	     fd00::2      fd00::1        2001:db8::1    2001:db8::2
type world struct {
	t                      *testing.T
	client, router, server *knit.Kernel
	table                  netfilter.ConnTable
}

const firewall = `table inet fw {
	ct helper ctl { type "ftp" protocol tcp; }
	ct helper file { type "tftp" protocol udp; }
	chain pre {
		type filter hook prerouting priority 0;
		tcp dport 21 ct helper set "ctl"
		udp dport 69 ct helper set "file"
	}
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established,related accept
		tcp dport 21 accept
		udp dport 69 accept
	}
}
`

const hide = `table inet nat {
	chain post { type nat hook postrouting priority srcnat; oifname "pipe1" masquerade; }
	chain pre { type nat hook prerouting priority dstnat; iifname "pipe1" tcp dport 21 dnat ip to 10.0.0.2; }
}
`

func newWorld(t *testing.T, rules string) *world {
	t.Helper()
	leak.Check(t)
	w := &world{t: t, client: kernel(t), router: kernel(t), server: kernel(t)}
	w.join(w.client, "10.0.0.2/24 fd00::2/64", "10.0.0.1/24 fd00::1/64")
	w.join(w.server, "192.0.2.2/24 2001:db8::2/64", "192.0.2.1/24 2001:db8::1/64")
	for _, name := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		if err := w.router.Sysctl.Set(name, "1"); err != nil {
			t.Fatal(err)
		}
	}
	w.nft(rules)
	w.table, _ = module.Find[netfilter.ConnTable](w.router.Modules, netfilter.TrackerSymbol)
	return w
}

// nft loads rules in the router.
func (w *world) nft(text string) {
	w.t.Helper()
	if err := w.router.Modprobe(ctx, "nf_tables"); err != nil {
		w.t.Fatal(err)
	}
	rs, _ := module.Find[netfilter.Ruleset](w.router.Modules, netfilter.RulesetSymbol)
	if err := rs.Run(ctx, &netfilter.NFTRequest{Text: text, Name: "test"}, io.Discard); err != nil {
		w.t.Fatal(err)
	}
}

func kernel(t *testing.T) *knit.Kernel {
	t.Helper()
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		t.Fatal(err)
	}
	leak.Zero(t, "packets", k.Pool.Live)
	t.Cleanup(func() { k.Close() })
	for _, m := range []string{"tcp", "udp", "icmp4", "icmp6"} {
		if err := k.Modprobe(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func (w *world) join(host *knit.Kernel, addrs, gateways string) {
	w.t.Helper()
	x, y, err := host.Join(w.router, link.PipeConfig{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range strings.Fields(addrs) {
		if err := host.AddAddr(x.Name(), netip.MustParsePrefix(p)); err != nil {
			w.t.Fatal(err)
		}
	}
	for i, p := range strings.Fields(gateways) {
		gw := netip.MustParsePrefix(p)
		if err := w.router.AddAddr(y.Name(), gw); err != nil {
			w.t.Fatal(err)
		}
		r := route.Route{Dst: netip.MustParsePrefix([]string{"0.0.0.0/0", "::/0"}[i]), NextHops: []route.NextHop{{Gateway: gw.Addr(), Index: x.Index()}}}
		if err := host.Network.AddRoute(r, route.Create); err != nil {
			w.t.Fatal(err)
		}
	}
}

// serve runs a server of FTP that knows PORT, EPRT, PASV and EPSV, for one client.
// Each of them sends back the control connection's idea of the client over the data
// connection.
func (w *world) serve(k *knit.Kernel, at string) {
	w.t.Helper()
	ln, err := k.Listen("tcp", at)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { ln.Close() })
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "220 ready\r\n")
		for r := bufio.NewReader(conn); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			command, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
			if err := answer(k, conn, command, arg); err != nil {
				fmt.Fprintf(conn, "425 %v\r\n", err)
			}
		}
	}()
}

func answer(k *knit.Kernel, conn net.Conn, command, arg string) error {
	switch command {
	case "PORT", "EPRT":
		to := activeAddr(command, arg)
		data, err := k.Dial("tcp", to)
		if err != nil {
			return err
		}
		fmt.Fprintf(data, "%s %s", conn.RemoteAddr(), to)
		data.Close()
		fmt.Fprint(conn, "226 sent\r\n")
	case "PASV", "EPSV":
		own := netip.MustParseAddrPort(conn.LocalAddr().String())
		ln, err := k.Listen("tcp", netip.AddrPortFrom(own.Addr(), 40001).String())
		if err != nil {
			return err
		}
		defer ln.Close()
		if command == "PASV" {
			fmt.Fprintf(conn, "227 Entering Passive Mode (%s,156,65).\r\n", strings.ReplaceAll(own.Addr().String(), ".", ","))
		} else {
			fmt.Fprint(conn, "229 Entering Extended Passive Mode (|||40001|)\r\n")
		}
		data, err := ln.Accept()
		if err != nil {
			return err
		}
		fmt.Fprint(data, conn.RemoteAddr())
		data.Close()
		fmt.Fprint(conn, "226 sent\r\n")
	default:
		fmt.Fprint(conn, "500 what?\r\n")
	}
	return nil
}

// activeAddr reads what PORT or EPRT says.
func activeAddr(command, arg string) string {
	if command == "EPRT" {
		f := strings.Split(arg, "|")
		return net.JoinHostPort(f[2], f[3])
	}
	var n [6]int
	fmt.Sscanf(arg, "%d,%d,%d,%d,%d,%d", &n[0], &n[1], &n[2], &n[3], &n[4], &n[5])
	return fmt.Sprintf("%d.%d.%d.%d:%d", n[0], n[1], n[2], n[3], n[4]<<8|n[5])
}

// A session is a client's control connection.
type session struct {
	w    *world
	k    *knit.Kernel
	conn net.Conn
	r    *bufio.Reader
}

func (w *world) login(k *knit.Kernel, server string) *session {
	w.t.Helper()
	conn, err := k.Dial("tcp", server)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	s := &session{w, k, conn, bufio.NewReader(conn)}
	s.want("220")
	return s
}

// want reads a reply, which must begin with a code, and returns it.
func (s *session) want(code string) string {
	s.w.t.Helper()
	line, err := s.r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, code) {
		s.w.t.Fatalf("reply %q, %v; want %s", line, err, code)
	}
	return line
}

// active announces where the client listens, and returns what comes there.
func (s *session) active(command string) string {
	s.w.t.Helper()
	own := netip.MustParseAddrPort(s.conn.LocalAddr().String())
	ln, err := s.k.Listen("tcp", netip.AddrPortFrom(own.Addr(), 50001).String())
	if err != nil {
		s.w.t.Fatal(err)
	}
	defer ln.Close()
	if command == "PORT" {
		fmt.Fprintf(s.conn, "PORT %s,195,81\r\n", strings.ReplaceAll(own.Addr().String(), ".", ","))
	} else {
		fmt.Fprintf(s.conn, "EPRT |%d|%s|50001|\r\n", map[bool]int{true: 1, false: 2}[own.Addr().Is4()], own.Addr())
	}
	data, err := ln.Accept()
	if err != nil {
		s.w.t.Fatal(err)
	}
	defer data.Close()
	b, err := io.ReadAll(data)
	if err != nil {
		s.w.t.Fatal(err)
	}
	s.want("226")
	return string(b)
}

// passive asks where to go, and returns what comes from there.
func (s *session) passive(command string) string {
	s.w.t.Helper()
	fmt.Fprint(s.conn, command+"\r\n")
	to := ""
	if reply := s.want("22"); command == "PASV" {
		to = activeAddr("PORT", reply[strings.Index(reply, "(")+1:])
	} else {
		port := strings.Trim(reply[strings.Index(reply, "("):], "()|\r\n")
		to = net.JoinHostPort(s.conn.RemoteAddr().(*net.TCPAddr).IP.String(), port)
	}
	data, err := s.k.Dial("tcp", to)
	if err != nil {
		s.w.t.Fatal(err)
	}
	defer data.Close()
	b, err := io.ReadAll(data)
	if err != nil {
		s.w.t.Fatal(err)
	}
	s.want("226")
	return string(b)
}

// TestThroughFirewall: data connections of all kinds pass a firewall that lets
// nothing in but what is related, with and without translation, over both IP
// versions. The control connection goes on afterwards, though its streams have
// changed their length several times.
func TestThroughFirewall(t *testing.T) {
	for _, c := range []struct{ name, rules, at, seen string }{
		{"plain", firewall, "192.0.2.2:21", "10.0.0.2"},
		{"plain 6", firewall, "[2001:db8::2]:21", "fd00::2"},
		{"masquerade", firewall + hide, "192.0.2.2:21", "192.0.2.1"},
		{"masquerade 6", firewall + hide, "[2001:db8::2]:21", "2001:db8::1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.rules)
			w.serve(w.server, c.at)
			s := w.login(w.client, c.at)
			commands := []string{"EPRT", "EPSV", "EPRT", "EPSV"}
			if strings.Contains(c.at, "192") {
				commands = []string{"PORT", "PASV", "EPRT", "EPSV", "PORT", "PASV"}
			}
			for _, command := range commands {
				got := ""
				if command[2] == 'R' {
					got = s.active(command)
				} else {
					got = s.passive(command)
				}
				if !strings.HasPrefix(strings.TrimPrefix(got, "["), c.seen) {
					t.Errorf("%s: the data say %q, want a client at %s", command, got, c.seen)
				}
			}
			fmt.Fprint(s.conn, "NOOP\r\n")
			s.want("500")
			related := 0
			w.table.Each(func(c *netfilter.Conn) bool {
				if c.Master != nil {
					related++
				}
				return true
			})
			if related != len(commands) {
				t.Errorf("%d connections were expected, want %d", related, len(commands))
			}
		})
	}
}

// TestServerBehind: a server with a private address is reached from outside; what
// it says of itself is put right.
func TestServerBehind(t *testing.T) {
	w := newWorld(t, firewall+hide)
	w.serve(w.client, "10.0.0.2:21")
	s := w.login(w.server, "192.0.2.1:21")
	for _, command := range []string{"PASV", "EPSV"} {
		if got := s.passive(command); !strings.HasPrefix(got, "192.0.2.2") {
			t.Errorf("%s: %q", command, got)
		}
	}
	if got := s.active("PORT"); !strings.HasSuffix(got, "192.0.2.2:50001") {
		t.Errorf("PORT: %q", got)
	}
}

// TestModulesStay: the helper stays as long as rules name it, and a helper that does
// not exist is refused with nothing changed.
func TestModulesStay(t *testing.T) {
	w := newWorld(t, firewall+hide)
	for _, name := range []string{"nf_conntrack_ftp", "nf_nat_ftp", "nf_conntrack_tftp", "nf_nat_tftp"} {
		if _, ok := w.router.Modules.Loaded(name); !ok {
			t.Errorf("%s is not loaded", name)
		}
	}
	if err := w.router.Modules.Remove(ctx, "nf_nat_ftp", module.RemoveOptions{}); err != nil {
		t.Errorf("nf_nat_ftp: %v", err)
	}
	if err := w.router.Modules.Unload(ctx, "nf_conntrack_ftp"); err == nil {
		t.Error("the helper was unloaded while rules name it")
	}
	rs, _ := module.Find[netfilter.Ruleset](w.router.Modules, netfilter.RulesetSymbol)
	err := rs.Run(ctx, &netfilter.NFTRequest{Text: `add ct helper inet fw x { type "nosuch" protocol tcp; }`, Name: "test"}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "No such file or directory") {
		t.Errorf("an unknown helper: %v", err)
	}
	w.nft("flush ruleset")
	for _, name := range []string{"nf_nat_ftp", "nf_conntrack_ftp"} {
		if err := w.router.Modules.Unload(ctx, name); err != nil {
			t.Errorf("nobody names the helper any more: %v", err)
		}
	}
}

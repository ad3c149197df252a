package sandbox

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
)

// resolvConf returns the text of resolv.conf(5): old, the caller's, with other
// nameservers, and with another search list if there is one. A short name is
// then completed as it is outside.
func resolvConf(old []byte, dns []netip.Addr, search []string) []byte {
	var b bytes.Buffer
	for line := range strings.Lines(string(old)) {
		switch words := strings.Fields(line); {
		case len(words) < 2:
		case words[0] == "options", len(search) == 0 && (words[0] == "search" || words[0] == "domain"):
			fmt.Fprintln(&b, strings.Join(words, " "))
		}
	}
	if len(search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(search, " "))
	}
	for _, a := range dns {
		fmt.Fprintf(&b, "nameserver %v\n", a)
	}
	return b.Bytes()
}

// hostsFile returns old, the caller's hosts(5), with lines for the host name
// and for hosts put before it, because the first match wins.
func (c Config) hostsFile(old []byte) []byte {
	var b bytes.Buffer
	for _, h := range c.Hosts {
		fmt.Fprintf(&b, "%v %s\n", h.Addr, strings.Join(h.Names, " "))
	}
	if c.Hostname != "" {
		// Programs look their own name up; it must lead to an address that
		// this network has.
		own := netip.AddrFrom4([4]byte{127, 0, 1, 1})
		if len(c.Addrs) > 0 {
			own = c.Addrs[0].Addr()
		}
		fmt.Fprintf(&b, "%v %s\n", own, c.Hostname)
	}
	if len(old) == 0 {
		old = []byte("127.0.0.1 localhost\n::1 localhost\n")
	}
	b.Write(old)
	return b.Bytes()
}

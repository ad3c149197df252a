package resolve

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// conf is what resolv.conf(5) says.
type conf struct {
	servers []netip.AddrPort
	timeout time.Duration // for one server
	rounds  int           // how often each is asked
}

// maxServers is how many nameservers are used (MAXNS).
const maxServers = 3

// parseConf reads resolv.conf(5). What it does not know it ignores, as libc does.
func parseConf(text string) conf {
	c := conf{timeout: 5 * time.Second, rounds: 2}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		line, _, _ = strings.Cut(line, ";")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			if s, ok := parseServer(words[1]); ok && len(c.servers) < maxServers {
				c.servers = append(c.servers, s)
			}
		case "options":
			for _, o := range words[1:] {
				c.option(o)
			}
		}
	}
	return c
}

// parseServer reads an address, or, as some systems have it, address and port:
// 192.0.2.1, [192.0.2.1]:5353, 192.0.2.1:5353, 2001:db8::1, [2001:db8::1]:5353.
func parseServer(word string) (s netip.AddrPort, ok bool) {
	if a, err := netip.ParseAddr(word); err == nil {
		return netip.AddrPortFrom(a, 53), true
	}
	host, port, found := strings.Cut(strings.TrimPrefix(word, "["), "]:")
	if a, err := netip.ParseAddr(host); found && err == nil && a.Is4() {
		word = host + ":" + port
	}
	s, err := netip.ParseAddrPort(word)
	return s, err == nil
}

func (c *conf) option(o string) {
	name, value, _ := strings.Cut(o, ":")
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return
	}
	switch name {
	case "timeout":
		c.timeout = time.Duration(min(n, 30)) * time.Second
	case "attempts":
		c.rounds = min(n, 5)
	}
}

// A file is a text file in parsed form, read again when it has changed. It is safe
// for concurrent use.
type file[T any] struct {
	name  string
	parse func(text string) T

	mu    sync.Mutex
	stamp stamp
	value T
}

// stamp tells versions of a file apart.
type stamp struct {
	read     bool
	size     int64
	modified time.Time
}

// maxFile bounds what is read of a file: a table of names that blocks
// advertisements has a few megabytes.
const maxFile = 16 << 20

// get returns the content of now; a file that cannot be read is empty.
func (f *file[T]) get() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := stamp{read: true}
	if i, err := os.Stat(f.name); err == nil && i.Mode().IsRegular() && i.Size() <= maxFile {
		now.size, now.modified = i.Size(), i.ModTime()
	}
	if now == f.stamp {
		return f.value
	}
	var text []byte
	if now.size > 0 {
		text, _ = os.ReadFile(f.name)
	}
	f.value, f.stamp = f.parse(string(text)), now
	return f.value
}

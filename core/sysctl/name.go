package sysctl

import "strings"

// Canonical returns the dotted form of a name. Both separators are understood,
// as the sysctl tool does: the one that comes first separates, the other
// belongs to a part. So net/ipv4/conf/eth0.100/forwarding is
// net.ipv4.conf.eth0/100.forwarding.
func Canonical(name string) string {
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '/' {
		return swap(name)
	}
	return name
}

// pathOf returns the path below /proc/sys of a canonical name.
func pathOf(name string) string { return swap(name) }

// swap exchanges dots and slashes.
func swap(name string) string {
	b := []byte(name)
	for i, c := range b {
		switch c {
		case '.':
			b[i] = '/'
		case '/':
			b[i] = '.'
		}
	}
	return string(b)
}

// valid reports whether a canonical name has no empty part and nothing that
// would break a line of `sysctl -a`.
func valid(name string) bool {
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || strings.ContainsAny(part, " \t\n\r=\x00") {
			return false
		}
	}
	return true
}

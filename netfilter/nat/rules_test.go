package nat_test

import "fmt"

func nat4(prerouting, postrouting string) string {
	return natRules("ip", prerouting, postrouting)
}

func natRules(family, prerouting, postrouting string) string {
	return fmt.Sprintf(`table %s n {
	chain pre { type nat hook prerouting priority dstnat; %s; }
	chain post { type nat hook postrouting priority srcnat; %s; }
}
`, family, prerouting, postrouting)
}

func localRules(family, output, postrouting string) string {
	return fmt.Sprintf(`table %s n {
	chain out { type nat hook output priority -100; %s; }
	chain post { type nat hook postrouting priority srcnat; %s; }
}
`, family, output, postrouting)
}

// A pairOf is the client and the server of scenarios, by IP version, and others.
type pairOf struct{ family, client, server, outer, far, other string }

var pairs = []pairOf{
	{"ip", "10.0.0.2", "192.0.2.2", "192.0.2.1", "198.51.100.7", "10.0.1.2"},
	{"ip6", "fd00::2", "2001:db8::2", "2001:db8::1", "2001:db8:9::7", "fd01::2"},
}

func (p pairOf) at(a string, port int) string {
	if p.family == "ip6" {
		return fmt.Sprintf("[%s]:%d", a, port)
	}
	return fmt.Sprintf("%s:%d", a, port)
}

func lan(p pairOf) string {
	if p.family == "ip6" {
		return "fd00::/64"
	}
	return "10.0.0.0/24"
}

func localAddr(p pairOf) string {
	if p.family == "ip6" {
		return "fd00::1"
	}
	return "10.0.0.1"
}

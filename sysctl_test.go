package knit_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

// TestPortRange: net.ipv4.ip_local_port_range takes two ports, or the lower one
// alone, as on Linux, and nothing else.
func TestPortRange(t *testing.T) {
	k := procKernel(t)
	const name = "net.ipv4.ip_local_port_range"
	for _, c := range []struct{ text, want string }{
		{"40000 50000", "40000\t50000"},
		{"45000", "45000\t50000"},
		{"0xa000", "40960\t50000"},
		{"55000", ""}, {"2000 1000", ""}, {"0 5", ""}, {"1024 65536", ""}, {"1024 2048 x", ""}, {"1024 2048x", ""}, {"", ""},
	} {
		before, _ := k.Sysctl.Get(name)
		err := k.Sysctl.Set(name, c.text)
		got, _ := k.Sysctl.Get(name)
		if c.want == "" {
			if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "want") || got != before {
				t.Errorf("set to %q: %v, now %q", c.text, err, got)
			}
		} else if err != nil || got != c.want {
			t.Errorf("set to %q: %v, now %q, want %q", c.text, err, got, c.want)
		}
	}
}

//go:build linux

package sysctl

import (
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestAgainstLinux writes texts to a setting of Linux, in a network namespace of its
// own, and compares what it makes of them.
func TestAgainstLinux(t *testing.T) {
	if os.Getenv("SYSCTL_TEST_NAMESPACE") == "" {
		inNamespace(t)
		return
	}
	const path = "/proc/sys/net/ipv4/conf/default/tag" // nothing looks at it
	var table Table
	var v atomic.Int64
	mustRegister(t, &table, Int("tag", &v, -1<<31, 1<<31-1))
	for text, want := range linuxNumbers {
		if err := os.WriteFile(path, []byte("0"), 0); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := os.WriteFile(path, []byte(text), 0); err == nil {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got = strings.TrimSpace(string(b))
		}
		if got != want {
			t.Errorf("Linux makes %q of %q, the table of this test says %q", got, text, want)
		}
		v.Store(0)
		ours := ""
		if table.Set("tag", text) == nil {
			ours, _ = table.Get("tag")
		}
		if ours != got {
			t.Errorf("%q becomes %q, on Linux %q", text, ours, got)
		}
	}
}

// inNamespace runs the calling test again in user and network namespaces.
func inNamespace(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "SYSCTL_TEST_NAMESPACE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Skipf("this machine allows no namespaces: %v", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

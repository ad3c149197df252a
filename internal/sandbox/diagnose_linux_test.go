package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
)

// machine returns the files of a machine that allows everything, with some
// changed; an empty text removes the file.
func machine(changes map[string]string) fs.FS {
	files := map[string]string{
		"proc/self/ns/user":                 "-",
		"proc/self/ns/net":                  "-",
		"proc/sys/user/max_user_namespaces": "15000\n",
		"proc/sys/user/max_net_namespaces":  "15000\n",
		"proc/sys/user/max_mnt_namespaces":  "15000\n",
		"proc/self/status":                  "Name:\tknit\nSeccomp:\t0\n",
	}
	for path, text := range changes {
		files[path] = text
	}
	m := fstest.MapFS{}
	for path, text := range files {
		if text != "" {
			m[path] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return m
}

func TestExplainNamesTheSetting(t *testing.T) {
	cloneFailed := func(e syscall.Errno) error { return fmt.Errorf("make namespaces: %w", e) }
	setupFailed := &failure{Text: "lo up: operation not permitted", Errno: syscall.EPERM}
	for _, c := range []struct {
		name    string
		changes map[string]string
		err     error
		want    []string
	}{
		{"no user namespaces", map[string]string{"proc/self/ns/user": ""}, cloneFailed(syscall.EINVAL), []string{"CONFIG_USER_NS=y"}},
		{"no network namespaces", map[string]string{"proc/self/ns/net": ""}, cloneFailed(syscall.EINVAL), []string{"CONFIG_NET_NS=y"}},
		{"max_user_namespaces", map[string]string{"proc/sys/user/max_user_namespaces": "0\n"}, cloneFailed(syscall.ENOSPC), []string{"sysctl -w user.max_user_namespaces=15000"}},
		{"max_net_namespaces", map[string]string{"proc/sys/user/max_net_namespaces": "0\n"}, cloneFailed(syscall.ENOSPC), []string{"sysctl -w user.max_net_namespaces=15000"}},
		{"Debian", map[string]string{"proc/sys/kernel/unprivileged_userns_clone": "0\n"}, cloneFailed(syscall.EPERM), []string{"sysctl -w kernel.unprivileged_userns_clone=1"}},
		{"Ubuntu", map[string]string{"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}, setupFailed, []string{"sysctl -w kernel.apparmor_restrict_unprivileged_userns=0", "AppArmor profile"}},
		{"container", map[string]string{"proc/self/status": "Name:\tknit\nSeccomp:\t2\n"}, cloneFailed(syscall.EPERM), []string{"--security-opt seccomp=unconfined"}},
		{"both", map[string]string{
			"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n",
			"proc/self/status": "Name:\tknit\nSeccomp:\t2\n",
		}, cloneFailed(syscall.EPERM), []string{"apparmor_restrict", "; also, ", "seccomp"}},
		{"limit reached", nil, cloneFailed(syscall.ENOSPC), []string{"limit", "is reached"}},
		{"chroot", nil, cloneFailed(syscall.EPERM), []string{"chroot"}},
	} {
		err := explain(c.err, machine(c.changes))
		var forbidden *ForbiddenError
		if !errors.As(err, &forbidden) || !errors.Is(err, c.err) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line of a ForbiddenError that wraps the cause", c.name, err)
			continue
		}
		for _, w := range append(c.want, c.err.Error()) {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q lacks %q", c.name, err, w)
			}
		}
	}
}

func TestExplainLeavesOtherErrorsAlone(t *testing.T) {
	for _, err := range []error{
		errors.New("an error of no system call"),
		fmt.Errorf("address in use: %w", syscall.EADDRINUSE),
		&failure{Text: "MTU 65535: invalid argument", Errno: syscall.EINVAL},
		newFailure(&tunError{TUN, syscall.EPERM}),
	} {
		if got := explain(err, machine(map[string]string{"proc/sys/user/max_user_namespaces": "0"})); got != err {
			t.Errorf("explain(%v) = %v", err, got)
		}
	}
}

// TestForbidden forbids namespaces for real, in a user namespace whose limits
// are the test's to set.
func TestForbidden(t *testing.T) {
	needNamespaces(t)
	for _, u := range users() {
		for _, sysctl := range []string{"max_user_namespaces", "max_net_namespaces", "max_mnt_namespaces"} {
			p := newProgram(t, u, task{Config: Config{Command: []string{self}}, Inside: "forbid"})
			p.Env = append(p.Env, sysctlVar+"="+sysctl)
			p.start(t)
			if status, r := p.end(t); status != 0 || r.Err != "" {
				t.Fatalf("%s: status %d, error %q\n%s", u.name, status, r.Err, &p.stderr)
			}
			wantLines(t, p.stdout.String(), "sysctl -w user."+sysctl+"=15000")
		}
	}
}

// TestRootNeedsNoUserNamespace: where they are switched off, a privileged
// caller gets a sandbox without one.
func TestRootNeedsNoUserNamespace(t *testing.T) {
	needNamespaces(t)
	for _, u := range users() {
		p, status, r := run(t, u, task{Config: Config{Command: []string{self}}, Inside: "nested"})
		if status != 0 || r.Err != "" {
			t.Errorf("%s: status %d, error %q\n%s", u.name, status, r.Err, &p.stderr)
		}
		if got := strings.Count(p.stdout.String(), ":["); got != 2 {
			t.Errorf("%s: namespaces %q", u.name, &p.stdout)
		}
	}
}

func TestProbeAgreesWithStart(t *testing.T) {
	r := Probe()
	t.Log(r)
	s, err := Start(Config{})
	if (err == nil) != (r.Err() == nil) {
		t.Errorf("Start: %v, Probe: %v", err, r.Err())
	}
	if err == nil {
		s.Close()
	}
}

func TestParseMappings(t *testing.T) {
	got, err := parseMappings("         0       1000          1\n         1     100000      65536\n")
	if err != nil || len(got) != 2 || got[1] != (syscall.SysProcIDMap{ContainerID: 1, HostID: 1, Size: 65536}) {
		t.Errorf("parseMappings = %+v, %v", got, err)
	}
	for _, bad := range []string{"x", "1 2", "0 0 0", "-1 0 1", "1 0 4294967295", "0 0 99999999999999999999"} {
		if got, err := parseMappings(bad); err == nil {
			t.Errorf("parseMappings(%q) = %+v, want an error", bad, got)
		}
	}
}

func FuzzParseMappings(f *testing.F) {
	f.Add("0 0 4294967295\n")
	f.Add("0 1000 1\n1 100000 65536\n")
	f.Fuzz(func(t *testing.T, text string) {
		maps, _ := parseMappings(text)
		for _, m := range maps {
			if m.ContainerID < 0 || m.Size <= 0 || int64(m.ContainerID)+int64(m.Size) > allIDs {
				t.Errorf("%q: %+v", text, m)
			}
		}
	})
}

func FuzzParentOf(f *testing.F) {
	f.Add("12 (sh) S 7 12 12 0")
	f.Fuzz(func(_ *testing.T, text string) { parentOf(text) })
}

func FuzzMountsBelow(f *testing.F) {
	f.Add("22 1 0:21 / /sys rw - sysfs sysfs rw\n23 22 0:7 / /sys/a rw - b b rw\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range mountsBelow(text, "/sys") {
			if !strings.HasPrefix(p, "/sys/") {
				t.Errorf("%q is not below /sys", p)
			}
		}
	})
}

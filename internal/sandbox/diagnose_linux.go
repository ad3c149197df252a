package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
)

// A ForbiddenError says which setting of the machine forbids a sandbox.
type ForbiddenError struct {
	// Settings name what forbids it and how to change that; there may be
	// more than one suspect.
	Settings []string
	// Err is what was tried and failed.
	Err error
}

// Error returns one line.
func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("this machine forbids a private network: %s (%v)", strings.Join(e.Settings, "; also, "), e.Err)
}

// Unwrap returns Err.
func (e *ForbiddenError) Unwrap() error { return e.Err }

// A setting is one thing that can forbid namespaces.
type setting struct {
	path   string
	forbid func(text string, err error) bool
	say    string
}

// settings are what explain looks at, relative to the file system's root.
func settings() []setting {
	is := func(value string) func(string, error) bool {
		return func(text string, err error) bool { return err == nil && strings.TrimSpace(text) == value }
	}
	missing := func(_ string, err error) bool { return errors.Is(err, fs.ErrNotExist) }
	filtered := func(text string, err error) bool {
		return err == nil && strings.Contains(text, "\nSeccomp:\t2")
	}
	const limit = "%[1]s is 0; allow some as root: sysctl -w %[1]s=15000"
	return []setting{
		{"proc/self/ns/user", missing, "the kernel was built without user namespaces; run one with CONFIG_USER_NS=y, or run this as root"},
		{"proc/self/ns/net", missing, "the kernel was built without network namespaces; run one with CONFIG_NET_NS=y"},
		{"proc/sys/user/max_user_namespaces", is("0"), fmt.Sprintf(limit, "user.max_user_namespaces")},
		{"proc/sys/user/max_net_namespaces", is("0"), fmt.Sprintf(limit, "user.max_net_namespaces")},
		{"proc/sys/user/max_mnt_namespaces", is("0"), fmt.Sprintf(limit, "user.max_mnt_namespaces")},
		{"proc/sys/kernel/unprivileged_userns_clone", is("0"), "kernel.unprivileged_userns_clone is 0; allow it as root: sysctl -w kernel.unprivileged_userns_clone=1"},
		{"proc/sys/kernel/apparmor_restrict_unprivileged_userns", is("1"), "kernel.apparmor_restrict_unprivileged_userns is 1; give this program an AppArmor profile with the rule \"userns,\", or as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
		{"proc/self/status", filtered, "a seccomp filter is on, as in a container; start the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined"},
	}
}

// explain wraps an error of a system call in what forbids it. Other errors
// stay as they are.
func explain(err error, root fs.FS) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) || !slices.Contains(refusals(err), errno) {
		return err
	}
	var found []string
	for _, s := range settings() {
		text, readErr := fs.ReadFile(root, s.path)
		if readErr != nil && !errors.Is(readErr, fs.ErrNotExist) {
			_, readErr = fs.Stat(root, s.path) // a namespace's file cannot be read
		}
		if s.forbid(string(text), readErr) {
			found = append(found, s.say)
		}
	}
	if len(found) == 0 {
		found = append(found, guess(errno))
	}
	return &ForbiddenError{Settings: found, Err: err}
}

// refusals are the ways in which Linux says no to a namespace, where err
// happened.
func refusals(err error) []syscall.Errno {
	var f *failure
	switch {
	case !errors.As(err, &f): // the namespaces could not be made
	case f.Explained:
		return nil
	default: // they stand, but give no power: other errors have other causes
		return []syscall.Errno{syscall.EPERM, syscall.ENOSPC}
	}
	return []syscall.Errno{syscall.EPERM, syscall.EACCES, syscall.ENOSPC, syscall.EUSERS, syscall.EINVAL, syscall.ENOSYS}
}

// guess is for a refusal that no setting accounts for.
func guess(errno syscall.Errno) string {
	switch errno {
	case syscall.ENOSPC, syscall.EUSERS:
		return "the limit of user.max_user_namespaces or user.max_net_namespaces is reached, or 32 user namespaces are nested"
	case syscall.EINVAL, syscall.ENOSYS:
		return "the kernel lacks user, network or mount namespaces (CONFIG_USER_NS, CONFIG_NET_NS)"
	}
	return "no sysctl accounts for it: a chroot, a container's seccomp filter or a security module (dmesg may name it) refuses user namespaces"
}

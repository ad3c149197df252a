package sandbox

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// allIDs is the size of a mapping of every user id.
const allIDs = 1<<32 - 1

// identities returns the ways to enter the namespaces, the best first.
func (c Config) identities() []*syscall.SysProcAttr {
	var ways []*syscall.SysProcAttr
	if haveCaps(unix.CAP_SETUID, unix.CAP_SETGID) && os.Geteuid() == 0 {
		// With one id only, programs that drop their privileges fail:
		// package managers, sshd.
		if all, err := allMappings(); err == nil {
			ways = append(ways, all)
		}
	}
	ways = append(ways, c.oneMapping())
	if haveCaps(unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN) {
		// Root needs no user namespace where they are switched off.
		ways = append(ways, &syscall.SysProcAttr{})
	}
	for _, w := range ways {
		w.Cloneflags |= syscall.CLONE_NEWNET | syscall.CLONE_NEWNS
		if c.Hostname != "" {
			w.Cloneflags |= syscall.CLONE_NEWUTS
		}
		// A child that was stopped when the caller died must run to see the
		// control socket's end.
		w.Pdeathsig = syscall.SIGCONT
	}
	return ways
}

// oneMapping maps the caller's ids alone, which needs no privilege.
func (c Config) oneMapping() *syscall.SysProcAttr {
	uid, gid := 0, 0
	if c.KeepUID {
		uid, gid = os.Geteuid(), os.Getegid()
	}
	a := &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: os.Getegid(), Size: 1}},
	}
	if uid != 0 {
		// Another user than root loses its capabilities at execve; the child
		// needs these until it starts the command.
		a.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}
	}
	return a
}

// allMappings maps every id that exists here to itself.
func allMappings() (*syscall.SysProcAttr, error) {
	uids, err := mappingsHere("/proc/self/uid_map")
	if err != nil {
		return nil, err
	}
	gids, err := mappingsHere("/proc/self/gid_map")
	if err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{
		Cloneflags:                 syscall.CLONE_NEWUSER,
		UidMappings:                uids,
		GidMappings:                gids,
		GidMappingsEnableSetgroups: true,
	}, nil
}

func mappingsHere(path string) ([]syscall.SysProcIDMap, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseMappings(string(text))
}

// parseMappings turns the lines of uid_map (user_namespaces(7)), "inside
// outside length", into mappings of inside to itself.
func parseMappings(text string) ([]syscall.SysProcIDMap, error) {
	var maps []syscall.SysProcIDMap
	r := strings.NewReader(text)
	for {
		var inside, outside, size int64
		switch n, err := fmt.Fscan(r, &inside, &outside, &size); {
		case n == 0 && err == io.EOF:
			return maps, nil
		case err != nil:
			return nil, fmt.Errorf("id mapping %q: %w", text, err)
		case inside < 0 || inside > math.MaxInt || size <= 0 || inside+size > allIDs:
			return nil, fmt.Errorf("id mapping %q: out of range", text)
		}
		maps = append(maps, syscall.SysProcIDMap{ContainerID: int(inside), HostID: int(inside), Size: int(min(size, math.MaxInt))})
	}
}

// haveCaps reports whether the calling thread has all these capabilities.
func haveCaps(caps ...uint) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	for _, c := range caps {
		if data[c/32].Effective&(1<<(c%32)) == 0 {
			return false
		}
	}
	return true
}

// dropInheritable takes from the calling thread what it would hand to a
// program that it executes: the inheritable and with it the ambient set.
func dropInheritable() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	return unix.Capset(&header, &data[0])
}

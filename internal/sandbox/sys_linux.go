package sandbox

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountSys mounts a sysfs of the new network namespace, so that
// /sys/class/net lists the command's interfaces, and moves what was mounted
// below /sys (cgroup, securityfs) into it. Where a container's masks forbid
// it, the old one stays.
func mountSys() {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return
	}
	below := mountsBelow(string(text), "/sys")
	fds := make([]int, len(below))
	for i, path := range below {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			fd = -1
		}
		fds[i] = fd
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	mountErr := unix.Mount("sysfs", "/sys", "sysfs", flags, "")
	if mountErr != nil {
		// Where the old one is read-only, as in a container, so must be ours.
		mountErr = unix.Mount("sysfs", "/sys", "sysfs", flags|unix.MS_RDONLY, "")
	}
	for i, path := range below {
		if fds[i] < 0 {
			continue
		}
		if mountErr == nil {
			// A directory that only privilege sees may be missing now.
			_ = unix.Mount("/proc/self/fd/"+strconv.Itoa(fds[i]), path, "", unix.MS_BIND|unix.MS_REC, "")
		}
		unix.Close(fds[i])
	}
}

// mountsBelow returns the outermost mount points below dir that mountinfo
// (proc(5)) lists: the fifth field of each line.
func mountsBelow(mountinfo, dir string) []string {
	var below []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 || !strings.HasPrefix(fields[4], dir+"/") || strings.Contains(fields[4], `\`) {
			continue // an escaped name is none that Linux makes there
		}
		if !insideOf(fields[4], below) {
			below = append(below, fields[4])
		}
	}
	return below
}

func insideOf(path string, dirs []string) bool {
	for _, d := range dirs {
		if path == d || strings.HasPrefix(path, d+"/") {
			return true
		}
	}
	return false
}

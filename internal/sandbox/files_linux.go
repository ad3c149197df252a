package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	resolvPath = "/etc/resolv.conf"
	hostsPath  = "/etc/hosts"
)

// resolvers are sockets of daemons that the C library asks for names before
// it asks a DNS server. They live in the caller's network and would answer
// from there, or not at all.
func resolvers() []string {
	return []string{
		"/run/systemd/resolve/io.systemd.Resolve",
		"/run/nscd/socket",
		"/var/run/nscd/socket",
	}
}

// A replacement is a file of the mount namespace with another content.
type replacement struct {
	path string
	text []byte
	// target is an O_PATH descriptor of what is to be covered, or -1.
	target int
}

// replaceFiles makes the mount namespace's own /etc/resolv.conf, /etc/hosts
// and /sys. What does not go becomes a warning: the command can still run.
func (c Config) replaceFiles() (warnings []string) {
	// The files are for every user, whatever the caller's files are.
	defer unix.Umask(unix.Umask(0o022))
	// Slave, so that nothing leaks out but a disk that is unmounted outside
	// is not held here.
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, "")
	if err != nil {
		err = fmt.Errorf("make mounts private: %w", err)
	} else {
		mountSys()
	}
	files := c.replacements()
	if len(files) > 0 && err == nil {
		err = cover(files)
	}
	if len(files) > 0 && err != nil {
		warnings = append(warnings, fmt.Sprintf("the resolver's files stay the host's: %v", err))
	}
	return warnings
}

func (c Config) replacements() []replacement {
	var files []replacement
	if len(c.DNS) > 0 {
		old, _ := os.ReadFile(resolvPath) // without it there is nothing to keep
		files = append(files, replacement{path: resolvPath, text: resolvConf(old, c.DNS, c.Search)})
		for _, socket := range resolvers() {
			if _, err := os.Stat(socket); err == nil {
				// Connecting to a file that is no socket is refused at once.
				files = append(files, replacement{path: socket})
			}
		}
	}
	if len(c.Hosts) > 0 || c.Hostname != "" {
		old, _ := os.ReadFile(hostsPath) // without it there is a default
		files = append(files, replacement{path: hostsPath, text: c.hostsFile(old)})
	}
	return files
}

// cover puts each file over the one at its path. Symbolic links, such as
// /etc/resolv.conf often is, are followed. Linux takes a cover away when the
// file under it is replaced by rename outside, as a DHCP client may do.
func cover(files []replacement) error {
	overlay := false
	for i := range files {
		f := &files[i]
		fd, err := unix.Open(f.path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			// Missing, or a link to nowhere: there is nothing to mount on.
			overlay, fd = true, -1
		}
		f.target = fd
	}
	defer closeTargets(files)
	stage, err := mountStage(files)
	if err != nil {
		return err
	}
	// What was bound from the stage keeps it alive.
	defer unix.Unmount(stage, unix.MNT_DETACH)
	if overlay {
		return overlayEtc(stage, files)
	}
	return bindAll(stage, files)
}

func closeTargets(files []replacement) {
	for _, f := range files {
		if f.target >= 0 {
			unix.Close(f.target)
		}
	}
}

// mountStage mounts a tmpfs for the files on some directory, where nobody but
// this process is yet to miss what was there.
func mountStage(files []replacement) (string, error) {
	size := 1 << 20
	for _, f := range files {
		size += len(f.text)
	}
	options := fmt.Sprintf("size=%d,mode=0755", size)
	var errs []error
	for _, dir := range []string{"/tmp", "/run", "/mnt", "/dev"} {
		err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options)
		if err == nil {
			return dir, nil
		}
		errs = append(errs, fmt.Errorf("mount a tmpfs on %s: %w", dir, err))
	}
	return "", errs[0]
}

func bindAll(stage string, files []replacement) error {
	var errs []error
	for i, f := range files {
		source := filepath.Join(stage, strconv.Itoa(i))
		err := os.WriteFile(source, f.text, 0o644)
		if err == nil {
			// Through the descriptor, because the path may lead under the
			// stage.
			err = unix.Mount(source, "/proc/self/fd/"+strconv.Itoa(f.target), "", unix.MS_BIND, "")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.path, err))
		}
	}
	return errors.Join(errs...)
}

// overlayEtc makes the files of /etc appear in an overlay. It is second
// choice: what a privileged command writes to /etc is lost.
func overlayEtc(stage string, files []replacement) error {
	upper, work := filepath.Join(stage, "upper"), filepath.Join(stage, "work")
	if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
		return err
	}
	var others []replacement
	for _, f := range files {
		if filepath.Dir(f.path) != "/etc" {
			others = append(others, f)
			continue
		}
		if err := os.WriteFile(filepath.Join(upper, filepath.Base(f.path)), f.text, 0o644); err != nil {
			return err
		}
	}
	options := "lowerdir=/etc,upperdir=" + upper + ",workdir=" + work
	err := unix.Mount("overlay", "/etc", "overlay", 0, options+",userxattr")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("overlay", "/etc", "overlay", 0, options) // before Linux 5.11
	}
	if err != nil {
		err = fmt.Errorf("overlay on /etc: %w", err)
	}
	return errors.Join(err, bindAll(stage, others))
}

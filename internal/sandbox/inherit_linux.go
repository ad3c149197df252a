package sandbox

import (
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// firstExtra is the descriptor of the first of exec.Cmd's ExtraFiles.
const firstExtra = 3

// handOver returns the ExtraFiles of a child, to be closed, and the descriptor
// at which it finds control. What the caller was given to hand on, such as
// make's job server or the files of a shell's 3<FILE, keeps its number: the
// command would have it without a sandbox too.
func handOver(control *os.File) (files []*os.File, fd int, err error) {
	inherited, err := inheritable()
	if err != nil {
		return nil, 0, err
	}
	for _, n := range inherited {
		own, err := unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			closeAll(files)
			return nil, 0, fmt.Errorf("hand descriptor %d on: %w", n, err)
		}
		for len(files) <= n-firstExtra {
			files = append(files, nil)
		}
		files[n-firstExtra] = os.NewFile(uintptr(own), "inherited")
	}
	free := slices.Index(files, nil)
	if free < 0 {
		free = len(files)
		files = append(files, nil)
	}
	files[free] = control
	return files, free + firstExtra, nil
}

// inheritable returns the descriptors, standard files aside, that a program
// which this one executes would have.
func inheritable() (fds []int, err error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil || n < firstExtra {
			continue
		}
		// The one that listed the directory is closed by now.
		if flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			fds = append(fds, n)
		}
	}
	return fds, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

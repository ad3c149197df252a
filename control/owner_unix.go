//go:build unix

package control

import (
	"io/fs"
	"syscall"
)

// ownerOf returns the uid of a file's owner.
func ownerOf(i fs.FileInfo) (uid int, known bool) {
	s, ok := i.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(s.Uid), true
}

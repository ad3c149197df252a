package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// opError wraps err as package net does: io.EOF stays bare, an errno names the
// system call it would have come from.
func opError(op, network string, source, addr net.Addr, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	var errno syscall.Errno
	if errors.As(err, &errno) && error(errno) == err {
		err = os.NewSyscallError(syscallName(op), errno)
	}
	return &net.OpError{Op: op, Net: network, Source: source, Addr: addr, Err: err}
}

func syscallName(op string) string {
	switch op {
	case "dial":
		return "connect"
	case "listen":
		return "bind"
	case "set":
		return "setsockopt"
	}
	return op
}

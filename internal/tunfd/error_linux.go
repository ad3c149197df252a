package tunfd

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// explainOpen says why the clone device at path could not be opened.
func explainOpen(path string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, unix.ENOENT):
		hint = "load the tun module (modprobe tun) or make the node (mkdir -p /dev/net; mknod " + path + " c 10 200)"
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		hint = "the node is there but the kernel has no tun module: modprobe tun"
	case errors.Is(err, unix.EACCES):
		hint = "let the user open it: chmod 0666 " + path
	case errors.Is(err, unix.EPERM):
		hint = "the container's device rules forbid it: start it with --device " + path
	}
	return withHint(fmt.Errorf("%s: %w", path, err), hint)
}

// explainAttach says why the interface called name could not be made or
// attached to.
func explainAttach(name string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, unix.EPERM):
		hint = "it takes CAP_NET_ADMIN in this network namespace, or a device of yours (ip tuntap add ... user NAME)"
	case errors.Is(err, unix.EBUSY):
		hint = "another program has it open: choose another name, or open it multi-queue in both"
	case errors.Is(err, unix.EINVAL):
		hint = "a device of this name exists and differs in kind (TUN, TAP) or in number of queues, or the name is not valid"
	case errors.Is(err, unix.E2BIG):
		hint = "all queues of the device are taken"
	}
	return withHint(fmt.Errorf("device %s: %w", name, err), hint)
}

func withHint(err error, hint string) error {
	if hint == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, hint)
}

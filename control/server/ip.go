package server

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
)

func ip() Handler {
	return Handle(control.IP(), func(ctx context.Context, e *Env, q control.IPRequest, emit func(control.IPReply) error) error {
		x := &ipCall{Env: e, ctx: ctx, q: q, emit: emit}
		if q.Filter == nil {
			x.q.Filter = &control.IPFilter{}
		}
		switch q.Object {
		case "link", "tuntap":
			return x.link()
		case "address":
			return x.address()
		case "route":
			return x.route()
		case "neigh":
			return x.neigh()
		case "maddress":
			return x.maddr()
		case "rule":
			return x.rule()
		case "vrf":
			return x.vrf()
		case "monitor":
			return x.monitor()
		}
		return control.Errorf(2, "ip %s: Operation not supported", q.Object)
	})
}

// An ipCall is one ip command at work.
type ipCall struct {
	*Env
	ctx  context.Context
	q    control.IPRequest
	emit func(control.IPReply) error
}

// unknown is the error for requests that no ip command makes.
func (x *ipCall) unknown() error {
	return control.Errorf(1, "knit: ip: incomplete request: %s %s", x.q.Object, x.q.Command)
}

// device finds a device that is to be changed.
func (x *ipCall) device(name string) (*link.Device, error) {
	dev, err := x.Kernel.Link.Lookup(name)
	if err != nil {
		return nil, control.Errorf(1, "Cannot find device \"%s\"", name)
	}
	return dev, nil
}

// checkFilter complains of a device in the filter that is not there, in the words
// of the object.
func (x *ipCall) checkFilter(format string) error {
	if err := x.checkMasters(); err != nil {
		return err
	}
	name := x.q.Filter.Dev
	if _, err := x.Kernel.Link.Lookup(name); name != "" && err != nil {
		return control.Errorf(1, format, name)
	}
	return nil
}

// sentinels are the errors of the layers that stand for an errno.
var sentinels = []struct {
	err   error
	errno syscall.Errno
}{
	{link.ErrExists, syscall.EEXIST}, {link.ErrNoDevice, syscall.ENODEV}, {route.ErrExists, syscall.EEXIST},
	{route.ErrNotFound, syscall.ESRCH}, {network.ErrAddrNotFound, syscall.EADDRNOTAVAIL},
}

// errnoOf returns the errno in err's chain, EINVAL without one.
func errnoOf(err error) syscall.Errno {
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return s.errno
		}
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return syscall.EINVAL
}

// answer turns an error of a layer into iproute2's. Where the errno is all there is
// to say Linux has no second line; ours says more where err knows more.
func answer(err error) error {
	if err == nil {
		return nil
	}
	errno := errnoOf(err)
	text := "RTNETLINK answers: " + capital(errno.Error())
	if errno == syscall.EINVAL || errno == syscall.EBUSY {
		if detail := err.Error(); detail != errno.Error() {
			text += "\n" + detail
		}
	}
	return control.Errorf(2, "%s", text)
}

// refuse is what a kernel says with an extended acknowledgement.
func refuse(why string) error { return control.Errorf(2, "Error: %s.", why) }

func unsupported(detail string) error {
	return control.Errorf(2, "RTNETLINK answers: Operation not supported\n%s", detail)
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// sel returns those of list for which keep holds, never nil.
func sel[T any](list []T, keep func(*T) bool) []T {
	out := []T{}
	for i := range list {
		if keep(&list[i]) {
			out = append(out, list[i])
		}
	}
	return slices.Clip(out)
}

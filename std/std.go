// Package std lists the modules that ship with knit. It is the only package that
// imports modules.
package std

import (
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/link/dummy"
	"github.com/knitnet/knit/link/loopback"
	"github.com/knitnet/knit/link/pipe"
	"github.com/knitnet/knit/link/veth"
	"github.com/knitnet/knit/network/ip4"
	"github.com/knitnet/knit/service/hello"
	"github.com/knitnet/knit/transport/tcp"
	"github.com/knitnet/knit/transport/tcp/cc/cubic"
	"github.com/knitnet/knit/transport/tcp/cc/reno"
	"github.com/knitnet/knit/transport/udp"
)

// Modules returns every module of this repository, in no order that matters.
func Modules() []module.Spec {
	return []module.Spec{
		cubic.Module, dummy.Module, hello.Module, ip4.Module, loopback.Module, pipe.Module, reno.Module, tcp.Module, udp.Module, veth.Module,
	}
}

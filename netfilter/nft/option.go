package nft

import (
	"fmt"

	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/wire"
)

// nop is the TCP option that is padding (RFC 9293 §3.1).
const nop = 1

// maxOptions is the room for options in a TCP header, in bytes.
const maxOptions = 40

// resetOption compiles `reset tcp option`. A packet without the option goes on, one that is no
// TCP segment does not match.
func resetOption(x *rule.ResetOption) (step, error) {
	if x.Option.Kind != rule.TCPOption {
		return nil, fmt.Errorf("only TCP options can be reset")
	}
	number := x.Option.Number
	return func(ev *eval) next {
		b := ev.tcpOption(number)
		if b == nil {
			if ev.l4Proto != wire.ProtoTCP || ev.header(rule.TransportHeader, 0, wire.TCPLen) == nil {
				return breakRule
			}
			return goOn
		}
		var old [maxOptions]byte
		n := copy(old[:], b)
		for i := range b[:n] {
			b[i] = nop
		}
		ev.correctTransport(offsetIn(ev.pkt.Head(), b)-ev.l4Off, old[:n], b[:n], false)
		return goOn
	}, nil
}

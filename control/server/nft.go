package server

import (
	"context"
	"errors"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/netfilter"
)

func nft() Handler {
	return Handle(control.NFT(), func(ctx context.Context, e *Env, q control.NFTRequest, emit func(control.NFTReply) error) error {
		r, err := ruleset(ctx, e)
		if err != nil {
			return err
		}
		out := writer(func(text string) error { return emit(control.NFTReply{Text: text}) })
		if q.Monitor {
			err = r.Monitor(ctx, nftRequest(&q), out)
		} else {
			err = r.Run(ctx, nftRequest(&q), out)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			return control.Errorf(1, "%s", err)
		}
		return nil
	})
}

// ruleset returns the packet filter, which is loaded if it is not there.
func ruleset(ctx context.Context, e *Env) (netfilter.Ruleset, error) {
	if err := e.Kernel.Modules.Request(ctx, netfilter.RulesetSymbol); err != nil {
		return nil, err
	}
	r, ok := module.Find[netfilter.Ruleset](e.Kernel.Modules, netfilter.RulesetSymbol)
	if !ok {
		return nil, control.Errorf(1, "nft: there is no packet filter in this kernel")
	}
	return r, nil
}

func nftRequest(q *control.NFTRequest) *netfilter.NFTRequest {
	return &netfilter.NFTRequest{
		Text: q.Text, Name: q.Name, Define: q.Define, Check: q.Check, JSON: q.JSON, Handles: q.Handles,
		Stateless: q.Stateless, Terse: q.Terse, Numeric: q.Numeric, NumericPriority: q.NumericPriority,
		NumericProtocol: q.NumericProtocol, NumericTime: q.NumericTime, GUID: q.GUID, ServiceNames: q.Services,
		Echo:    q.Echo,
		Include: q.Included,
	}
}

// A writer passes on what is written.
type writer func(text string) error

func (w writer) Write(b []byte) (int, error) { return len(b), w(string(b)) }

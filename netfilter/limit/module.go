// Package limit is the module nft_limit: the token buckets behind the statement
// `limit` and the objects of that kind.
package limit

import (
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/netfilter"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        netfilter.LimiterSymbol,
	Version:     "1.0",
	Description: "rate limits of nf_tables",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"nft-expr-limit", "nft-obj-4"},
	Exports:     []string{netfilter.LimiterSymbol},
	Init: func(c *module.Context) error {
		return module.Export[netfilter.Limiter](c, netfilter.LimiterSymbol, limiter{})
	},
}

type limiter struct{}

// Take implements netfilter.Limiter.
func (limiter) Take(b *netfilter.Bucket, now clock.Time, cost, most int64) bool {
	b.Lock()
	defer b.Unlock()
	if now > b.Last {
		b.Tokens += min(int64(now-b.Last), most-b.Tokens) // the sum alone could overflow
		b.Last = now
	}
	if b.Tokens < cost {
		return false
	}
	b.Tokens -= cost
	return true
}

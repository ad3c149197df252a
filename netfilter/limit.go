package netfilter

import (
	"sync"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/klog"
)

// Symbols of the modules behind the statements limit and log; the modules have the same
// names.
const (
	LimiterSymbol   = "nft_limit"
	PacketLogSymbol = "nf_log_syslog"
)

// A Bucket is a token bucket. Tokens are counted in the time that they take to come
// back, in nanoseconds, so that no rate is too slow for whole numbers. It is safe for
// concurrent use; the zero Bucket is empty and was never filled.
type Bucket struct {
	sync.Mutex
	Tokens int64
	Last   clock.Time
}

// A Limiter is what nft_limit exports.
type Limiter interface {
	// Take fills b up to most for the time since it was last asked, and takes cost
	// tokens if there are enough, which it reports.
	Take(b *Bucket, now clock.Time, cost, most int64) bool
}

// A PacketLog is what nf_log_syslog exports.
type PacketLog interface {
	// Log writes a line about a packet into the kernel's log, with no module's name in
	// front.
	Log(level klog.Level, line string)
}

package neigh

import (
	"math"
	"sync/atomic"

	"github.com/knitnet/knit/core/sysctl"
)

// thresholds bound the table; see Config.
type thresholds struct {
	keep, soft, hard atomic.Int64 // Thresh1 to Thresh3
}

func (h *thresholds) init(c *Config) {
	h.keep.Store(int64(c.Thresh1))
	h.soft.Store(int64(c.Thresh2))
	h.hard.Store(int64(c.Thresh3))
}

// Sysctls returns the table's settings, with names that begin with prefix:
// "net.ipv4.neigh.default".
func (t *Table) Sysctls(prefix string) []sysctl.Entry {
	return []sysctl.Entry{
		sysctl.Int(prefix+".gc_thresh1", &t.thresh.keep, 0, math.MaxInt32),
		sysctl.Int(prefix+".gc_thresh2", &t.thresh.soft, 0, math.MaxInt32),
		sysctl.Int(prefix+".gc_thresh3", &t.thresh.hard, 0, math.MaxInt32),
	}
}

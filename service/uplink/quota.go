package uplink

import "sync/atomic"

// A quota bounds how many of something there are. max must be set; it is safe for
// concurrent use.
type quota struct {
	max func() int64
	n   atomic.Int64
}

// take reports whether there was room for one more.
func (q *quota) take() bool {
	if q.n.Add(1) > q.max() {
		q.n.Add(-1)
		return false
	}
	return true
}

// put gives one back.
func (q *quota) put() { q.n.Add(-1) }

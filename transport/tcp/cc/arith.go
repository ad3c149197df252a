package cc

// GrowSlowStart grows the window by the bytes acknowledged, up to the threshold,
// and returns the bytes that were left over when it was reached.
//
// RFC 5681 §3.1 allows SMSS a segment and RFC 3465 §2.3 two per
// acknowledgement; a receiver that merges segments acknowledges dozens at
// once, so the limit is the bytes themselves, as in RFC 9406 §4.2 with L
// unlimited.
func (w *Window) GrowSlowStart(bytes uint32) (left uint32) {
	room := w.Ssthresh - w.Cwnd
	if bytes < room {
		room = bytes
	}
	w.Set(w.Cwnd + room)
	return bytes - room
}

// GrowLinear grows the window by one segment for each window of bytes
// acknowledged (RFC 5681 §3.1 and RFC 3465 §2.1). credit counts the bytes that
// have not led to growth yet; the caller keeps it.
func (w *Window) GrowLinear(credit *uint32, bytes uint32) {
	*credit += bytes
	for *credit >= w.Cwnd && w.Cwnd < MaxWindow {
		*credit -= w.Cwnd
		w.Set(w.Cwnd + w.MSS)
	}
}

// Set sets the window, no smaller than one segment and no larger than
// MaxWindow.
func (w *Window) Set(cwnd uint32) { w.Cwnd = min(max(cwnd, w.MSS), MaxWindow) }

// Half is RFC 5681 §3.1 equation 4: max(FlightSize/2, 2*SMSS).
func (w *Window) Half(inflight uint32) uint32 { return max(inflight/2, 2*w.MSS) }

package tcp

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/transport/tcp/internal/tcb"
)

// Purposes of keyed hashes: one secret, independent functions.
const (
	forISS = iota + 1
	forTimestamp
	forPort
	forCookie
)

// secret keys the hashes that a stranger must not predict. It lives as long as
// the module.
type secret [32]byte

func newSecret() (s secret) {
	rand.Read(s[:])
	return s
}

// hash returns a keyed hash of a tuple, and extra, for a purpose.
func (s *secret) hash(purpose byte, k *tuple, extra uint64) uint64 {
	var b [32 + 1 + 32 + 4 + 8]byte
	copy(b[:], s[:])
	b[32] = purpose
	copy(b[33:], k.local[:])
	copy(b[49:], k.remote[:])
	binary.BigEndian.PutUint16(b[65:], k.localPort)
	binary.BigEndian.PutUint16(b[67:], k.remotePort)
	binary.BigEndian.PutUint64(b[69:], extra)
	sum := sha256.Sum256(b[:])
	return binary.BigEndian.Uint64(sum[:])
}

// iss returns an initial sequence number: a clock of 4 us plus a keyed hash of
// the tuple (RFC 6528 §3).
func (s *secret) iss(k *tuple, now clock.Time) tcb.Seq {
	return tcb.Seq(uint64(now)/4096 + s.hash(forISS, k, 0))
}

// timestampOffset hides the uptime from the peer (RFC 7323 §7.1).
func (s *secret) timestampOffset(k *tuple) uint32 {
	k2 := *k
	k2.localPort, k2.remotePort = 0, 0
	return uint32(s.hash(forTimestamp, &k2, 0))
}

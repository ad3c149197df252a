package conntrack

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/wire"
)

// A piece is a chunk to be sent.
type piece struct {
	typ, flags byte
	body       []byte
}

func sctp(src, dst string, tag uint32, pieces ...piece) []byte {
	s, d := ap(src), ap(dst)
	b := make([]byte, sctpHeaderLen)
	binary.BigEndian.PutUint16(b, s.Port())
	binary.BigEndian.PutUint16(b[2:], d.Port())
	binary.BigEndian.PutUint32(b[4:], tag)
	for _, c := range pieces {
		n := chunkLen + len(c.body)
		b = append(append(b, c.typ, c.flags, byte(n>>8), byte(n)), c.body...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return ip(wire.ProtoSCTP, s.Addr(), d.Addr(), b, -1)
}

// opening is the body of INIT and INIT ACK.
func opening(tag uint32) []byte {
	b := make([]byte, initLen-chunkLen)
	binary.BigEndian.PutUint32(b, tag)
	b[7], b[9], b[11] = 100, 1, 1
	return b
}

const (
	sctpA = "10.0.0.1:5000"
	sctpB = "10.0.0.2:38412"
)

// associate shakes hands: packets to B have the tag 200, those to A 100.
func (r *rig) associate() *netfilter.Conn {
	r.want(sctp(sctpA, sctpB, 0, piece{typ: chunkInit, body: opening(100)}), netfilter.New)
	r.want(sctp(sctpB, sctpA, 100, piece{typ: chunkInitAck, body: opening(200)}), netfilter.EstablishedReply)
	r.want(sctp(sctpA, sctpB, 200, piece{typ: chunkCookieEcho, body: make([]byte, 8)}), netfilter.Established)
	return r.want(sctp(sctpB, sctpA, 100, piece{typ: chunkCookieAck}), netfilter.EstablishedReply)
}

func TestAssociation(t *testing.T) {
	r := newRig(t)
	c := r.associate()
	want := func(state string, life time.Duration) {
		t.Helper()
		if v := r.Snapshot(c); v.State != state || v.Timeout != int64(life/time.Second) {
			t.Errorf("state %s for %d s, want %s for %v", v.State, v.Timeout, state, life)
		}
	}
	want("ESTABLISHED", 210*time.Second)
	if !c.Is(netfilter.Assured) {
		t.Error("it is not assured")
	}
	data := piece{flags: 3, body: make([]byte, 16)}
	r.want(sctp(sctpA, sctpB, 201, data), netfilter.Invalid) // who does not know the tag
	r.want(sctp(sctpB, sctpA, 201, piece{typ: chunkAbort}), netfilter.Invalid)
	r.want(damaged(sctp(sctpA, sctpB, 200, data)), netfilter.Invalid)
	r.want(sctp(sctpA, sctpB, 200, data), netfilter.Established)
	want("ESTABLISHED", 210*time.Second)
	r.want(sctp(sctpA, sctpB, 200, piece{typ: chunkShutdown, body: make([]byte, 4)}), netfilter.Established)
	want("SHUTDOWN_SENT", 3*time.Second)
	r.want(sctp(sctpB, sctpA, 100, piece{typ: chunkShutdownAck}), netfilter.EstablishedReply)
	want("SHUTDOWN_ACK_SENT", 3*time.Second)
	// Whoever has forgotten the association reflects the tag (RFC 9260 §8.5.1).
	r.want(sctp(sctpA, sctpB, 100, piece{typ: chunkShutdownComplete, flags: reflected}), netfilter.Established)
	want("CLOSED", 10*time.Second)
}

// TestPathTakenUp: an association has several paths; where its beginning was not seen a
// heartbeat and its answer show that it is there.
func TestPathTakenUp(t *testing.T) {
	r := newRig(t)
	beat := piece{typ: chunkHeartbeat, body: make([]byte, 8)}
	c := r.want(sctp(sctpA, sctpB, 200, beat), netfilter.New)
	r.want(sctp(sctpB, sctpA, 100, piece{typ: chunkAbort}), netfilter.Invalid)
	r.want(sctp(sctpB, sctpA, 100, piece{typ: chunkHeartbeatAck, body: make([]byte, 8)}), netfilter.EstablishedReply)
	if v := r.Snapshot(c); v.State != "ESTABLISHED" || !c.Is(netfilter.Assured) {
		t.Errorf("state %s, status %#x; want ESTABLISHED and assured", v.State, v.Status)
	}
	r.want(sctp(sctpA, sctpB, 7, beat), netfilter.Established) // it may have begun anew elsewhere
	r.want(sctp(sctpA, sctpB, 7, piece{flags: 3, body: make([]byte, 16)}), netfilter.Invalid)
	r.want(sctp(sctpA, sctpB, 200, piece{flags: 3, body: make([]byte, 16)}), netfilter.Established)
}

// TestChunks: what no end sends in one packet changes nothing (RFC 9260 §6.10).
func TestChunks(t *testing.T) {
	r := newRig(t)
	initial := piece{typ: chunkInit, body: opening(100)}
	r.want(sctp(sctpA, sctpB, 0, initial, piece{body: make([]byte, 16)}), netfilter.Invalid)
	r.want(sctp(sctpA, sctpB, 7, initial), netfilter.Invalid) // INIT has no tag
	r.want(sctp(sctpA, sctpB, 0, piece{typ: chunkInit, body: opening(0)}), netfilter.Invalid)
	r.want(sctp(sctpA, sctpB, 0, piece{typ: chunkInit, body: opening(100)[:8]}), netfilter.Invalid)
	r.want(sctp(sctpA, sctpB, 0), netfilter.Invalid)
	r.wantCount(0)
}

func TestAssociationsAreListed(t *testing.T) {
	r := newRig(t)
	v := netfilter.ConnView{State: "ESTABLISHED", Timeout: 100, Tags: [2]uint32{77, 88}}
	for d, ends := range [][2]string{{sctpA, sctpB}, {sctpB, sctpA}} {
		x := &v.Tuples[d]
		x.Proto = wire.ProtoSCTP
		x.SetSrc(ap(ends[0]).Addr())
		x.SetDst(ap(ends[1]).Addr())
		x.SrcPort, x.DstPort = ap(ends[0]).Port(), ap(ends[1]).Port()
	}
	if err := r.Insert(&v); err != nil {
		t.Fatal(err)
	}
	c := r.want(sctp(sctpA, sctpB, 77, piece{flags: 3, body: make([]byte, 16)}), netfilter.New)
	r.want(sctp(sctpA, sctpB, 78, piece{flags: 3, body: make([]byte, 16)}), netfilter.Invalid)
	got, want := r.Snapshot(c), "sctp     132 209 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=5000 dport=38412 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=38412 dport=5000 mark=0 use=1"
	got.Timeout = 209
	if line := got.Line(netfilter.ViewOptions{}); line != want {
		t.Errorf("%s, want\n%s", line, want)
	}
	if save, want := got.Save(), "-A -t 209 -u UNSET -s 10.0.0.1 -d 10.0.0.2 -r 10.0.0.2 -q 10.0.0.1 -p sctp --sport 5000 --dport 38412 "+
		"--reply-port-src 38412 --reply-port-dst 5000 --state ESTABLISHED --orig-vtag 77 --reply-vtag 88"; save != want {
		t.Errorf("%s, want\n%s", save, want)
	}
	v.State = "SLEEPING"
	if r.Insert(&v) == nil {
		t.Error("a state that is none was taken")
	}
}

// FuzzChunks: no chain of chunks harms the tracker.
func FuzzChunks(f *testing.F) {
	f.Add(uint32(100), []byte{1, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(uint32(200), []byte{6, 1, 0, 4, 0, 0, 0, 0})
	r := newRig(f)
	r.checksum.Store(false)
	f.Fuzz(func(t *testing.T, tag uint32, b []byte) {
		if len(b) > 1000 {
			return
		}
		h := sctp(sctpA, sctpB, tag)
		h = append(h, b...)
		binary.BigEndian.PutUint16(h[2:], uint16(len(h)))
		r.pass(h)
	})
}

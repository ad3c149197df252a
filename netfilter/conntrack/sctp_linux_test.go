package conntrack

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"testing"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/wire"
)

// associations are the states of SCTP connections as conntrack lists them, by the port
// of the end that a trial calls a.
func (j *judge) associations() map[string]string {
	var out []byte
	j.do(func() { out, _ = exec.Command("conntrack", "-L", "-p", "sctp").Output() })
	states := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^sctp +132 \d+ (\S+) .*?port=(\d{5}) .*$`).FindAllStringSubmatch(string(out), -1) {
		states[m[2]] = m[1]
	}
	return states
}

// TestAgainstLinuxSCTP: conversations of chunks that fit together, or nearly, are judged
// as Linux judges them, and leave the same state.
func TestAgainstLinuxSCTP(t *testing.T) {
	if _, err := exec.LookPath("conntrack"); err != nil {
		t.Skipf("no conntrack on this machine: %v", err)
	}
	j, r := newJudge(t), newRig(t)
	r.max.Store(0)
	for seed := range uint64(300) {
		x := &trial{t: t, r: r, j: j, name: fmt.Sprintf("association %d", seed), a: fmt.Sprintf("10.6.0.1:%d", 20000+seed), b: "10.6.0.2:99"}
		x.associate(rand.New(rand.NewPCG(seed, 3)))
	}
	theirs := j.associations()
	r.Each(func(c *netfilter.Conn) bool {
		v := r.Snapshot(c)
		port := fmt.Sprint(max(v.Tuples[0].SrcPort, v.Tuples[0].DstPort))
		if v.Tuples[0].Proto == wire.ProtoSCTP && v.State != theirs[port] {
			t.Errorf("association %s is %s, Linux says %s", port, v.State, theirs[port])
		}
		delete(theirs, port)
		return true
	})
	if len(theirs) > 0 {
		t.Errorf("only Linux has %v", theirs)
	}
}

// associate sends a handshake, or a part of it, and then whatever comes to mind.
func (x *trial) associate(rnd *rand.Rand) {
	ends := [2]string{x.a, x.b}
	say := func(d int, tag uint32, list ...piece) bool {
		what := fmt.Sprintf("%d tag %d:", d, tag)
		for _, c := range list {
			what += fmt.Sprintf(" chunk %d flags %d", c.typ, c.flags)
		}
		return x.send(sctp(ends[d], ends[1-d], tag, list...), what)
	}
	body := func(typ byte, d int) piece {
		c := piece{typ: typ, body: make([]byte, []int{16, 0, 0, 12, 8, 8, 0, 4, 0, 0, 8, 0, 0, 0, 0, 8}[typ])}
		if typ == chunkInit || typ == chunkInitAck {
			c.body = opening(uint32(100 + 100*d))
		}
		return c
	}
	begun := rnd.IntN(5)
	for i := range begun {
		typ := []byte{chunkInit, chunkInitAck, chunkCookieEcho, chunkCookieAck}[i]
		if !say(i%2, []uint32{0, 100, 200, 100}[i], body(typ, i%2)) {
			return
		}
	}
	for range 3 + rnd.IntN(8) {
		d := rnd.IntN(2)
		types := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15, 4, 5, 7, 8, 14}
		c := body(types[rnd.IntN(len(types))], d)
		c.flags = byte(rnd.IntN(4) / 3)
		tag := []uint32{200, 100}[d]
		switch rnd.IntN(8) {
		case 0:
			tag = []uint32{100, 200}[d]
		case 1:
			tag = 5
		}
		if c.typ == chunkInit && rnd.IntN(4) > 0 {
			tag = 0
		}
		if c.typ == chunkHeartbeat || c.typ == chunkShutdownAck {
			if begun < 2 {
				continue
			}
			tag = []uint32{200, 100}[d] // Linux takes any
		}
		list := []piece{c}
		if c.typ == 0 && rnd.IntN(2) == 0 {
			list = append(list, body([]byte{0, 3, 7, 6, 1, 11, 14}[rnd.IntN(7)], d))
		}
		if !say(d, tag, list...) {
			return
		}
	}
}

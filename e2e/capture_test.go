//go:build e2e && linux

package e2e

import (
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/capture"
)

// judged is what a capture must not contain. Errors that Linux sends quote datagrams
// as its own device got them, before the checksum; a gateway may have translated them.
const judged = "_ws.malformed || ip.hdr_len < 20 || tcp.hdr_len < 20 || ip.checksum.status == 0 || tcp.checksum.status == 0" +
	" || icmp.checksum.status == 0 || icmpv6.checksum.status == 0 || igmp.checksum.status == 0" +
	" || (udp.checksum.status == 0 && !(icmp.type == 3 && (ip.src == 10.2.0.2 || ip.src == 10.3.0.2 || ip.src == 10.3.0.1)) && !(icmpv6.type == 1 && (ipv6.src == fd00:2::2 || ipv6.src == fd00:64::a02:2)))"

// captureAll records the devices until the test ends and then has tshark look for
// malformed packets and wrong checksums.
func captureAll(t *testing.T, devices ...*link.Device) {
	t.Helper()
	captureSome(t, math.MaxInt64, devices...)
}

// captureSome is captureAll for bulk: it records as many bytes of packets, and as
// many again each time that refill is called.
func captureSome(t *testing.T, size int64, devices ...*link.Device) (refill func()) {
	t.Helper()
	var left atomic.Int64
	left.Store(size)
	file := filepath.Join(t.TempDir(), "all.pcapng")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := capture.Start(f, capture.Options{
		Buffer: 64 << 20,
		Filter: func(_ []byte, length int) bool { return left.Add(-int64(length)) >= 0 },
	}, devices...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
		f.Close()
		judge(t, file)
	})
	return func() { left.Store(size) }
}

func judge(t *testing.T, file string) {
	t.Helper()
	if out := faults(t, file); out != "" {
		t.Errorf("tshark finds fault with these packets:\n%.4000s", out)
	}
}

// faults returns the packets of a capture that tshark finds fault with. What TCP
// carries is data to it, but for names: a server's random bytes on port 80 are bad HTTP
// and good TCP, and what traceroute sends from a port that it draws is no protocol's.
func faults(t *testing.T, file string) string {
	t.Helper()
	args := []string{"-r", file, "-n", "-d", "tcp.port==1-52,data", "-d", "tcp.port==54-65535,data", "-d", "udp.port==1024-65535,data"}
	for _, p := range []string{"ip.check_checksum", "tcp.check_checksum", "udp.check_checksum"} {
		args = append(args, "-o", p+":TRUE")
	}
	all, err := exec.Command("tshark", append(args, "-c", "1")...).CombinedOutput()
	if err != nil || len(all) == 0 {
		t.Errorf("tshark cannot read the capture, or it is empty: %v\n%s", err, all)
		return ""
	}
	out, err := exec.Command("tshark", append(args, "-Y", judged)...).Output()
	if err != nil {
		t.Errorf("tshark: %v", err)
	}
	return string(out)
}

// TestJudge: random bytes in flawless segments are no fault, also with gaps between
// them as in the record of a part; a flipped bit in a header is.
func TestJudge(t *testing.T) {
	for _, damage := range []int{-1, 8, 22, 32} { // TTL, ports, TCP's header length
		file := filepath.Join(t.TempDir(), "judged.pcap")
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		w := pcapgo.NewWriter(f)
		if err := w.WriteFileHeader(65535, layers.LinkTypeRaw); err != nil {
			t.Fatal(err)
		}
		for seq := range uint32(500) { // many enough that some look like bad HTTP
			b := segment(t, seq)
			if damage >= 0 {
				b[damage] ^= 0x10
			}
			if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(0, 0), CaptureLength: len(b), Length: len(b)}, b); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		want := 500
		if damage < 0 {
			want = 0
		}
		if n := strings.Count(faults(t, file), "\n"); n != want {
			t.Errorf("byte %d damaged: fault found with %d of 500 packets, want %d", damage, n, want)
		}
	}
}

// segment returns a TCP segment to port 80 with random payload, in an IPv4 packet.
func segment(t *testing.T, seq uint32) []byte {
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: net.IP{10, 1, 0, 2}, DstIP: net.IP{10, 1, 0, 1}}
	tcp := &layers.TCP{SrcPort: 59902, DstPort: 80, Seq: seq * 1500, ACK: true, PSH: true, Window: 63}
	tcp.SetNetworkLayerForChecksum(ip)
	payload := make([]byte, 376)
	rand.NewChaCha8([32]byte{byte(seq), byte(seq >> 8)}).Read(payload)
	b := gopacket.NewSerializeBuffer()
	o := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(b, o, ip, tcp, gopacket.Payload(payload)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

//go:build e2e && linux

package e2e

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/capture"
)

// judged is what a capture must not contain. Errors that Linux sends quote datagrams
// as its own device got them, before the checksum.
const judged = "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0" +
	" || icmp.checksum.status == 0 || icmpv6.checksum.status == 0 || igmp.checksum.status == 0" +
	" || (udp.checksum.status == 0 && !(icmp.type == 3 && ip.src == 10.2.0.2) && !(icmpv6.type == 1 && ipv6.src == fd00:2::2))"

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
	args := []string{"-r", file, "-n"}
	for _, p := range []string{"ip.check_checksum", "tcp.check_checksum", "udp.check_checksum"} {
		args = append(args, "-o", p+":TRUE")
	}
	all, err := exec.Command("tshark", append(args, "-c", "1")...).CombinedOutput()
	if err != nil || len(all) == 0 {
		t.Errorf("tshark cannot read the capture, or it is empty: %v\n%s", err, all)
		return
	}
	out, err := exec.Command("tshark", append(args, "-Y", judged)...).Output()
	if err != nil {
		t.Errorf("tshark: %v", err)
	}
	if len(out) > 0 {
		t.Errorf("tshark finds fault with these packets:\n%.4000s", out)
	}
}

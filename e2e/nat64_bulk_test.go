//go:build e2e && linux

package e2e

import "testing"

// TestNAT64Iperf3: bulk passes in both directions, in large segments where the devices
// take them, and more streams than one.
func TestNAT64Iperf3(t *testing.T) {
	k, a, z := nat64(t)
	refill := captureSome(t, 4<<20, a.device, z.device, device(t, k, "nat64"))
	z.start("Server listening", "iperf3", "-s", "-4", "--forceflush")
	to := embedded(z.v4)
	for _, args := range [][]string{{}, {"-R"}, {"-P", "4"}} {
		refill()
		if r := a.iperf3(append([]string{"-c", to, "-n", "32M"}, args...)...); r.End.SumReceived.Bytes < 16<<20 {
			t.Errorf("iperf3 %v received %d bytes of 32 MB", args, r.End.SumReceived.Bytes)
		}
	}
	for _, args := range [][]string{{}, {"-R"}} {
		refill()
		if r := a.iperf3(append([]string{"-u", "-c", to, "-b", "20M", "-t", "1"}, args...)...); r.End.Sum.Packets == 0 {
			t.Errorf("iperf3 -u %v moved no packet", args)
		}
	}
}

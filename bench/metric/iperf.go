package metric

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit/bench/iperf"
	"github.com/knitnet/knit/bench/system"
)

// IperfIn is what the program iperf3 measures from Linux to a stack behind a TAP
// device.
func IperfIn() Metric {
	return Metric{
		Name: "IperfIn", Title: "TAP, iperf3 to the stack", Unit: megabytes, Higher: true, Once: true,
		Bench: func(b *testing.B, env Env) error { return benchIperf(b, env) },
	}
}

// IperfOut is what iperf3 measures in the other direction.
func IperfOut() Metric {
	return Metric{
		Name: "IperfOut", Title: "TAP, iperf3 from the stack", Unit: megabytes, Higher: true, Once: true,
		Bench: func(b *testing.B, env Env) error { return benchIperf(b, env, "--reverse") },
	}
}

func benchIperf(b *testing.B, env Env, flags ...string) error {
	t, ok := env.System.(system.TAPper)
	if !ok {
		return system.Unsupportedf("no TAP")
	}
	if _, err := exec.LookPath("iperf3"); err != nil {
		return system.Unsupportedf("%v", err)
	}
	n, err := t.TAP(env.Options)
	if err != nil {
		return err
	}
	defer n.Close()
	l, err := n.Z.Listen(iperf.Port)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	served := make(chan error, 1)
	go func() { served <- iperf.Serve(l) }()
	defer func() { l.Close(); <-served }()

	m := start()
	for range b.N {
		rate, err := client(n.Z.Addr(), env.Transfer, flags)
		if err != nil {
			return err
		}
		const bitsPerMegabyte = 8e6
		b.ReportMetric(rate/bitsPerMegabyte, megabytes)
	}
	m.stop(b)
	return nil
}

// client runs iperf3 against a server and returns the bits per second that its
// receiver counted.
func client(server netip.Addr, d time.Duration, flags []string) (float64, error) {
	d = max(d.Round(time.Second), time.Second)
	const grace = 15 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), d+grace)
	defer cancel()
	args := append([]string{"--client", server.String(), "--json", "--time", strconv.Itoa(int(d.Seconds()))}, flags...)
	cmd := exec.CommandContext(ctx, "iperf3", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it must not outlive a measurement that is stopped
	out, err := cmd.Output()
	var report struct {
		Error string
		End   struct {
			Received struct {
				Rate float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if jsonErr := json.Unmarshal(out, &report); jsonErr == nil && report.Error != "" {
		return 0, fmt.Errorf("iperf3: %s", report.Error)
	} else if err != nil {
		return 0, fmt.Errorf("iperf3: %w", err)
	} else if jsonErr != nil {
		return 0, fmt.Errorf("read the report of iperf3: %w", jsonErr)
	}
	return report.End.Received.Rate, nil
}

package server

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/link/capture"
)

// A watched buffer tells when a text was written to it.
type watched struct {
	mu   sync.Mutex
	b    bytes.Buffer
	want string
	seen chan struct{}
}

func newWatched(want string) *watched { return &watched{want: want, seen: make(chan struct{})} }

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	had := strings.Contains(w.b.String(), w.want)
	w.b.Write(b)
	if !had && strings.Contains(w.b.String(), w.want) {
		close(w.seen)
	}
	return len(b), nil
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

func (w *watched) Close() error { return nil }

// dumping runs tcpdump while f makes traffic; then it is interrupted if it has not
// ended by itself.
func dumping(s *Server, words string, stdout io.Writer, create func(string) (io.WriteCloser, error), f func(end func())) (stderr string, status int) {
	errs := newWatched("listening on")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	go func() {
		done <- s.Run(ctx, &control.Console{Stdout: stdout, Stderr: errs, Create: create}, strings.Fields(words)...)
	}()
	select {
	case <-errs.seen:
		time.Sleep(time.Second) // of the bubble's time: the capture has begun
		f(cancel)
		status = <-done
	case status = <-done:
	}
	cancel()
	return errs.String(), status
}

func pingFrom(t *testing.T, s *Server, words string) {
	t.Helper()
	if status := s.Run(context.Background(), &control.Console{}, strings.Fields(words)...); status != 0 {
		t.Errorf("%s: status %d", words, status)
	}
}

// TestTcpdump: packets are shown while they pass, and counted at the end, which is
// that of -c or an interrupt.
func TestTcpdump(t *testing.T) {
	inBubble(t, lab.Wire{Delay: 10 * time.Millisecond}, func(t *testing.T, s *Server, _, _ *knit.Kernel) {
		for _, x := range []struct {
			words, ping, stdout, stderr string
			interrupt                   bool
			status                      int
		}{
			{
				"tcpdump -n -t -i lab0 -c 2 icmp", "ping -c 2 10.0.0.2",
				`IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id \d+, seq 1, length 64
IP 10.0.0.2 > 10.0.0.1: ICMP echo reply, id \d+, seq 1, length 64
`, `tcpdump: verbose output suppressed, use -v\[v\]... for full protocol decode
listening on lab0, link-type (EN10MB \(Ethernet\)|RAW \(Raw IP\)), snapshot length 262144 bytes
2 packets captured
[2-4] packets received by filter
0 packets dropped by kernel
`, false, 0,
			},
			{
				"tcpdump -n -t -v -i any -s 60 icmp6 and icmp6[0] == 128", "ping -c 1 fd00::2",
				`lab0  Out IP6 \(.*\) fd00::1 > fd00::2: ICMP6, echo request, id \d+, seq 1
`, `listening on any, link-type .*, snapshot length 60 bytes
1 packet captured
1 packet received by filter
0 packets dropped by kernel
`, true, 0,
			},
			{"tcpdump -i nope", "", ``, "tcpdump: nope: No such device exists\n", false, 1},
			{"tcpdump -i lab0 frob frob", "", ``, "tcpdump: can't parse filter expression: .*\n", false, 1},
		} {
			out := newWatched("")
			stderr, status := dumping(s, x.words, out, nil, func(end func()) {
				pingFrom(t, s, x.ping)
				if x.interrupt {
					end()
				}
			})
			if status != x.status || !regexp.MustCompile("^"+x.stdout+"$").MatchString(out.String()) || !regexp.MustCompile("^"+x.stderr+"$").MatchString(stderr) {
				t.Errorf("%s:\nstdout %q\nwant   %q\nstderr %q\nwant   %q\nstatus %d, want %d", x.words, out, x.stdout, stderr, x.stderr, status, x.status)
			}
		}
	})
}

// TestTcpdumpWrite: -w writes on the side of whoever asks, in the format that the
// name says, and -r shows the same packets.
func TestTcpdumpWrite(t *testing.T) {
	inBubble(t, lab.Wire{Delay: 10 * time.Millisecond}, func(t *testing.T, s *Server, _, _ *knit.Kernel) {
		for _, name := range []string{"x.pcap", "x.pcapng"} {
			file := newWatched("")
			create := func(string) (io.WriteCloser, error) { return file, nil }
			stderr, status := dumping(s, "tcpdump -i lab0 -w "+name+" icmp", nil, create, func(end func()) {
				pingFrom(t, s, "ping -c 1 10.0.0.2")
				end()
			})
			if status != 0 || !strings.Contains(stderr, "\n2 packets captured\n") {
				t.Errorf("%s: status %d: %s", name, status, stderr)
			}
			raw := file.String()
			r, err := capture.NewReader(strings.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			rec, err := r.Next()
			if err != nil || (name == "x.pcapng") != (rec.Direction == capture.Out) {
				t.Errorf("%s: %+v, %v", name, rec, err)
			}
			out := newWatched("")
			c := &control.Console{Stdout: out, Open: func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(raw)), nil }}
			if status := s.Run(context.Background(), c, "tcpdump", "-t", "-r", name, "src", "10.0.0.2"); status != 0 || !strings.Contains(out.String(), "ICMP echo reply") || strings.Contains(out.String(), "request") {
				t.Errorf("%s: status %d, %q", name, status, out)
			}
		}
	})
}

package iperf

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// server runs Serve on a loopback port until the test ends.
func server(t *testing.T) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- Serve(l) }()
	t.Cleanup(func() {
		l.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l.Addr()
}

func dial(t *testing.T, to net.Addr) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func wantState(t *testing.T, c net.Conn, want state) {
	t.Helper()
	if err := (&test{control: c}).expect(want); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

// TestServeCountsWhatItReceives plays the client's side of a test with two streams.
func TestServeCountsWhatItReceives(t *testing.T) {
	addr := server(t)
	cookie := bytes.Repeat([]byte{'c'}, cookieLen)
	control := dial(t, addr)
	write(t, control, cookie)
	wantState(t, control, paramExchange)
	if err := writeJSON(control, map[string]any{"tcp": true, "parallel": 2, "len": 1000}); err != nil {
		t.Fatal(err)
	}
	wantState(t, control, createStreams)
	streams := []net.Conn{dial(t, addr), dial(t, addr)}
	for _, s := range streams {
		write(t, s, cookie)
	}
	wantState(t, control, testStart)
	wantState(t, control, testRunning)
	for _, s := range streams {
		write(t, s, make([]byte, 12345))
		s.(*net.TCPConn).CloseWrite()
		if _, err := io.ReadAll(s); err != nil { // the server has read everything
			t.Fatal(err)
		}
	}
	write(t, control, []byte{byte(testEnd)})
	wantState(t, control, exchangeResults)
	if err := writeJSON(control, results{}); err != nil {
		t.Fatal(err)
	}
	var got results
	if err := readJSON(control, &got); err != nil {
		t.Fatal(err)
	}
	wantState(t, control, displayResults)
	write(t, control, []byte{byte(done)})
	if len(got.StreamCounts) != 2 {
		t.Fatalf("results of %d streams, want 2", len(got.StreamCounts))
	}
	for i, s := range got.StreamCounts {
		if s.Bytes != 12345 || s.ID != []int{1, 3}[i] {
			t.Errorf("stream %d: %+v, want 12345 bytes", i, s)
		}
	}
}

// TestServeEndsItsStreams defends that a client which sits in a read of a stream,
// as iperf3 3.12 does with part of a block, wakes up when the test is over.
func TestServeEndsItsStreams(t *testing.T) {
	addr := server(t)
	cookie := make([]byte, cookieLen)
	control := dial(t, addr)
	write(t, control, cookie)
	wantState(t, control, paramExchange)
	if err := writeJSON(control, map[string]any{"tcp": true, "reverse": true}); err != nil {
		t.Fatal(err)
	}
	wantState(t, control, createStreams)
	stream := dial(t, addr)
	write(t, stream, cookie)
	wantState(t, control, testStart)
	wantState(t, control, testRunning)
	write(t, control, []byte{byte(testEnd)})
	stream.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, stream); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the stream goes on after the end of the test")
	}
	wantState(t, control, exchangeResults)
}

// TestServeOutlivesABadClient defends that a client which breaks off, or asks for
// what is not served, does not keep the next one from being served.
func TestServeOutlivesABadClient(t *testing.T) {
	addr := server(t)
	dial(t, addr).Close()
	udp := dial(t, addr)
	write(t, udp, make([]byte, cookieLen))
	wantState(t, udp, paramExchange)
	if err := writeJSON(udp, map[string]any{"udp": true}); err != nil {
		t.Fatal(err)
	}
	if n, err := udp.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read %d bytes, %v; want the end of the stream", n, err)
	}
	next := dial(t, addr)
	write(t, next, make([]byte, cookieLen))
	wantState(t, next, paramExchange)
}

// TestRealClient defends that the real iperf3 takes this for its server.
func TestRealClient(t *testing.T) {
	if _, err := exec.LookPath("iperf3"); err != nil {
		t.Skip(err)
	}
	addr := server(t).(*net.TCPAddr)
	for _, flags := range [][]string{nil, {"--reverse"}, {"--parallel", "3"}, {"--reverse", "--parallel", "3"}} {
		args := append([]string{"--client", "127.0.0.1", "--port", strconv.Itoa(addr.Port), "--json", "--bytes", "1M"}, flags...)
		out, err := exec.Command("iperf3", args...).Output()
		if err != nil {
			t.Fatalf("%v: %v\n%s", flags, err, out)
		}
		var report struct {
			End struct {
				Received struct{ Bytes int } `json:"sum_received"`
			}
		}
		if err := json.Unmarshal(out, &report); err != nil || report.End.Received.Bytes == 0 {
			t.Errorf("%v: %v, %d bytes received", flags, err, report.End.Received.Bytes)
		}
	}
}

func FuzzReadJSON(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x02{}"))
	f.Add([]byte("\x00\x00\x00\x0e{\"parallel\":3}"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p params
		if err := readJSON(bytes.NewReader(b), &p); err != nil {
			return
		}
		var again bytes.Buffer
		if err := writeJSON(&again, p); err != nil {
			t.Fatalf("%+v cannot be written: %v", p, err)
		}
		var q params
		if err := readJSON(&again, &q); err != nil || q != p {
			t.Fatalf("%+v became %+v, %v", p, q, err)
		}
	})
}

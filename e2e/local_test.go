//go:build e2e && linux

package e2e

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit"
)

// kinds runs a test over both kinds of interfaces, and others if they are named.
func kinds(t *testing.T, f func(t *testing.T, k *knit.Kernel, h *host), more ...string) {
	for _, kind := range append([]string{"tun", "tap"}, more...) {
		t.Run(kind, func(t *testing.T) {
			k := startKernel(t, "tcp", "udp")
			f(t, k, newHost(t, k, 1, kind))
		})
	}
}

// TestPing: a thousand pings of each IP version, of all sizes, lose nothing.
func TestPing(t *testing.T) {
	kinds(t, func(t *testing.T, _ *knit.Kernel, h *host) {
		captureAll(t, h.device)
		for _, target := range []string{h.gw4.String(), h.gw6.String()} {
			for _, size := range []string{"0", "1", "8", "56", "1400", "1452", "1453", "1472", "1473", "4000", "9000", "30000", "65507"} {
				count := "20"
				if size == "56" {
					count = "760"
				}
				// With -w it waits for all answers. What it has sent more meanwhile, on a busy
				// machine, it does not wait for; the namespace's counters do.
				out := h.run("ping", "-q", "-n", "-c", count, "-i", "0.002", "-w", "60", "-s", size, target)
				if least, _ := strconv.Atoi(count); received(out) < least {
					t.Errorf("ping -s %s %s:\n%s", size, target, out)
				}
				allAnswered(t, h)
			}
		}
	})
}

// received is how many answers ping says it has got: more than it was asked to wait
// for, when several come at once.
func received(out string) int {
	m := regexp.MustCompile(`(\d+) received`).FindStringSubmatch(out)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// allAnswered waits until as many echo replies have come to the host as it has sent
// requests.
func allAnswered(t *testing.T, h *host) {
	t.Helper()
	var sent, got [2]int
	for deadline := time.Now().Add(time.Minute); ; {
		sent, got = echoes(h)
		if sent == got {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("IPv4 and IPv6: %d echo requests were sent, %d replies came", sent, got)
		}
	}
}

// echoes reads the counters of the host's namespace, by IP version.
func echoes(h *host) (sent, got [2]int) {
	lines := strings.Split(h.run("cat", "/proc/net/snmp"), "\n")
	for i, line := range lines[:len(lines)-1] {
		names, values := strings.Fields(line), strings.Fields(lines[i+1])
		if len(names) == 0 || names[0] != "Icmp:" || len(values) != len(names) {
			continue
		}
		for j, name := range names {
			n, _ := strconv.Atoi(values[j])
			switch name {
			case "OutEchos":
				sent[0] = n
			case "InEchoReps":
				got[0] = n
			}
		}
	}
	for line := range strings.Lines(h.run("cat", "/proc/net/snmp6")) {
		f := strings.Fields(line)
		n, _ := strconv.Atoi(f[1])
		switch f[0] {
		case "Icmp6OutEchos":
			sent[1] = n
		case "Icmp6InEchoReplies":
			got[1] = n
		}
	}
	return sent, got
}

// TestCurl: an unchanged net/http server inside the kernel serves and takes 100 MB,
// and every byte is right.
func TestCurl(t *testing.T) {
	const size = 100 << 20
	kinds(t, func(t *testing.T, k *knit.Kernel, h *host) {
		refill := captureSome(t, 16<<20, h.device)
		ln, err := k.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			refill()
			if r.Method == http.MethodPut {
				sum := sha256.New()
				n, _ := io.Copy(sum, r.Body)
				fmt.Fprintf(w, "%d %x", n, sum.Sum(nil))
				return
			}
			io.CopyN(w, noise(), size)
		})}
		go srv.Serve(ln)
		t.Cleanup(func() { srv.Close() })
		sum := sha256.New()
		io.CopyN(sum, noise(), size)
		want := fmt.Sprintf("%d %x", size, sum.Sum(nil))
		file := filepath.Join(t.TempDir(), "noise")
		for _, url := range []string{"http://" + h.gw4.String() + "/", "http://[" + h.gw6.String() + "]/"} {
			h.run("curl", "-s", "-S", "-f", "-g", "-o", file, url)
			if got := sumOf(t, file); got != want {
				t.Errorf("download from %s: %s, want %s", url, got, want)
			}
			if got := h.run("curl", "-s", "-S", "-f", "-g", "-T", file, url); got != want {
				t.Errorf("upload to %s: %s, want %s", url, got, want)
			}
		}
	})
}

// noise is an endless stream of bytes, always the same.
func noise() io.Reader { return rand.NewChaCha8([32]byte{1}) }

func sumOf(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %x", n, sum.Sum(nil))
}

// TestHalfClose: nc sends, closes its side, and still gets the answer.
func TestHalfClose(t *testing.T) {
	kinds(t, func(t *testing.T, k *knit.Kernel, h *host) {
		captureAll(t, h.device)
		ln, err := k.Listen("tcp", ":7")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				go func(c net.Conn) {
					b, _ := io.ReadAll(c) // until nc closes its side
					c.Write([]byte(strings.ToUpper(string(b))))
					c.Close()
				}(c)
			}
		}()
		for _, target := range []string{h.gw4.String(), h.gw6.String()} {
			if out := h.run("sh", "-c", "printf hello | nc -N -w 20 "+target+" 7"); out != "HELLO" {
				t.Errorf("nc %s printed %q, want HELLO", target, out)
			}
			if out, err := h.try("nc", "-v", "-z", "-w", "5", target, "8"); err == nil || !strings.Contains(out, "refused") {
				t.Errorf("nc to a closed port: %v, %q; want refused", err, out)
			}
		}
	})
}

// TestLoad: a net/http server inside the kernel under wrk makes no socket error.
func TestLoad(t *testing.T) {
	k := startKernel(t, "tcp")
	h := newHost(t, k, 1, "tun")
	refill := captureSome(t, 4<<20, h.device)
	ln, err := k.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello\n") })}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	for _, connection := range []string{"keep-alive", "close"} {
		refill()
		out := h.run("wrk", "-t", "2", "-c", "50", "-d", "3s", "-H", "Connection: "+connection, "http://"+h.gw4.String()+"/")
		if strings.Contains(out, "Socket errors") || strings.Contains(out, "Non-2xx") || !regexp.MustCompile(`[1-9]\d* requests in`).MatchString(out) {
			t.Errorf("wrk, Connection: %s:\n%s", connection, out)
		}
	}
}

// TestClient: an unchanged http.Client inside the kernel fetches from a server in
// the namespace.
func TestClient(t *testing.T) {
	kinds(t, func(t *testing.T, k *knit.Kernel, h *host) {
		captureAll(t, h.device)
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte("from outside"), 0o644); err != nil {
			t.Fatal(err)
		}
		h.start("Serving HTTP", "python3", "-u", "-m", "http.server", "--bind", "::", "--directory", dir, "8080")
		client := http.Client{Transport: &http.Transport{DialContext: k.DialContext, DisableKeepAlives: true}}
		for _, at := range []string{h.v4.String(), "[" + h.v6.String() + "]"} {
			r, err := http.NewRequestWithContext(context.Background(), "GET", "http://"+at+":8080/file", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(r)
			if err != nil {
				t.Errorf("get from %s: %v", at, err)
				continue
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || string(b) != "from outside" {
				t.Errorf("get from %s: %q, %v", at, b, err)
			}
		}
	})
}

package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/lab"
)

// TestPanickingHandler: a bug in one command is an error of that command and an
// entry in dmesg; the daemon lives on.
func TestPanickingHandler(t *testing.T) {
	leak.Check(t)
	s, k := testServer(t, Config{})
	_, path := listen(t, s)
	s.handlers["proc"] = Handler{"proc", func(context.Context, *Env, []byte, func(any) error) error { panic("oops") }}
	for name, to := range map[string]control.Caller{"process": s, "socket": control.NewClient(path)} {
		k.Log.Clear()
		_, stderr, status := run(t.Context(), to, "proc")
		if status != 1 || stderr != "knit: proc: a bug in the daemon: oops: dmesg says where\n" {
			t.Errorf("%s: %d %q", name, status, stderr)
		}
		if out, _, _ := run(t.Context(), to, "dmesg"); !strings.Contains(out, "BUG: panic in the command proc: oops") {
			t.Errorf("%s: dmesg:\n%s", name, out)
		}
	}
}

// TestEndOfDaemonFailsCalls: a command that the daemon's end cut off has failed.
func TestEndOfDaemonFailsCalls(t *testing.T) {
	leak.Check(t)
	s, _ := testServer(t, Config{})
	l, path := listen(t, s)
	inside := make(chan struct{})
	s.handlers["proc"] = Handler{"proc", func(ctx context.Context, _ *Env, _ []byte, _ func(any) error) error {
		close(inside)
		<-ctx.Done()
		return ctx.Err()
	}}
	go func() {
		<-inside
		l.Close()
	}()
	_, stderr, status := run(t.Context(), control.NewClient(path), "proc")
	if status != 1 || stderr != "knit: proc: interrupted: the daemon is ending\n" {
		t.Errorf("%d %q", status, stderr)
	}
}

// TestTooManyCalls: the commands under way are bounded, and those that end make room.
func TestTooManyCalls(t *testing.T) {
	leak.Check(t)
	s, _ := testServer(t, Config{})
	post := func() int {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, control.Path+"lsmod", strings.NewReader("{}")))
		return w.Code
	}
	s.calls.Store(maxCalls)
	if code := post(); code != http.StatusServiceUnavailable {
		t.Errorf("one too many: %d", code)
	}
	s.calls.Store(maxCalls - 1)
	for range 2 {
		if code := post(); code != http.StatusOK {
			t.Errorf("the last one: %d", code)
		}
	}
}

// TestUncheckedPeer: who came past the check of its user is refused.
func TestUncheckedPeer(t *testing.T) {
	s, _ := testServer(t, Config{})
	w := httptest.NewRecorder()
	refuseOthers(s).ServeHTTP(w, httptest.NewRequest(http.MethodPost, control.Path+"lsmod", strings.NewReader("{}")))
	if w.Code != http.StatusForbidden {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestCallerOfNcGoes: a listening nc ends when its caller's connection breaks, also
// when what was typed is still unread.
func TestCallerOfNcGoes(t *testing.T) {
	leak.Check(t)
	k := lab.Kernel(t, nil, "loopback", "ip4", "tcp")
	s := New(k, Config{})
	path := filepath.Join(t.TempDir(), "s")
	l, err := s.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{}, 1)
	real := s.handlers["nc"]
	s.handlers["nc"] = Handler{"nc", func(ctx context.Context, e *Env, q []byte, emit func(any) error) error {
		defer func() { ended <- struct{}{} }()
		return real.call(ctx, e, q, emit)
	}}
	served := make(chan error, 1)
	go func() { served <- l.Serve() }()
	defer func() { l.Close(); l.Release(); <-served }()
	for _, typed := range []string{"", "typed early"} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		body := `{"listen":true,"port":"99"}` + "\n" + typed
		io.WriteString(c, "POST /v1/nc HTTP/1.1\r\nHost: knit\r\nContent-Length: 1000\r\n\r\n"+body)
		var got bytes.Buffer
		for b := make([]byte, 512); !strings.Contains(got.String(), "Listening on"); {
			n, err := c.Read(b)
			if err != nil {
				t.Fatalf("%v after %s", err, &got)
			}
			got.Write(b[:n])
		}
		c.Close()
		<-ended
	}
}

// TestSpool: reading ahead loses nothing, is bounded, and tells of a broken end.
func TestSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		broken := false
		s := newSpool(r, func() { broken = true })
		sent := bytes.Repeat([]byte("0123456789abcdef"), maxSpool/8)
		go func() {
			w.Write(sent)
			w.CloseWithError(errors.New("gone"))
		}()
		synctest.Wait()
		if n := len(s.data); n < maxSpool || n > maxSpool+chunk || broken {
			t.Errorf("%d bytes read ahead, broken: %t", n, broken)
		}
		got, err := io.ReadAll(s)
		synctest.Wait()
		if !bytes.Equal(got, sent) || err == nil || err.Error() != "gone" || !broken {
			t.Errorf("read %d of %d bytes, %v, broken: %t", len(got), len(sent), err, broken)
		}
	})
}

// TestNcKeepsInputForTheNext: with -k what is typed goes to the connection of the
// moment, none of it to one that has ended.
func TestNcKeepsInputForTheNext(t *testing.T) {
	leak.Check(t)
	k := lab.Kernel(t, nil, "loopback", "ip4", "tcp")
	lo, err := k.Link.Lookup("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUp(true)
	stdin, typed := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	remarks := make(chan string)
	go func() {
		defer close(remarks)
		New(k, Config{}).Call(ctx, control.Call{
			Info: control.Nc().Info, Request: control.NcRequest{Listen: true, Keep: true, Port: "99"}, Stdin: stdin,
			Reply: func(b json.RawMessage) error {
				if strings.Contains(string(b), "remark") {
					remarks <- string(b)
				}
				return nil
			},
		})
	}()
	<-remarks // listening
	for _, word := range []string{"one", "two", "three"} {
		c, err := k.Dial("tcp", "127.0.0.1:99")
		if err != nil {
			t.Fatal(err)
		}
		<-remarks // connection received
		io.WriteString(typed, word)
		b := make([]byte, len(word))
		if _, err := io.ReadFull(c, b); err != nil || string(b) != word {
			t.Fatalf("%q, %v, want %s", b, err, word)
		}
		c.Close()
	}
	cancel()
	typed.Close()
	for range remarks {
	}
}

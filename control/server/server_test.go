package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/core/klog"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/internal/leak"
)

// patience bounds waits that end at once unless something is broken.
const patience = 30 * time.Second

// testServer returns a server for a kernel with one module, and the kernel.
func testServer(t *testing.T, cfg Config) (*Server, *knit.Kernel) {
	t.Helper()
	k, err := knit.New(knit.Config{Modules: []module.Spec{{
		Name: "sample", Params: []module.Param{module.Uint("n", 1, "a number")}, Init: func(*module.Context) error { return nil },
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return New(k, cfg), k
}

// listen serves s on a socket and returns its path.
func listen(t *testing.T, s *Server) (*Listener, string) {
	t.Helper()
	l, err := s.Listen(filepath.Join(t.TempDir(), "run", "ctl.sock"))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- l.Serve() }()
	t.Cleanup(func() {
		if err := errors.Join(l.Close(), <-served); err != nil {
			t.Error(err)
		}
		l.Release()
		if left, _ := os.ReadDir(filepath.Dir(l.Path())); len(left) > 0 {
			t.Errorf("left over: %v", left)
		}
	})
	return l, l.Path()
}

// run runs a command and returns its streams and exit status.
func run(ctx context.Context, to control.Caller, words ...string) (stdout, stderr string, status int) {
	var o, e bytes.Buffer
	status = control.Run(ctx, to, &control.Console{Stdout: &o, Stderr: &e}, words...)
	return o.String(), e.String(), status
}

// TestEveryVerbHasAHandler: the table of commands and the server's agree.
func TestEveryVerbHasAHandler(t *testing.T) {
	leak.Check(t)
	s, _ := testServer(t, Config{})
	known := make(map[string]bool)
	for _, v := range control.Verbs() {
		info := v.About()
		if known[info.Name] {
			t.Errorf("%s is there twice", info.Name)
		}
		known[info.Name] = true
		if _, ok := s.handlers[info.Name]; !ok {
			t.Errorf("%s has no handler", info.Name)
		}
		if info.Summary == "" || info.Group == "" || info.Usage == "" {
			t.Errorf("%s does not say what it is: %+v", info.Name, info)
		}
	}
	if len(known) != len(s.handlers) {
		t.Errorf("%d verbs, %d handlers", len(known), len(s.handlers))
	}
}

// TestSocketAndProcessAgree: a command does the same over the socket as in the
// process of the kernel.
func TestSocketAndProcessAgree(t *testing.T) {
	leak.Check(t)
	s, _ := testServer(t, Config{})
	_, path := listen(t, s)
	client := control.NewClient(path)
	ctx := context.Background()
	for _, words := range [][]string{
		{"modprobe", "sample", "n=2"}, {"lsmod"}, {"lsmod", "-j"}, {"dmesg", "-t"}, {"modprobe", "nosuch"}, {"rmmod", "a", "b"},
		{"modinfo", "sample"}, {"sysctl", "-a"}, {"sysctl", "nope"}, {"proc"}, {"proc", "nope"}, {"stat", "-z"}, {"save"}, {"nosuch"}, {"down"},
	} {
		o1, e1, s1 := run(ctx, s, words...)
		o2, e2, s2 := run(ctx, client, words...)
		if o1 != o2 || e1 != e2 || s1 != s2 {
			t.Errorf("%q: in process\n%s%s(%d)\nover the socket\n%s%s(%d)", words, o1, e1, s1, o2, e2, s2)
		}
	}
}

// TestFollow: dmesg -w prints what is there and what comes, and ends well when
// it is told to.
func TestFollow(t *testing.T) {
	leak.Check(t)
	s, k := testServer(t, Config{})
	_, path := listen(t, s)
	for name, to := range map[string]control.Caller{"process": s, "socket": control.NewClient(path)} {
		k.Log.Printk(klog.Info, name, "old")
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		r, w := io.Pipe()
		ended := make(chan int)
		go func() {
			ended <- control.Run(ctx, to, &control.Console{Stdout: w}, "dmesg", "-t", "-w")
			w.Close()
		}()
		wantLine(t, r, name+": old\n")
		k.Log.Printk(klog.Info, name, "new")
		wantLine(t, r, name+": new\n")
		cancel()
		if status := <-ended; status != 0 {
			t.Errorf("%s: exit status %d", name, status)
		}
		if rest, _ := io.ReadAll(r); len(rest) > 0 {
			t.Errorf("%s: %q behind the end", name, rest)
		}
		k.Log.Clear()
	}
}

func wantLine(t *testing.T, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(r, b); err != nil || string(b) != want {
		t.Fatalf("%q, %v; want %q", b, err, want)
	}
}

// TestCloseEndsStreams: a listener that closes does not wait for ever for a
// stream that nobody stops.
func TestCloseEndsStreams(t *testing.T) {
	leak.Check(t)
	s, k := testServer(t, Config{})
	k.Log.Printk(klog.Info, "", "here")
	l, path := listen(t, s)
	r, w := io.Pipe()
	ended := make(chan int)
	go func() {
		ended <- control.Run(context.Background(), control.NewClient(path), &control.Console{Stdout: w}, "dmesg", "-t", "-w")
	}()
	wantLine(t, r, "here\n")
	if err := l.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	<-ended
}

// TestReaderGone: a caller that goes away in the middle ends its stream.
func TestReaderGone(t *testing.T) {
	leak.Check(t)
	s, k := testServer(t, Config{})
	k.Log.Printk(klog.Info, "", "here")
	_, path := listen(t, s)
	wrong := errors.New("the pipe is broken")
	err := control.NewClient(path).Call(context.Background(), control.Call{
		Info: control.Dmesg().Info, Request: control.DmesgRequest{Follow: true},
		Reply: func(json.RawMessage) error { return wrong },
	})
	if !errors.Is(err, wrong) {
		t.Errorf("%v", err)
	}
}

// TestAPI holds what programs that speak HTTP rely on.
func TestAPI(t *testing.T) {
	leak.Check(t)
	s, _ := testServer(t, Config{})
	_, path := listen(t, s)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/v1/lsmod", "{}", 200, `{"reply":[]}` + "\n"},
		{"POST", "/v1/lsmod", " {\n}\n ", 200, `{"reply":[]}` + "\n"},
		{"POST", "/v1/dmesg", "{}", 200, ""},
		{"POST", "/v1/rmmod", `{"names":["x"]}`, 200, `{"error":{"text":"rmmod: ERROR: Module x is not currently loaded","status":1}}` + "\n"},
		{"POST", "/v1/nosuch", "{}", 404, `{"error":{"text":"knit: unknown command \"nosuch\"","status":1}}` + "\n"},
		{"POST", "/v2/lsmod", "{}", 404, `{"error":{`},
		{"GET", "/v1/lsmod", "", 405, `{"error":{"text":"knit: /v1/lsmod: want method POST","status":1}}` + "\n"},
		{"POST", "/v1/lsmod", "", 400, `{"error":{"text":"knit: lsmod: malformed request: want JSON","status":1}}` + "\n"},
		{"POST", "/v1/lsmod", "what", 400, `malformed request`},
		{"POST", "/v1/rmmod", `{"names":1}`, 200, `knit: rmmod: malformed request`},
	} {
		r, err := http.NewRequest(c.method, "http://knit"+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		exact := c.want == "" || strings.HasSuffix(c.want, "\n")
		if err != nil || answer.StatusCode != c.status || exact && string(got) != c.want || !strings.Contains(string(got), c.want) {
			t.Errorf("%s %s %q: %d %s %v; want %d %s", c.method, c.path, c.body, answer.StatusCode, got, err, c.status, c.want)
		}
	}
}

// TestDown: the verb down asks the program, once the answer is on its way.
func TestDown(t *testing.T) {
	leak.Check(t)
	asked := make(chan struct{}, 1)
	s, _ := testServer(t, Config{Shutdown: func() { asked <- struct{}{} }})
	_, path := listen(t, s)
	if o, e, status := run(context.Background(), control.NewClient(path), "down"); o != "" || e != "" || status != 0 {
		t.Errorf("%q %q %d", o, e, status)
	}
	<-asked
}

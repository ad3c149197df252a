package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/knitnet/knit/internal/leak"
)

// TestOneDaemon: of many that start at once one gets the socket, and the others
// hear who has it.
func TestOneDaemon(t *testing.T) {
	leak.Check(t)
	s, _ := testServer(t, Config{})
	path := filepath.Join(t.TempDir(), "ctl.sock")
	for range 20 {
		var wg sync.WaitGroup
		won := make(chan *Listener, 8)
		for range cap(won) {
			wg.Go(func() {
				l, err := s.Listen(path)
				var running *RunningError
				switch {
				case err == nil:
					won <- l
				case !errors.As(err, &running):
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		close(won)
		if len(won) != 1 {
			t.Fatalf("%d have the socket", len(won))
		}
		l := <-won
		l.Close()
		l.Release()
	}
}

// TestLockOutlivesSocket: as long as a kernel is ending, another daemon does not
// begin; who waits for the end is woken by it.
func TestLockOutlivesSocket(t *testing.T) {
	leak.Check(t)
	s, _ := testServer(t, Config{})
	path := filepath.Join(t.TempDir(), "ctl.sock")
	l, err := s.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Listen(path); err == nil || err.(*RunningError).PID != os.Getpid() {
		t.Errorf("%v, want a daemon with pid %d", err, os.Getpid())
	}
	waited := make(chan error)
	go func() { waited <- Wait(context.Background(), path) }()
	l.Release()
	if err := <-waited; err != nil {
		t.Error(err)
	}
	l, err = s.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	l.Release()
}

// TestSocketMode: 0600 in a directory of 0700.
func TestSocketMode(t *testing.T) {
	leak.Check(t)
	s, _ := testServer(t, Config{})
	_, path := listen(t, s)
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700, path + ".lock": 0o600} {
		if i, err := os.Stat(name); err != nil || i.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", name, i, err, want)
		}
	}
}

// TestMayCommand: who may command a daemon of whom.
func TestMayCommand(t *testing.T) {
	for _, c := range []struct {
		peer, own int
		ok        bool
	}{{0, 0, true}, {0, 1000, true}, {1000, 1000, true}, {1000, 0, false}, {1001, 1000, false}, {65534, 0, false}} {
		if err := mayCommand(c.peer, c.own); (err == nil) != c.ok {
			t.Errorf("uid %d to a daemon of uid %d: %v", c.peer, c.own, err)
		}
	}
}

// answerTo asks for lsmod over one connection.
func answerTo(t *testing.T, c net.Conn) (status int, body string) {
	t.Helper()
	defer c.Close()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return c, nil },
	}}
	answer, err := client.Post("http://knit/v1/lsmod", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

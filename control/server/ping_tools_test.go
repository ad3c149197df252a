package server

import (
	"bytes"
	"context"
	"strings"
	"sync"

	"github.com/knitnet/knit/control"
)

// A watcher keeps what is written to it, and calls then once a text was seen.
type watcher struct {
	until string
	then  func()

	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (w *watcher) Write(b []byte) (int, error) {
	w.mu.Lock()
	w.buf.Write(b)
	seen := w.then != nil && strings.Contains(w.buf.String(), w.until)
	then := w.then
	if seen {
		w.then = nil
	}
	w.mu.Unlock()
	if seen {
		then()
	}
	return len(b), nil
}

// String returns what was written.
func (w *watcher) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

func runTo(ctx context.Context, to control.Caller, w *watcher, words ...string) int {
	return control.Run(ctx, to, &control.Console{Stdout: w, Stderr: w}, words...)
}

package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/knitnet/knit/internal/leak"
)

// TestInterruptedInput: who reads standard input is cut off by Ctrl-C at once, and
// the daemon hears it; there is no farewell that could take its time.
func TestInterruptedInput(t *testing.T) {
	leak.Check(t)
	dir, err := os.MkdirTemp("", "knit")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	cut := make(chan error, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		rc.EnableFullDuplex()
		w.Header().Set("Content-Type", ContentType)
		w.Write([]byte(`{"reply":{}}` + "\n"))
		rc.Flush()
		_, err := io.Copy(io.Discard, r.Body)
		cut <- err
		<-r.Context().Done()
	})}
	go srv.Serve(ln)
	defer srv.Close()

	c := NewClient(path)
	c.farewell = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdin, typed := io.Pipe()
	defer typed.Close()
	err = c.Call(ctx, Call{Info: Info{Name: "nc", Stdin: true}, Request: struct{}{}, Stdin: stdin, Reply: func(json.RawMessage) error {
		cancel()
		return nil
	}})
	if !errors.Is(err, context.Canceled) || asError(err).Status != interrupted {
		t.Errorf("Call: %v", err)
	}
	if err := <-cut; err == nil {
		t.Error("the daemon saw the end of the input in place of a broken connection")
	}
}

package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/knitnet/knit/control"
)

const (
	// maxRequest bounds a request in bytes.
	maxRequest = 32 << 20
	// maxCalls bounds the commands under way, most of which are streams.
	maxCalls = 1024
)

// ServeHTTP answers the API that package control describes. It checks nobody's
// identity: see Listen.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := &lines{w: w, flush: http.NewResponseController(w)}
	w.Header().Set("Content-Type", control.ContentType)
	name, ok := strings.CutPrefix(r.URL.Path, control.Path)
	h, found := s.handlers[name]
	switch {
	case !ok || !found:
		out.fail(http.StatusNotFound, unknown(name))
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		out.fail(http.StatusMethodNotAllowed, control.Errorf(1, "knit: %s: want method POST", r.URL.Path))
		return
	}
	if s.calls.Add(1) > maxCalls {
		out.fail(http.StatusServiceUnavailable, control.Errorf(1, "knit: %s: more than %d commands at once", name, maxCalls))
		s.calls.Add(-1)
		return
	}
	defer s.calls.Add(-1)
	out.flush.SetReadDeadline(time.Now().Add(headerTimeout))
	request, rest, err := readRequest(r.Body)
	if err != nil {
		out.fail(http.StatusBadRequest, control.Errorf(1, "knit: %s: malformed request: %v", name, err))
		return
	}
	out.flush.SetReadDeadline(time.Time{})
	s.serve(out, r, h, request, rest)
}

// serve runs the handler and writes what it says.
func (s *Server) serve(out *lines, r *http.Request, h Handler, request []byte, rest io.Reader) {
	info := about(h.name)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if info.Stream || info.Stdin {
		// The answer begins while the body goes on.
		if err := out.flush.EnableFullDuplex(); err != nil {
			out.fail(http.StatusInternalServerError, err)
			return
		}
		out.begin()
		switch {
		case info.Stdin:
			sp := newSpool(rest, cancel)
			defer sp.close()
			rest = sp
		case r.ContentLength < 0:
			go func() {
				defer cancel()
				io.Copy(io.Discard, rest)
			}()
		}
	}
	switch err := s.invoke(ctx, h, rest, request, func(reply any) error { return out.reply(reply) }); {
	case err == nil:
	case ctx.Err() == nil || !isEnd(err):
		out.fail(http.StatusOK, err)
	case !info.Stream && !info.Stdin: // cut off, which its caller must hear if it is still there
		out.fail(http.StatusOK, control.Errorf(1, "knit: %s: interrupted: the daemon is ending", h.name))
	}
}

// isEnd reports whether err only says that the context has ended.
func isEnd(err error) bool { return errors.Is(err, context.Canceled) }

func about(name string) control.Info {
	if v, ok := control.Lookup(name); ok {
		return v.About()
	}
	return control.Info{Name: name}
}

// readRequest splits the body: one JSON value, a newline if there is one, and
// the rest.
func readRequest(body io.Reader) (request json.RawMessage, rest io.Reader, err error) {
	d := json.NewDecoder(io.LimitReader(body, maxRequest))
	if err := d.Decode(&request); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("want JSON")
		}
		return nil, nil, err
	}
	return request, &afterNewline{r: bufio.NewReader(io.MultiReader(d.Buffered(), body))}, nil
}

// afterNewline reads r without the newline that it may begin with.
type afterNewline struct {
	r    *bufio.Reader
	once sync.Once
}

func (a *afterNewline) Read(b []byte) (int, error) {
	a.once.Do(func() {
		if c, err := a.r.ReadByte(); err == nil && c != '\n' {
			a.r.UnreadByte()
		}
	})
	return a.r.Read(b)
}

// lines writes the answer. Handlers may emit from several goroutines.
type lines struct {
	mu    sync.Mutex
	w     http.ResponseWriter
	flush *http.ResponseController
}

// begin sends the head of the answer.
func (l *lines) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.w.WriteHeader(http.StatusOK)
	l.flush.Flush()
}

func (l *lines) reply(r any) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return l.write(control.Line{Reply: raw})
}

func (l *lines) write(line control.Line) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := json.NewEncoder(l.w).Encode(line); err != nil {
		return err
	}
	return l.flush.Flush()
}

// fail ends the answer with an error; the HTTP status counts if nothing has been
// sent before.
func (l *lines) fail(status int, err error) {
	if status != http.StatusOK {
		l.w.WriteHeader(status)
	}
	var e *control.Error
	if !errors.As(err, &e) {
		e = control.Errorf(1, "%v", err)
	}
	l.write(control.Line{Error: e})
}

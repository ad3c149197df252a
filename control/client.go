package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// The API: POST to Path + verb, with the request as the first JSON value of the
// body. The answer has one JSON object a line: {"reply": ...} any number of
// times, then nothing or {"error": {"text": ..., "status": ...}}.
//
// A body of unknown length (chunked) says more than the request: its end tells a
// streaming verb to finish, and what is in it is the standard input of verbs that
// read one. With a Content-Length a stream goes on until the connection ends. A connection that
// ends in the middle of its body cuts off every verb that reads one.
const (
	// Path is where verbs begin.
	Path = "/v1/"
	// ContentType is that of the answer.
	ContentType = "application/x-ndjson"
)

// A Line is one line of the answer.
type Line struct {
	Reply json.RawMessage `json:"reply,omitempty"`
	Error *Error          `json:"error,omitempty"`
}

// A Client talks to the daemon behind a Unix socket. It holds no connection, so
// it needs no closing. It may be used concurrently.
type Client struct {
	path     string
	farewell time.Duration
	http     http.Client
}

// NewClient returns a client for the socket at path; see SocketPath.
func NewClient(path string) *Client {
	c := &Client{path: path, farewell: farewell}
	c.http.Transport = &http.Transport{
		DisableKeepAlives:  true,
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if err := checkSocket(path); err != nil {
				return nil, err
			}
			conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
			if err != nil {
				return nil, err
			}
			return patientConn{conn}, nil
		},
	}
	return c
}

// farewell is how long a streaming verb may take to finish when it was told to. Verbs
// that read standard input are cut off.
const farewell = 5 * time.Second

// Call implements Caller.
func (c *Client) Call(ctx context.Context, call Call) error {
	request, err := json.Marshal(call.Request)
	if err != nil {
		return err
	}
	request = append(request, '\n')
	stream := call.Stream || call.Info.Stdin
	if !stream {
		return c.post(ctx, call, bytes.NewReader(request))
	}
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	body, w := io.Pipe()
	defer body.Close()
	defer context.AfterFunc(ctx, func() {
		if call.Info.Stdin { // the end of the input is no farewell: nc goes on reading
			cancel()
			return
		}
		w.Close()
		context.AfterFunc(timeout(hard, c.farewell), cancel)
	})()
	go func() {
		w.Write(request)
		if call.Info.Stdin {
			if call.Stdin != nil {
				io.Copy(w, call.Stdin)
			}
			w.Close()
		}
	}()
	return c.post(hard, call, body)
}

// timeout returns a context that ends after d, or with parent.
func timeout(parent context.Context, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(parent, d)
	context.AfterFunc(ctx, cancel)
	return ctx
}

func (c *Client) post(ctx context.Context, call Call, body io.Reader) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://knit"+Path+call.Name, body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.http.Do(r)
	if err != nil {
		return c.explain(err)
	}
	defer answer.Body.Close()
	if t := answer.Header.Get("Content-Type"); t != ContentType {
		return Errorf(1, "knit: what listens at %s is no knit daemon (%s)", c.path, answer.Status)
	}
	return ReadLines(answer.Body, call.Reply)
}

// ReadLines passes the replies in r to reply, and returns the error in it.
func ReadLines(r io.Reader, reply func(json.RawMessage) error) error {
	for d := json.NewDecoder(r); ; {
		var l Line
		switch err := d.Decode(&l); {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
			return Errorf(1, "knit: the daemon has gone")
		case err != nil:
			return err
		case l.Error != nil:
			return l.Error
		}
		if err := reply(l.Reply); err != nil {
			return err
		}
	}
}

// explain says what to do about a daemon that cannot be reached.
func (c *Client) explain(err error) error {
	var socket *SocketError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &socket):
		return Errorf(1, "knit: %s", socket)
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return &NoDaemonError{Path: c.path}
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return Errorf(1, "knit: the daemon at %s belongs to another user", c.path)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return Errorf(1, "knit: %s: %v", c.path, op.Err)
	}
	return Errorf(1, "knit: %v", err)
}

// A NoDaemonError says that nobody listens at the socket.
type NoDaemonError struct{ Path string }

// Error says how to start one.
func (e *NoDaemonError) Error() string {
	return fmt.Sprintf("knit: no daemon is running at %s: start one with \"knit up\"", e.Path)
}

// A patientConn goes on after the server has stopped reading. A handler that has
// finished does not want the rest of the input, and what it replied is still there
// to read.
type patientConn struct{ net.Conn }

// Write implements net.Conn.
func (c patientConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return len(b), nil
	}
	return n, err
}

// Package server binds the verbs of package control to a kernel: over HTTP on a
// Unix socket, and in this process.
package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/control"
)

// Config is what a Server needs beside its kernel. The zero Config is a kernel
// that no command can end.
type Config struct {
	// Shutdown is called, once, by the verb down: it asks the program to end
	// the server and the kernel, and returns at once.
	Shutdown func()
}

// A Server runs commands on a kernel. Its methods are safe for concurrent use.
type Server struct {
	kernel   *knit.Kernel
	config   Config
	handlers map[string]Handler
	joined   memberships
	calls    atomic.Int64 // under way over HTTP
}

// New returns a server for k.
func New(k *knit.Kernel, cfg Config) *Server {
	s := &Server{kernel: k, config: cfg, handlers: make(map[string]Handler)}
	for _, h := range handlers() {
		s.handlers[h.name] = h
	}
	return s
}

// An Env is what a handler works with.
type Env struct {
	Kernel *knit.Kernel
	// Stdin is the user's standard input, for verbs that read it; else empty.
	Stdin io.Reader

	config Config
	joined *memberships // by the verb ip
}

// A Handler does the work of one verb.
type Handler struct {
	name string
	call func(ctx context.Context, e *Env, request []byte, emit func(any) error) error
}

// Handle makes a handler of f for v. f is called concurrently. It passes replies
// to emit, whose error - the caller is gone - it returns. The end of ctx asks it
// to finish. Errors that are no *control.Error get exit status 1.
func Handle[Req, Reply any](v *control.Verb[Req, Reply], f func(ctx context.Context, e *Env, q Req, emit func(Reply) error) error) Handler {
	return Handler{v.Name, func(ctx context.Context, e *Env, request []byte, emit func(any) error) error {
		var q Req
		if err := json.Unmarshal(request, &q); err != nil {
			return fmt.Errorf("knit: %s: malformed request: %w", v.Name, err)
		}
		return f(ctx, e, q, func(r Reply) error { return emit(r) })
	}}
}

// Call implements control.Caller in this process. Requests and replies pass
// through JSON, as on the socket.
func (s *Server) Call(ctx context.Context, c control.Call) error {
	request, err := json.Marshal(c.Request)
	if err != nil {
		return err
	}
	h, ok := s.handlers[c.Name]
	if !ok {
		return unknown(c.Name)
	}
	err = s.invoke(ctx, h, c.Stdin, request, func(r any) error {
		raw, err := json.Marshal(r)
		if err != nil {
			return err
		}
		return c.Reply(raw)
	})
	if (c.Stream || c.Info.Stdin) && ctx.Err() != nil && isEnd(err) {
		return nil
	}
	return err
}

// invoke runs a handler. One that panics fails, and leaves an entry in dmesg.
func (s *Server) invoke(ctx context.Context, h Handler, stdin io.Reader, request []byte, emit func(any) error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			s.kernel.Log.Module("").Oops("the command "+h.name, reason)
			err = control.Errorf(1, "knit: %s: a bug in the daemon: %v: dmesg says where", h.name, reason)
		}
	}()
	return h.call(ctx, s.env(stdin), request, emit)
}

func (s *Server) env(stdin io.Reader) *Env {
	if stdin == nil {
		stdin = eof{}
	}
	return &Env{Kernel: s.kernel, Stdin: stdin, config: s.config, joined: &s.joined}
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

func unknown(name string) error { return control.Errorf(1, "knit: unknown command %q", name) }

// Run runs one command in this process and returns its exit status.
func (s *Server) Run(ctx context.Context, c *control.Console, words ...string) (status int) {
	return control.Run(ctx, s, c, words...)
}

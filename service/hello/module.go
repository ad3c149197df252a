// Package hello is the sample module: a TCP service inside the kernel that thanks
// every caller and logs what it was told. docs/writing-a-module.md builds it step
// by step.
package hello

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/socket"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "hello",
	Version:     "1.0",
	Description: "a sample service that thanks its callers",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Depends:     []string{"tcp"},
	Params: []module.Param{
		module.Uint("port", 8000, "TCP port to listen on").Range(1, 65535),
		module.String("greeting", "Thank you for your message!", "what callers are answered").Writable(),
		module.String("request", "", "HOST:PORT to call once at load"),
	},
	Init: start,
}

// patience is how long a caller may take to speak, and an answer to come.
const patience = 10 * time.Second

func start(c *module.Context) error {
	sockets, err := module.Import[*socket.Sockets](c, socket.Symbol)
	if err != nil {
		return err
	}
	ln, err := sockets.Listen("tcp", fmt.Sprint(":", c.Uint("port")))
	if err != nil {
		return err
	}
	c.Cleanup(func() { ln.Close() })
	c.Go(func(context.Context) { serve(c, ln) })
	if to := c.String("request"); to != "" {
		c.Go(func(ctx context.Context) { request(ctx, c, sockets, to) })
	}
	c.Log().Info("listening on port %d", c.Uint("port"))
	return nil
}

// serve answers callers until the listener is closed.
func serve(c *module.Context, ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		done := c.Own("connection", func() { conn.Close() })
		c.Go(func(context.Context) {
			defer done()
			answer(c, conn)
		})
	}
}

// answer thanks one caller, and a browser in its own language.
func answer(c *module.Context, conn net.Conn) {
	conn.SetDeadline(time.Now().Add(patience))
	buf := make([]byte, 1024)
	n, err := conn.Read(buf)
	if err != nil {
		return
	}
	said := string(buf[:n])
	line, _, _ := strings.Cut(said, "\r\n")
	c.Log().Info("%v said %q", conn.RemoteAddr(), line)
	reply := c.String("greeting") + "\n"
	if strings.HasSuffix(line, "HTTP/1.1") || strings.HasSuffix(line, "HTTP/1.0") {
		reply = fmt.Sprintf("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(reply), reply)
	}
	fmt.Fprint(conn, reply)
}

// request calls a service elsewhere and logs its answer.
func request(ctx context.Context, c *module.Context, sockets *socket.Sockets, to string) {
	conn, err := sockets.DialContext(ctx, "tcp", to)
	if err != nil {
		c.Log().Warn("request: %v", err)
		return
	}
	defer c.Own("connection", func() { conn.Close() })()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "hello from inside the kernel\n")
	buf := make([]byte, 1024)
	n, err := conn.Read(buf)
	if err != nil {
		c.Log().Warn("request: %v", err)
		return
	}
	c.Log().Info("%v answered %q", to, strings.TrimSpace(string(buf[:n])))
}

package knit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"syscall"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/std"
)

// A kernel begins with nothing loaded. A module brings along what it needs.
func ExampleNew() {
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
	if err := k.Modprobe(context.Background(), "udp"); err != nil {
		log.Fatal(err)
	}
	_, ok := k.Modules.Loaded("ip4")
	fmt.Println("ip4 is loaded:", ok)
	// Output:
	// ip4 is loaded: true
}

// A socket inside a kernel is a net.Conn.
func ExampleKernel_Dial() {
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
	ln, err := k.Listen("tcp", "127.0.0.1:7") // loads tcp
	if err != nil {
		log.Fatal(err)
	}
	go func() { // echoes
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		io.Copy(conn, conn)
		conn.Close()
	}()
	conn, err := k.Dial("tcp", "127.0.0.1:7")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(conn, "ping")
	buf := make([]byte, 4)
	if _, err := io.ReadFull(conn, buf); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s from %v\n", buf, conn.RemoteAddr())
	conn.Close()
	// Output:
	// ping from 127.0.0.1:7
}

// Errors are those of package net around the errno that Linux would give.
func ExampleKernel_DialContext() {
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
	_, err = k.DialContext(context.Background(), "tcp", "127.0.0.1:80")
	fmt.Println(err)
	fmt.Println(errors.Is(err, syscall.ECONNREFUSED))

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = k.DialContext(ctx, "tcp", "192.0.2.1:80")
	var op *net.OpError
	fmt.Println(errors.As(err, &op))
	// Output:
	// dial tcp 127.0.0.1:80: connect: connection refused
	// true
	// true
}

// A server of package net/http needs nothing but the listener.
func ExampleKernel_Listen() {
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
	ln, err := k.Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "you asked for %s", r.URL.Path)
	})}
	go server.Serve(ln)
	defer server.Close()

	client := http.Client{Transport: &http.Transport{DialContext: k.DialContext}}
	defer client.CloseIdleConnections()
	answer, err := client.Get("http://127.0.0.1/index.html")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Status, string(body))
	// Output:
	// 200 OK you asked for /index.html
}

func ExampleKernel_ListenPacket() {
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
	server, err := k.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client, err := k.Dial("udp", "127.0.0.1:53")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Fprint(client, "what time is it?")

	buf := make([]byte, 1500)
	n, from, err := server.ReadFrom(buf)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(buf[:n]))
	server.WriteTo([]byte("noon"), from)
	if n, err = client.Read(buf); err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(buf[:n]))
	// Output:
	// what time is it?
	// noon
}

// Two kernels of one process, joined by a pipe: packets pass by reference.
func ExampleKernel_Join() {
	var kernels [2]*knit.Kernel
	for i := range kernels {
		k, err := knit.New(knit.Config{Modules: std.Modules()})
		if err != nil {
			log.Fatal(err)
		}
		defer k.Close()
		if err := k.Modprobe(context.Background(), "tcp"); err != nil {
			log.Fatal(err)
		}
		kernels[i] = k
	}
	a, b := kernels[0], kernels[1]
	x, y, err := a.Join(b, link.PipeConfig{A: "to-b", B: "to-a"})
	if err != nil {
		log.Fatal(err)
	}
	if err := a.AddAddr(x.Name(), netip.MustParsePrefix("10.0.0.1/24")); err != nil {
		log.Fatal(err)
	}
	if err := b.AddAddr(y.Name(), netip.MustParsePrefix("10.0.0.2/24")); err != nil {
		log.Fatal(err)
	}
	ln, err := b.Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		fmt.Fprintf(conn, "hello, %v", conn.RemoteAddr().(*net.TCPAddr).IP)
		conn.Close()
	}()
	conn, err := a.Dial("tcp", "10.0.0.2:80")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	text, err := io.ReadAll(conn)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
	// Output:
	// hello, 10.0.0.1
}

// Modules are loaded with parameters, and refuse to go while something uses them.
func ExampleKernel_Modprobe() {
	ctx := context.Background()
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
	fmt.Println(k.Modprobe(ctx, "hello", "port=99999"))
	fmt.Println(k.Modprobe(ctx, "hello", "port=8000", "greeting=Moin"))
	conn, err := k.Dial("tcp", "127.0.0.1:8000")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(conn, "hi")
	text, err := io.ReadAll(conn)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(text))
	conn.Close()
	// Output:
	// could not insert 'hello': hello: '99999' invalid for parameter 'port': want an unsigned integer from 1 to 65535
	// <nil>
	// Moin
}

func ExampleKernel_Rmmod() {
	ctx := context.Background()
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
	if err := k.Modprobe(ctx, "hello"); err != nil {
		log.Fatal(err)
	}
	err = k.Rmmod(ctx, "tcp")
	fmt.Println(errors.Is(err, module.ErrInUse))
	fmt.Println(k.Rmmod(ctx, "hello"))
	_, err = k.Dial("tcp", "127.0.0.1:8000")
	fmt.Println(err)
	fmt.Println(k.Rmmod(ctx, "tcp"))
	// Output:
	// true
	// <nil>
	// dial tcp 127.0.0.1:8000: connect: connection refused
	// <nil>
}

// A module of your own that drops packets: it hooks in when it is loaded, and the
// kernel unhooks it when it is unloaded.
func Example_hook() {
	ctx := context.Background()
	deny := module.Spec{
		Name:   "deny",
		Params: []module.Param{module.Addr("from", netip.Addr{}, "whose packets are dropped")},
		Init: func(c *module.Context) error {
			n, err := module.Import[*network.Layer](c, network.Symbol)
			if err != nil {
				return err
			}
			from := c.Addr("from").As4()
			c.Cleanup(n.Hooks[network.V4].Input.Add(hook.Entry{
				Owner: c.Name(), Priority: hook.Filter,
				Func: func(pkt *packet.Packet) hook.Verdict {
					if [4]byte(pkt.Head()[12:16]) == from {
						return hook.Drop
					}
					return hook.Accept
				},
			}))
			return nil
		},
	}
	k, err := knit.New(knit.Config{Modules: append(std.Modules(), deny)})
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
	if err := k.Modprobe(ctx, "udp"); err != nil {
		log.Fatal(err)
	}
	if err := k.AddAddr("lo", netip.MustParsePrefix("192.0.2.1/32")); err != nil {
		log.Fatal(err)
	}
	server, err := k.ListenPacket("udp", "192.0.2.1:53")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client, err := k.Dial("udp", "192.0.2.1:53")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	if err := k.Modprobe(ctx, "deny", "from=192.0.2.1"); err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(client, "denied")
	if err := k.Rmmod(ctx, "deny"); err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(client, "allowed")
	buf := make([]byte, 1500)
	n, _, err := server.ReadFrom(buf)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(buf[:n]))
	// Output:
	// allowed
}

package knit_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/std"
)

// LookupHost gives a kernel names. This one knows two.
func ExampleConfig() {
	hosts := map[string]string{"www.example": "127.0.0.1", "old.example": "192.0.2.80"}
	k, err := knit.New(knit.Config{
		Modules: std.Modules(),
		LookupHost: func(_ context.Context, host string) ([]netip.Addr, error) {
			addr, ok := hosts[host]
			if !ok {
				return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
			}
			return []netip.Addr{netip.MustParseAddr(addr)}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
	ln, err := k.Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	conn, err := k.Dial("tcp", "www.example:80")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Println(conn.RemoteAddr())
	_, err = k.Dial("tcp", "new.example:80")
	fmt.Println(err)
	// Output:
	// 127.0.0.1:80
	// dial tcp: lookup new.example: no such host
}

// Names can be asked for over the kernel's own network.
func ExampleConfig_resolver() {
	var k *knit.Kernel
	resolver := &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return k.DialContext(ctx, network, "10.0.2.3:53") // the server to ask
		},
	}
	k, err := knit.New(knit.Config{
		Modules: std.Modules(),
		LookupHost: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return resolver.LookupNetIP(ctx, "ip", host)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
}

// A server that the host's own programs reach through a TUN. It needs the right to
// make one (CAP_NET_ADMIN).
func Example_tun() {
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
	dev, err := k.Link.Create("tun", "tun0", nil) // loads tun; makes tun0 here and on the host
	if err != nil {
		log.Fatal(err)
	}
	if err := k.Modprobe(context.Background(), "tcp"); err != nil {
		log.Fatal(err)
	}
	if err := k.AddAddr(dev.Name(), netip.MustParsePrefix("10.9.0.2/24")); err != nil {
		log.Fatal(err)
	}
	ln, err := k.Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s\n", r.RemoteAddr)
	})))
}

// What a client of package net/http sends leaves by the kernel.
func Example_client() {
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
	// Carry what leaves the kernel over the host's own sockets. The kernel needs an
	// address to send from.
	if err := k.Modprobe(context.Background(), "uplink"); err != nil {
		log.Fatal(err)
	}
	if err := k.AddAddr("lo", netip.MustParsePrefix("10.0.0.1/32")); err != nil {
		log.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DialContext: k.DialContext}}
	answer, err := client.Get("http://192.0.2.1/")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	io.Copy(log.Writer(), answer.Body)
}

// A device over a descriptor that somebody else opened.
func Example_attach() {
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
	if err := k.Modprobe(context.Background(), "tun"); err != nil {
		log.Fatal(err)
	}
	attach, ok := module.Find[link.AttachFunc](k.Modules, link.TUNAttachSymbol)
	if !ok {
		log.Fatal("module tun exports no ", link.TUNAttachSymbol)
	}
	queue := os.NewFile(3, "tun") // inherited; a TUN with the virtio-net header
	dev, err := attach(link.AttachConfig{Name: "vpn0", Files: []*os.File{queue}, VNetHdrLen: 10})
	if err != nil {
		log.Fatal(err)
	}
	if err := k.AddAddr(dev.Name(), netip.MustParsePrefix("10.9.0.2/24")); err != nil {
		log.Fatal(err)
	}
}

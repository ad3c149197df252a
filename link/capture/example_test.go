package capture_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/link/capture"
	"github.com/knitnet/knit/std"
	"github.com/knitnet/knit/wire"
)

// What passes a device, in a file that Wireshark reads, and read again here.
func ExampleStart() {
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
	if err := k.Modprobe(context.Background(), "udp"); err != nil {
		log.Fatal(err)
	}
	lo, err := k.Link.Lookup("lo")
	if err != nil {
		log.Fatal(err)
	}
	var file bytes.Buffer
	c, err := capture.Start(&file, capture.Options{Direction: capture.In}, lo)
	if err != nil {
		log.Fatal(err)
	}
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
	fmt.Fprint(client, "hello")
	if _, _, err := server.ReadFrom(make([]byte, 10)); err != nil {
		log.Fatal(err)
	}
	if err := c.Stop(); err != nil {
		log.Fatal(err)
	}

	r, err := capture.NewReader(&file)
	if err != nil {
		log.Fatal(err)
	}
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		if h, ok := wire.ParseIPv4(record.Data); ok {
			fmt.Println(h.Src(), h.Dst(), len(record.Data), "bytes")
		}
	}
	// Output:
	// 127.0.0.1 127.0.0.1 33 bytes
}

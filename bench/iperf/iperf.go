// Package iperf is the server's side of iperf3 over any net.Listener, so that
// the real client can measure a stack that no real server can run on. It knows
// TCP tests in either direction, with any number of streams.
package iperf

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
)

// Port is where iperf3 servers listen.
const Port = 5201

// A state is the byte by which one side tells the other how far the test is.
type state byte

const (
	testStart       state = 1
	testRunning     state = 2
	testEnd         state = 4
	paramExchange   state = 9
	createStreams   state = 10
	exchangeResults state = 13
	displayResults  state = 14
	done            state = 16
)

const (
	cookieLen  = 37 // 36 characters and a NUL
	maxMessage = 1 << 20
)

// params is the part of the client's parameters that a server needs.
type params struct {
	Parallel int
	Reverse  bool
	UDP      bool
	Bidir    bool `json:"bidirectional"`
	Len      int
}

// Serve runs one test after the other until the listener is closed, and then
// returns nil. A test that fails ends with its connections.
func Serve(l net.Listener) error {
	for {
		control, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		serveTest(l, control)
	}
}

// serveTest runs the test that the client on control asks for.
func serveTest(l net.Listener, control net.Conn) error {
	t := &test{control: control}
	defer t.close()
	if err := t.negotiate(); err != nil {
		return err
	}
	if err := t.accept(l); err != nil {
		return err
	}
	for _, s := range []state{testStart, testRunning} {
		if err := t.send(s); err != nil {
			return err
		}
	}
	t.run()
	if err := t.expect(testEnd); err != nil {
		return err
	}
	t.end()
	return t.report()
}

type test struct {
	control net.Conn
	cookie  [cookieLen]byte
	params  params
	streams []*stream
}

func (t *test) close() {
	t.control.Close()
	for _, s := range t.streams {
		s.conn.Close()
	}
}

func (t *test) negotiate() error {
	if _, err := io.ReadFull(t.control, t.cookie[:]); err != nil {
		return fmt.Errorf("read the cookie: %w", err)
	}
	if err := t.send(paramExchange); err != nil {
		return err
	}
	if err := readJSON(t.control, &t.params); err != nil {
		return fmt.Errorf("read the parameters: %w", err)
	}
	if t.params.UDP || t.params.Bidir {
		return errors.New("only TCP in one direction is served")
	}
	t.params.Parallel = max(t.params.Parallel, 1)
	if t.params.Len < 1 || t.params.Len > maxMessage {
		t.params.Len = 128 << 10
	}
	return nil
}

// accept waits for the client's streams, which show its cookie.
func (t *test) accept(l net.Listener) error {
	if err := t.send(createStreams); err != nil {
		return err
	}
	for len(t.streams) < t.params.Parallel {
		c, err := l.Accept()
		if err != nil {
			return fmt.Errorf("accept a stream: %w", err)
		}
		var cookie [cookieLen]byte
		if _, err := io.ReadFull(c, cookie[:]); err != nil || cookie != t.cookie {
			c.Close()
			return errors.New("a stream of another test")
		}
		t.streams = append(t.streams, newStream(c))
	}
	return nil
}

func (t *test) run() {
	for _, s := range t.streams {
		if t.params.Reverse {
			go s.pour(t.params.Len)
		} else {
			go s.drain(t.params.Len)
		}
	}
}

// end stops the streams and waits for their goroutines.
func (t *test) end() {
	for _, s := range t.streams {
		s.stop()
	}
}

func (t *test) send(s state) error {
	if _, err := t.control.Write([]byte{byte(s)}); err != nil {
		return fmt.Errorf("send state %d: %w", s, err)
	}
	return nil
}

func (t *test) expect(want state) error {
	var b [1]byte
	if _, err := io.ReadFull(t.control, b[:]); err != nil {
		return fmt.Errorf("wait for state %d: %w", want, err)
	}
	if got := state(b[0]); got != want {
		return fmt.Errorf("state %d, want %d", got, want)
	}
	return nil
}

// readJSON reads a message: its length in four bytes, then JSON.
func readJSON(r io.Reader, v any) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxMessage {
		return fmt.Errorf("message of %d bytes", n)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

func writeJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	return err
}

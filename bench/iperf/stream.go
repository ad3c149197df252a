package iperf

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// A stream is one connection that carries the test's bytes.
type stream struct {
	conn   net.Conn
	bytes  atomic.Uint64
	began  time.Time
	lasted time.Duration // set by stop
	done   chan struct{}
}

func newStream(c net.Conn) *stream {
	return &stream{conn: c, began: time.Now(), done: make(chan struct{})}
}

// drain reads until the stream is stopped or the client ends it; then it ends the
// other direction too.
func (s *stream) drain(size int) {
	defer close(s.done)
	buf := make([]byte, size)
	for {
		n, err := s.conn.Read(buf)
		s.bytes.Add(uint64(n))
		if err == io.EOF {
			s.conn.Close()
		}
		if err != nil {
			return
		}
	}
}

// pour writes until the stream is stopped or the client ends it.
func (s *stream) pour(size int) {
	defer close(s.done)
	buf := make([]byte, size)
	for {
		n, err := s.conn.Write(buf)
		s.bytes.Add(uint64(n))
		if err != nil {
			return
		}
	}
}

// stop ends the stream. Its connection is closed before the client closes its own,
// because an iperf3 that has read part of a block sits waiting for the rest of it,
// and would not see on the control connection that the test is over.
func (s *stream) stop() {
	s.lasted = time.Since(s.began)
	s.conn.Close()
	<-s.done
}

// The messages by which the two sides tell each other what they counted.
type (
	results struct {
		CPUTotal     float64  `json:"cpu_util_total"`
		CPUUser      float64  `json:"cpu_util_user"`
		CPUSystem    float64  `json:"cpu_util_system"`
		Retransmits  int      `json:"sender_has_retransmits"`
		StreamCounts []counts `json:"streams"`
	}
	counts struct {
		ID          int     `json:"id"`
		Bytes       uint64  `json:"bytes"`
		Retransmits int     `json:"retransmits"`
		Jitter      float64 `json:"jitter"`
		Errors      int     `json:"errors"`
		Packets     int     `json:"packets"`
		Start       float64 `json:"start_time"`
		End         float64 `json:"end_time"`
	}
)

// report trades results with the client and says goodbye.
func (t *test) report() error {
	if err := t.send(exchangeResults); err != nil {
		return err
	}
	var theirs json.RawMessage
	if err := readJSON(t.control, &theirs); err != nil {
		return fmt.Errorf("read the results: %w", err)
	}
	const unknown = -1
	mine := results{Retransmits: unknown}
	for i, s := range t.streams {
		mine.StreamCounts = append(mine.StreamCounts, counts{
			ID: streamID(i), Bytes: s.bytes.Load(), Retransmits: unknown, End: s.lasted.Seconds(),
		})
	}
	if err := writeJSON(t.control, mine); err != nil {
		return fmt.Errorf("send the results: %w", err)
	}
	if err := t.send(displayResults); err != nil {
		return err
	}
	return t.expect(done)
}

// streamID is the number that iperf3 gives its i-th stream: 1, 3, 4, 5 and on.
func streamID(i int) int {
	if i == 0 {
		return 1
	}
	return i + 2
}

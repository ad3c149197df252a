package server

import (
	"io"
	"sync"
)

// A spool reads ahead, so that who has gone is noticed also while nobody wants the
// input: nc that listens reads none before somebody calls.
type spool struct {
	mu     sync.Mutex
	change sync.Cond
	data   []byte
	err    error // why there is no more behind data
	closed bool
}

// maxSpool bounds what is read ahead in bytes. Behind it the writer waits.
const maxSpool = 1 << 20

// newSpool reads r until it ends or the spool is closed. broken is called if it
// ends otherwise than with io.EOF.
func newSpool(r io.Reader, broken func()) *spool {
	s := new(spool)
	s.change.L = &s.mu
	go s.fill(r, broken)
	return s
}

func (s *spool) fill(r io.Reader, broken func()) {
	buf := make([]byte, chunk)
	for s.room() {
		n, err := r.Read(buf)
		s.mu.Lock()
		s.data, s.err = append(s.data, buf[:n]...), err
		s.mu.Unlock()
		s.change.Broadcast()
		if err == io.EOF {
			return
		}
		if err != nil {
			broken()
			return
		}
	}
}

// room waits for space and reports whether there will be a reader.
func (s *spool) room() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.data) >= maxSpool && !s.closed {
		s.change.Wait()
	}
	return !s.closed
}

// Read implements io.Reader.
func (s *spool) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.data) == 0 && s.err == nil && !s.closed {
		s.change.Wait()
	}
	switch {
	case s.closed:
		return 0, io.ErrClosedPipe
	case len(s.data) == 0:
		return 0, s.err
	}
	n := copy(b, s.data)
	s.data = s.data[n:]
	s.change.Broadcast()
	return n, nil
}

// close wakes everybody; what was not read is lost.
func (s *spool) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.change.Broadcast()
}

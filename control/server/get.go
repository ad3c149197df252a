package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/control"
)

func get() Handler {
	return Handle(control.Get(), func(ctx context.Context, e *Env, q control.GetRequest, emit func(control.GetReply) error) error {
		if q.Timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, q.Timeout)
			defer cancel()
		}
		return fetch(ctx, e.Kernel, q, emit)
	})
}

// chunk is how much of a body goes into one reply.
const chunk = 64 << 10

func fetch(ctx context.Context, k *knit.Kernel, q control.GetRequest, emit func(control.GetReply) error) error {
	method := q.Method
	if method == "" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(ctx, method, q.URL, bytes.NewReader(q.Body))
	if err != nil {
		return control.Errorf(3, "get: (3) %v", err)
	}
	for _, h := range q.Headers {
		name, value, _ := strings.Cut(h, ":")
		r.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	client := getClient(k, q)
	defer client.CloseIdleConnections()
	resp, err := client.Do(r)
	if err != nil {
		return getError(q.URL, err)
	}
	defer resp.Body.Close()
	if q.Fail && resp.StatusCode >= 400 {
		return control.Errorf(22, "get: (22) The requested URL returned error: %d", resp.StatusCode)
	}
	if err := emit(control.GetReply{Proto: resp.Proto, Status: resp.Status, Header: resp.Header}); err != nil {
		return err
	}
	for buf := make([]byte, chunk); ; {
		n, rerr := resp.Body.Read(buf)
		if n > 0 {
			if err := emit(control.GetReply{Data: buf[:n]}); err != nil {
				return err
			}
		}
		switch {
		case rerr == io.EOF:
			return nil
		case rerr != nil:
			return getError(q.URL, rerr)
		}
	}
}

// getClient is an unchanged http.Client over the kernel's connections.
func getClient(k *knit.Kernel, q control.GetRequest) *http.Client {
	c := &http.Client{Transport: &http.Transport{
		DialContext:       k.DialContext,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: q.Insecure}, //nolint:gosec // asked for by -k
		DisableKeepAlives: true,
	}}
	if !q.Follow {
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return c
}

// getError turns an error into curl's words and exit status.
func getError(target string, err error) error {
	var dns *net.DNSError
	var op *net.OpError
	u, _ := url.Parse(target)
	switch {
	case errors.As(err, &dns):
		return control.Errorf(6, "get: (6) Could not resolve host: %s", dns.Name)
	case errors.Is(err, context.DeadlineExceeded):
		return control.Errorf(28, "get: (28) Operation timed out")
	case errors.As(err, &op) && op.Op == "dial":
		return control.Errorf(7, "get: (7) Failed to connect to %s: %s", u.Host, reason(err))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return control.Errorf(52, "get: (52) Empty reply from server")
	}
	return control.Errorf(56, "get: (56) %s", reason(err))
}

// reason is the errno's text if there is one.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return strerror(errno)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}

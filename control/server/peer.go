package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/knitnet/knit/control"
)

// peerKey is the context key of a checkedPeer.
type peerKey struct{}

// A checkedPeer says what is wrong with a caller. Who was not checked is refused.
type checkedPeer struct{ err error }

// withPeer notes whether the caller may command this kernel.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, checkedPeer{checkPeer(c)})
}

// checkPeer returns why the process at the other end may not command us, or nil:
// it must run as the user that we run as, or as root.
func checkPeer(c net.Conn) error {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("knit: not a Unix socket")
	}
	uid, err := peerUID(u)
	if err != nil {
		return fmt.Errorf("knit: cannot tell who calls: %w", err)
	}
	return mayCommand(uid, os.Geteuid())
}

// mayCommand returns why uid may not command a daemon of user own, or nil.
func mayCommand(uid, own int) error {
	if uid != 0 && uid != own {
		return control.Errorf(1, "knit: permission denied: this daemon belongs to uid %d, you are uid %d", own, uid)
	}
	return nil
}

// refuseOthers lets only callers that withPeer found good reach h.
func refuseOthers(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, checked := r.Context().Value(peerKey{}).(checkedPeer)
		err := peer.err
		if !checked {
			err = control.Errorf(1, "knit: permission denied: nobody has checked who calls")
		}
		if err != nil {
			w.Header().Set("Content-Type", control.ContentType)
			(&lines{w: w, flush: http.NewResponseController(w)}).fail(http.StatusForbidden, err)
			return
		}
		h.ServeHTTP(w, r)
	})
}

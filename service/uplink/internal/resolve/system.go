package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
)

// ask answers by the functions of the system's resolver, which know the common
// types only.
func (r *Resolver) ask(ctx context.Context, query []byte, q question) *reply {
	ctx, cancel := context.WithTimeout(ctx, systemTimeout)
	defer cancel()
	a := newReply(query, q, rcodeOK)
	err := errUnknownType
	if q.class == classIN {
		err = r.fill(ctx, a, q)
	}
	var dns *net.DNSError
	switch {
	case err == nil:
		return a
	case errors.Is(err, errUnknownType):
		return newReply(query, q, rcodeNotImp)
	case errors.As(err, &dns) && dns.IsNotFound:
		return newReply(query, q, rcodeNXDomain)
	}
	return newReply(query, q, rcodeServFail)
}

var errUnknownType = errors.New("unknown type")

// fill looks up what was asked for and adds the answers.
func (r *Resolver) fill(ctx context.Context, a *reply, q question) error {
	name := q.name + "." // as it is: no search list
	switch q.typ {
	case typeA, typeAAAA:
		return r.fillAddrs(ctx, a, q, name)
	case typePTR:
		return r.fillNames(ctx, a, q)
	case typeCNAME:
		target, err := r.cfg.System.LookupCNAME(ctx, name)
		if err == nil && target != name {
			a.addName(typeCNAME, target)
		}
		return err
	case typeNS:
		servers, err := r.cfg.System.LookupNS(ctx, name)
		for _, s := range servers {
			a.addName(typeNS, s.Host)
		}
		return err
	case typeMX:
		hosts, err := r.cfg.System.LookupMX(ctx, name)
		for _, h := range hosts {
			a.add(typeMX, func(b []byte) ([]byte, bool) {
				return appendName(binary.BigEndian.AppendUint16(b, h.Pref), h.Host)
			})
		}
		return err
	case typeTXT:
		texts, err := r.cfg.System.LookupTXT(ctx, name)
		for _, t := range texts {
			a.add(typeTXT, func(b []byte) ([]byte, bool) { return appendText(b, t), true })
		}
		return err
	}
	return errUnknownType
}

// fillAddrs looks up addresses of both versions: a name that has only those of
// the other one exists, and the answer is empty.
func (r *Resolver) fillAddrs(ctx context.Context, a *reply, q question, name string) error {
	addrs, err := r.cfg.System.LookupNetIP(ctx, "ip", name)
	for _, ip := range addrs {
		if ip = ip.Unmap(); ip.Is4() == (q.typ == typeA) {
			a.addAddr(ip.WithZone(""))
		}
	}
	return err
}

func (r *Resolver) fillNames(ctx context.Context, a *reply, q question) error {
	ip, ok := parseReverse(q.name)
	if !ok {
		return &net.DNSError{Err: "no such host", Name: q.name, IsNotFound: true}
	}
	names, err := r.cfg.System.LookupAddr(ctx, ip.String())
	for _, n := range names {
		a.addName(typePTR, n)
	}
	return err
}

// appendText appends character strings of at most 255 bytes (RFC 1035 §3.3.14).
func appendText(b []byte, text string) []byte {
	for {
		n := min(len(text), 255)
		b = append(append(b, byte(n)), text[:n]...)
		if text = text[n:]; text == "" {
			return b
		}
	}
}

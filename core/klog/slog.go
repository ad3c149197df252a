package klog

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
)

// Handler returns an adapter for log/slog: a record becomes one entry, with
// its attributes behind the message as key=value.
func (g *Logger) Handler() slog.Handler { return &handler{log: g} }

type handler struct {
	log    *Logger
	attrs  string // those of WithAttrs, ready to print
	prefix string // the open groups, each with a dot
}

// Enabled is always true: the ring keeps all levels and dmesg filters.
func (h *handler) Enabled(context.Context, slog.Level) bool { return true }

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		appendAttr(&b, h.prefix, a)
		return true
	})
	h.log.Printk(levelOf(r.Level), "%s", b.String())
	return nil
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	b.WriteString(h.attrs)
	for _, a := range attrs {
		appendAttr(&b, h.prefix, a)
	}
	return &handler{h.log, b.String(), h.prefix}
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &handler{h.log, h.attrs, h.prefix + name + "."}
}

// appendAttr writes " key=value"; a group writes its members, with its name as
// a prefix.
func appendAttr(b *strings.Builder, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, m := range v.Group() {
			appendAttr(b, prefix, m)
		}
		return
	}
	if a.Equal(slog.Attr{}) {
		return // slog.Handler: "If an Attr's key and value are both the zero value, ignore the Attr."
	}
	text := v.String()
	if text == "" || strings.ContainsAny(text, " \t\n\"=") {
		text = strconv.Quote(text)
	}
	b.WriteString(" " + prefix + a.Key + "=" + text)
}

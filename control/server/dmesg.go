package server

import (
	"context"
	"slices"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/core/klog"
)

func dmesg() Handler {
	return Handle(control.Dmesg(), func(ctx context.Context, e *Env, q control.DmesgRequest, emit func(control.LogEntry) error) error {
		log := e.Kernel.Log
		show := func(entry klog.Entry) error {
			if !wanted(q.Levels, entry.Level.String()) || !wanted(q.Facilities, entry.Facility.String()) {
				return nil
			}
			return emit(logEntry(entry))
		}
		next := log.Cleared()
		if q.New {
			next = log.Next()
		}
		if q.Follow {
			return log.Follow(ctx, next, show)
		}
		entries := log.Entries()
		if q.Clear {
			log.Clear()
		}
		if q.Silent {
			return nil
		}
		for _, entry := range entries {
			if err := show(entry); err != nil {
				return err
			}
		}
		return nil
	})
}

// wanted reports whether a filter lets v through; an empty one does.
func wanted(filter []string, v string) bool { return len(filter) == 0 || slices.Contains(filter, v) }

func logEntry(e klog.Entry) control.LogEntry {
	return control.LogEntry{
		Seq: e.Seq, Time: e.Time, Wall: e.Wall, Level: e.Level.String(), Facility: e.Facility.String(),
		Module: e.Module, Text: e.Text,
	}
}

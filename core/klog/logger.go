package klog

import "log/slog"

// A Logger speaks in a Log for one module. Its methods may be called
// concurrently; they do nothing on a Logger of a nil Log.
type Logger struct {
	log    *Log
	module string
}

// Bare returns a Logger whose messages have no module's name in front.
func (g *Logger) Bare() *Logger { return &Logger{log: g.log} }

// Printk adds a message of the given level.
func (g *Logger) Printk(level Level, format string, args ...any) {
	g.log.Printk(level, g.module, format, args...)
}

// Emerg says that the system is unusable.
func (g *Logger) Emerg(format string, args ...any) { g.Printk(Emerg, format, args...) }

// Alert says that action must be taken at once.
func (g *Logger) Alert(format string, args ...any) { g.Printk(Alert, format, args...) }

// Crit reports a critical condition.
func (g *Logger) Crit(format string, args ...any) { g.Printk(Crit, format, args...) }

// Err reports an error.
func (g *Logger) Err(format string, args ...any) { g.Printk(Err, format, args...) }

// Warn warns.
func (g *Logger) Warn(format string, args ...any) { g.Printk(Warning, format, args...) }

// Notice reports what is normal but significant.
func (g *Logger) Notice(format string, args ...any) { g.Printk(Notice, format, args...) }

// Info informs.
func (g *Logger) Info(format string, args ...any) { g.Printk(Info, format, args...) }

// Debug helps to find mistakes.
func (g *Logger) Debug(format string, args ...any) { g.Printk(Debug, format, args...) }

// Slog returns a structured logger that writes to the same place.
func (g *Logger) Slog() *slog.Logger { return slog.New(g.Handler()) }

package klog

import "log/slog"

// A Level is the urgency of a message; smaller is more urgent. The numbers are
// those of RFC 5424 §6.2.1 and of Linux's KERN_ constants.
type Level uint8

// The levels of RFC 5424 §6.2.1.
const (
	Emerg   Level = iota // the system is unusable
	Alert                // action must be taken at once
	Crit                 // critical conditions
	Err                  // error conditions
	Warning              // warning conditions
	Notice               // normal but significant
	Info                 // informational
	Debug                // debug-level messages
)

// levelNames are dmesg's names, as in `dmesg -l err,warn`.
var levelNames = [...]string{"emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"}

// String returns dmesg's name of the level, such as "warn".
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return "unknown"
}

// ParseLevel returns the level that dmesg calls by this name.
func ParseLevel(name string) (Level, bool) {
	for i, n := range levelNames {
		if n == name {
			return Level(i), true
		}
	}
	return 0, false
}

// levelOf translates a level of log/slog.
func levelOf(l slog.Level) Level {
	switch {
	case l >= slog.LevelError:
		return Err
	case l >= slog.LevelWarn:
		return Warning
	case l >= slog.LevelInfo:
		return Info
	default:
		return Debug
	}
}

// A Facility says which part of the system speaks (RFC 5424 §6.2.1). In this
// log it is always Kern.
type Facility uint8

// Kern is the facility of kernel messages.
const Kern Facility = 0

// String returns dmesg's name of the facility.
func (f Facility) String() string {
	if f == Kern {
		return "kern"
	}
	return "unknown"
}

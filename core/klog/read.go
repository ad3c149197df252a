package klog

import (
	"context"
	"slices"
)

// Since returns the entries that are still there with sequence number seq or
// later, oldest first. If the first one's Seq is greater than seq, the ones
// between were pushed out.
func (l *Log) Since(seq uint64) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since(seq)
}

func (l *Log) since(seq uint64) []Entry {
	first := l.next - uint64(len(l.entries))
	if seq >= l.next {
		return nil
	}
	return slices.Clone(l.entries[max(seq, first)-first:])
}

// Entries returns what dmesg shows: the entries since the last Clear.
func (l *Log) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since(l.cleared)
}

// Clear moves the place from which Entries reads to the end, as `dmesg -C`
// does. It removes nothing: Since still returns all entries.
func (l *Log) Clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cleared = l.next
}

// Cleared returns the sequence number from which Entries reads.
func (l *Log) Cleared() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cleared
}

// Next returns the sequence number that the next entry will have.
func (l *Log) Next() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

// Lost returns how many entries have been pushed out since boot.
func (l *Log) Lost() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// Follow calls f with every entry from seq on, first those that are there and
// then each new one, until ctx ends or f returns an error; it returns that
// error, or ctx's. A reader that is slower than the log misses entries and
// sees a gap in Seq. f may log.
func (l *Log) Follow(ctx context.Context, seq uint64, f func(Entry) error) error {
	for {
		entries, more := l.sinceOrWake(seq)
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(e); err != nil {
				return err
			}
			seq = e.Seq + 1
		}
		if len(entries) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-more:
		}
	}
}

// sinceOrWake returns the entries from seq on or, if there are none, a channel
// that is closed when one comes.
func (l *Log) sinceOrWake(seq uint64) ([]Entry, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.since(seq); len(e) > 0 {
		return e, nil
	}
	if l.wake == nil {
		l.wake = make(chan struct{})
	}
	return nil, l.wake
}

package server

import (
	"maps"
	"slices"
	"sync"

	"github.com/knitnet/knit/link"
)

// A journal notes what commands did that cannot be read off the kernel later, so
// that save can write it down. It is safe for concurrent use.
type journal struct {
	mu sync.Mutex
	// links are the options of devices that were made by a command, by device.
	links map[*link.Device]map[string]string
}

// link notes the options with which a device was made, and forgets devices that
// are gone.
func (j *journal) link(dev *link.Device, options map[string]string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	present := dev.Layer().Devices()
	maps.DeleteFunc(j.links, func(d *link.Device, _ map[string]string) bool { return !slices.Contains(present, d) })
	if j.links == nil {
		j.links = make(map[*link.Device]map[string]string)
	}
	j.links[dev] = maps.Clone(options)
}

// options returns what link noted; nil if nothing was.
func (j *journal) options(dev *link.Device) map[string]string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.links[dev]
}

// NoteLink tells save with which options, as Layer.Create got them, a command
// has made dev. The verb ip calls it.
func (e *Env) NoteLink(dev *link.Device, options map[string]string) { e.journal.link(dev, options) }

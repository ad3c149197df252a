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
	// settings are the sysctls that were set, the last one last.
	settings []settingBefore
	// links are the options of devices that were made by a command, by device.
	links map[*link.Device]map[string]string
}

// A settingBefore is a sysctl with the value that it had before the first change.
type settingBefore struct{ name, value string }

// sysctl notes that a setting was changed from old.
func (j *journal) sysctl(name, old string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := settingBefore{name, old}
	if i := slices.IndexFunc(j.settings, func(s settingBefore) bool { return s.name == name }); i >= 0 {
		s = j.settings[i]
		j.settings = slices.Delete(j.settings, i, i+1)
	}
	j.settings = append(j.settings, s)
}

// changed returns the settings noted, in the order in which they were last set.
func (j *journal) changed() []settingBefore {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.settings)
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

package module

// Find returns the symbol name for the program that embeds the kernel; modules
// use Import. The value is good while its owner is loaded. ok is false when
// nobody exports the symbol or it has another type.
func Find[T any](r *Registry, name string) (v T, ok bool) {
	r.mu.Lock()
	s, found := r.symbols[name]
	r.mu.Unlock()
	if !found {
		return v, false
	}
	v, ok = s.value.(T)
	return v, ok
}

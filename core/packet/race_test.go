//go:build race

package packet

// raceEnabled: under the race detector sync.Pool forgets at random.
const raceEnabled = true

//go:build race

package nat_test

const raceEnabled = true

//go:build race

package flowtable_test

// allowed is how many allocations TestNoAllocation allows: the race detector lets pools
// forget at random.
const allowed = 1000

//go:build !race

package flowtable_test

// allowed is how many allocations TestNoAllocation allows for a batch: the batch itself,
// which the driver of the test makes.
const allowed = 1

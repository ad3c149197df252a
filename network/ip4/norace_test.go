//go:build !race

package ip4

const race = false

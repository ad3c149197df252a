// Package e2e holds scenarios in which real programs - ping, curl, iperf3,
// traceroute, dig, ssh, FTP, nc, wrk - talk to and through a kernel, each from a network namespace
// that the test made. They need the build tag e2e, Linux, and the programs; make e2e
// runs them.
package e2e

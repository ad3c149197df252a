// Package hostfd is the driver behind tun and tap: a device over file descriptors
// of the host, each read and each write of which is one packet or frame. They are
// queues of a TUN or TAP, or a packet socket.
//
// With a virtio-net header before each packet (VIRTIO 1.2 §5.1.6) checksums and
// segmentation are left to whoever needs them, in both directions: TCP segments of
// 64 KiB cross the border with one system call and no checksum.
//
// One goroutine per queue reads, waiting in Go's poller and not in a thread. It
// takes what is there, at most 64 packets, before it gives the batch to the kernel
// and carries it through. Sending is a writev of head and fragments in the sender's
// goroutine. A queue that is full loses the packet, as a network card's ring does.
package hostfd

package server

// handlers returns one handler for each verb of control.Verbs.
func handlers() []Handler {
	return []Handler{
		modprobe(),
		insmod(),
		rmmod(),
		lsmod(),
		modinfo(),
		dmesg(),
		sysctls(),
		ip(),
		nft(),
		conntrack(),
		ss(),
		ping(),
		tcpdump(),
		traceroute(),
		get(),
		nc(),
		procs(),
		stats(),
		save(),
		down(),
	}
}

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
		procs(),
		stats(),
		save(),
		down(),
	}
}

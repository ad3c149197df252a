package control

// Verbs returns the table of commands, in the order in which help lists them.
func Verbs() []Command {
	return []Command{
		Modprobe(),
		Insmod(),
		Rmmod(),
		Lsmod(),
		Modinfo(),
		Dmesg(),
		Sysctl(),
		IP(),
		NFT(),
		Conntrack(),
		SS(),
		Ping(),
		tcpdumpCommand{Tcpdump()},
		Traceroute(),
		Get(),
		Nc(),
		Proc(),
		Stat(),
		Save(),
		Down(),
	}
}

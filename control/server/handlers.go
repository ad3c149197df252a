package server

// handlers returns one handler for each verb of control.Verbs.
func handlers() []Handler {
	return []Handler{
		lsmod(),
		dmesg(),
	}
}

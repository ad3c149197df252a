package nft

// arrange finds runs of rules that a map can choose from.
func arrange([]compiled) []part { return nil }

// A part is a run of rules of a chain that a map chooses from.
type part struct{}

func (c *chain) nextArranged(*eval, int) (next, int) { return returnNow, 0 }

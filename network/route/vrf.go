package route

// A VRF is a routing domain: a device that stands for it, and its table, in which the
// rules of type L3MDev look for the ways of its packets. The zero VRF is none: the
// domain of all other devices.
type VRF struct {
	Index int32
	Table uint32
}

// VRFRule returns the rule of either IP version by which packets of VRFs find their
// tables.
func VRFRule() Rule { return Rule{Priority: priorityVRF, L3MDev: true, Origin: ProtoKernel} }

// SetVRFs says which interfaces belong to a VRF: those that are enslaved to one, and
// the VRFs' own. vrfs must not be changed any more.
func (f *FIB) SetVRFs(vrfs map[int32]VRF) {
	if len(vrfs) == 0 {
		f.vrfs.Store(nil)
		return
	}
	f.vrfs.Store(&vrfs)
}

// VRFOf returns the VRF that an interface belongs to or is. It is for the packet path.
func (f *FIB) VRFOf(index int32) VRF {
	if m := f.vrfs.Load(); m != nil {
		return (*m)[index]
	}
	return VRF{}
}

// VRFByTable returns the VRF that has a table.
func (f *FIB) VRFByTable(id uint32) VRF {
	if m := f.vrfs.Load(); m != nil {
		for _, v := range *m {
			if v.Table == id {
				return v
			}
		}
	}
	return VRF{}
}

// enter finds the VRF that a packet belongs to: that of the interface it must leave by,
// or else of the one it came by. To leave by a VRF, or to come by it, is to do so by any
// of its devices, or by none: who is bound to a VRF sends packets that are made here.
func (f *FIB) enter(k *Key) {
	if k.vrf != (VRF{}) || f.vrfs.Load() == nil {
		return
	}
	if k.byOut = k.Out != 0; k.byOut {
		k.vrf = f.VRFOf(k.Out)
	} else {
		k.vrf = f.VRFOf(k.In)
	}
	if k.vrf.Index == 0 {
		return
	}
	if k.Out == k.vrf.Index {
		k.Out = 0
	}
	if k.In == k.vrf.Index {
		k.In = 0
	}
}

// tableFor is the number of the table in which the rule looks for the way of k.
func (r *bound) tableFor(k *Key) uint32 {
	if r.L3MDev {
		return k.vrf.Table
	}
	return r.Table
}

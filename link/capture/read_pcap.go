package capture

import "time"

// nextClassic reads a record of a classic file.
func (d *Reader) nextClassic() (Record, error) {
	h, err := d.take(oldHead)
	if err != nil {
		return Record{}, err
	}
	sec, frac := int64(d.order.Uint32(h[0:])), int64(d.order.Uint32(h[4:]))
	n, length := d.order.Uint32(h[8:]), d.order.Uint32(h[12:])
	if n > maxBlock {
		return Record{}, d.damaged("packet of %d bytes", n)
	}
	if !d.nano {
		frac *= 1000
	}
	data, err := d.take(int(n))
	if err != nil {
		return Record{}, noEOF(err)
	}
	return Record{Time: time.Unix(sec, frac).UTC(), Length: int(length), Data: data}, nil
}

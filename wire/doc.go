// Package wire turns bytes into fields and fields into bytes, for every
// header that two packages need. It has no state, does no I/O and imports
// nothing but the standard library.
//
// There are three kinds of names for a header X:
//
//   - A view X is a checked window on bytes that belong to the caller. Only
//     ParseX makes one, so every method of a view is safe to call; the zero
//     value is not a header and its methods panic. A view sees later changes
//     of the bytes: whoever lets others write to them parses again.
//   - XFields are the values of a header, owned by nobody.
//   - PutX writes fields into the front of a caller's slice and returns the
//     number of bytes written where that is not constant. A slice that is too
//     short is a mistake of the caller and panics, as copy into an array would.
//
// Nothing allocates. Views and fields may be used by many goroutines as long
// as nobody writes to the bytes meanwhile.
package wire

import "encoding/binary"

// be is the byte order of every Internet header (RFC 791 app. B). Its type
// has a single value, so it is a constant in all but name.
var be = binary.BigEndian

package rule

// A Field is a named part of a header, an extension header or an option.
type Field struct {
	Header string // nft's name of the header: "tcp"
	Name   string // and of the field: "dport"
	// Base is where Offset counts from, for headers; in extension headers and options
	// it counts from their own start.
	Base   Base
	Offset int // bits
	Bits   int
	Type   *Type
}

// A Header is a header, extension header, option or chunk with its fields.
type Header struct {
	Name   string
	Number uint8 // of an extension header, option or chunk
	Fields []Field
}

// Field returns the field with nft's name.
func (h *Header) Field(name string) *Field {
	for i := range h.Fields {
		if h.Fields[i].Name == name {
			return &h.Fields[i]
		}
	}
	return nil
}

// HeaderByName returns the header that payload expressions call name, or nil.
func HeaderByName(name string) *Header { return find(headers, name) }

// ExthdrByName returns what extension header or option expressions of a kind call
// name, or nil.
func ExthdrByName(kind ExthdrKind, name string) *Header {
	switch kind {
	case IPv6Ext:
		return find(ipv6Exts, name)
	case TCPOption:
		return find(tcpOptions, name)
	case IPOption:
		return find(ipOptions, name)
	case SCTPChunk:
		return find(sctpChunks, name)
	}
	return nil
}

func find(hs []Header, name string) *Header {
	for i := range hs {
		if hs[i].Name == name {
			return &hs[i]
		}
	}
	return nil
}

// TCPOptionByNumber returns the TCP option of a kind, nil if nft has no name for it.
func TCPOptionByNumber(n uint8) *Header {
	for i := range tcpOptions {
		if tcpOptions[i].Number == n {
			return &tcpOptions[i]
		}
	}
	return nil
}

package capture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/knitnet/knit/link/capture"
)

func moment() time.Time { return time.Date(2024, 2, 29, 12, 30, 15, 123456789, time.UTC) }

// sample are records that show every field.
func sample() []capture.Record {
	return []capture.Record{
		{Interface: 0, Time: moment(), Direction: capture.In, Length: 3, Data: []byte("abc")},
		{Interface: 1, Time: moment().Add(time.Nanosecond), Direction: capture.Out, Length: 1500, Data: []byte("abcd")},
		{Interface: 1, Time: moment().Add(time.Hour), Length: 0, Data: []byte{}},
	}
}

func write(t testing.TB, f capture.Format, ifaces []capture.Interface, recs []capture.Record) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := capture.NewWriter(&b, f, ifaces...)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recs {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// read returns all records of a file and the error that ended it.
func read(file []byte) (recs []capture.Record, ifaces []capture.Interface, err error) {
	r, err := capture.NewReader(bytes.NewReader(file))
	for err == nil {
		var rec capture.Record
		if rec, err = r.Next(); err == nil {
			rec.Data = bytes.Clone(rec.Data)
			recs = append(recs, rec)
		}
	}
	if r != nil {
		ifaces = r.Interfaces()
	}
	return recs, ifaces, err
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	ng := []capture.Interface{{Name: "eth0", Type: capture.LinkEthernet, Snaplen: 1000}, {Name: "tun0", Type: capture.LinkRaw}}
	recs, ifaces, err := read(write(t, capture.PCAPNG, ng, sample()))
	if err != io.EOF || !reflect.DeepEqual(recs, sample()) || !reflect.DeepEqual(ifaces, ng) {
		t.Errorf("pcapng: %v, %v, %v", recs, ifaces, err)
	}
	// A classic file knows one interface and no directions.
	want := sample()
	for i := range want {
		want[i].Interface, want[i].Direction = 0, capture.Unknown
	}
	recs, ifaces, err = read(write(t, capture.PCAP, []capture.Interface{{Type: capture.LinkRaw, Snaplen: 96}}, want))
	if err != io.EOF || !reflect.DeepEqual(recs, want) || len(ifaces) != 1 || ifaces[0] != (capture.Interface{Type: capture.LinkRaw, Snaplen: 96}) {
		t.Errorf("pcap: %v, %v, %v", recs, ifaces, err)
	}
}

// TestSecondOpinion: another implementation reads the same from our files.
func TestSecondOpinion(t *testing.T) {
	ng := []capture.Interface{{Name: "eth0", Type: capture.LinkEthernet, Snaplen: 1000}, {Name: "tun0", Type: capture.LinkRaw}}
	r, err := pcapgo.NewNgReader(bytes.NewReader(write(t, capture.PCAPNG, ng, sample())), pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range sample() {
		data, info, err := r.ReadPacketData()
		if err != nil || !bytes.Equal(data, want.Data) || !info.Timestamp.Equal(want.Time) || info.Length != want.Length || info.InterfaceIndex != want.Interface {
			t.Errorf("read %q %+v %v, want %+v", data, info, err, want)
		}
	}
	if i, err := r.Interface(1); err != nil || i.Name != "tun0" || i.LinkType != layers.LinkTypeRaw {
		t.Errorf("interface %+v, %v", i, err)
	}
	old, err := pcapgo.NewReader(bytes.NewReader(write(t, capture.PCAP, ng[:1], sample()[:1])))
	if err != nil {
		t.Fatal(err)
	}
	data, info, err := old.ReadPacketData()
	if err != nil || string(data) != "abc" || !info.Timestamp.Equal(moment()) || old.LinkType() != layers.LinkTypeEthernet {
		t.Errorf("read %q %+v %v", data, info, err)
	}
}

// TestOtherPeoplesFiles: byte order, resolution, offset, simple packets, blocks not
// known, and a second section, as draft-ietf-opsawg-pcapng has them.
func TestOtherPeoplesFiles(t *testing.T) {
	for name, order := range map[string]binary.AppendByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian} {
		t.Run(name, func(t *testing.T) {
			u16, u32 := order.AppendUint16, order.AppendUint32
			block := func(t uint32, body []byte) []byte {
				n := uint32(len(body) + 12)
				return u32(append(u32(u32(nil, t), n), body...), n)
			}
			section := block(0x0a0d0d0a, append(u16(u16(u32(nil, 0x1a2b3c4d), 1), 0), bytes.Repeat([]byte{255}, 8)...))
			iface := func(resol byte, offset uint64) []byte {
				b := u32(u16(u16(nil, 1), 0), 64)
				b = append(u16(u16(b, 9), 1), resol, 0, 0, 0)
				b = order.AppendUint64(u16(u16(b, 14), 8), offset)
				return block(1, u32(b, 0))
			}
			packet := func(iface, ts uint32) []byte {
				return block(6, append(u32(u32(u32(u32(u32(nil, iface), 0), ts), 2), 60), 'h', 'i', 0, 0))
			}
			file := bytes.Join([][]byte{
				section, iface(3, 1000), iface(0x80|1, 0), block(0x40000bad, []byte("four")),
				packet(0, 2500), packet(1, 7), block(3, append(u32(nil, 3), 'h', 'e', 'y', 0)),
				section, iface(6, 0), packet(0, 5),
			}, nil)
			recs, ifaces, err := read(file)
			want := []capture.Record{
				{Interface: 0, Time: time.Unix(1002, 5e8).UTC(), Length: 60, Data: []byte("hi")},
				{Interface: 1, Time: time.Unix(3, 5e8).UTC(), Length: 60, Data: []byte("hi")},
				{Interface: 0, Length: 3, Data: []byte("hey")},
				{Interface: 2, Time: time.Unix(0, 5000).UTC(), Length: 60, Data: []byte("hi")},
			}
			if err != io.EOF || !reflect.DeepEqual(recs, want) || len(ifaces) != 3 {
				t.Errorf("read %v\n%v, %v\nwant %v", recs, ifaces, err, want)
			}
		})
	}
}

// TestCutFiles: a file that ends in the middle of a record says so, wherever that
// is, after the records before it.
func TestCutFiles(t *testing.T) {
	for _, f := range []capture.Format{capture.PCAPNG, capture.PCAP} {
		file := write(t, f, []capture.Interface{{Name: "a", Type: capture.LinkRaw}, {Name: "b", Type: capture.LinkRaw}}, sample())
		whole := 0
		for n := range file {
			recs, _, err := read(file[:n])
			if err == io.EOF {
				whole++ // cut between two records
			} else if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("format %d cut at %d: %v", f, n, err)
			}
			if len(recs) > len(sample())-1 {
				t.Fatalf("format %d cut at %d: %d records", f, n, len(recs))
			}
		}
		if whole > 6 {
			t.Errorf("format %d: %d cuts not noticed", f, whole)
		}
	}
}

func TestDamage(t *testing.T) {
	good := write(t, capture.PCAPNG, []capture.Interface{{Name: "a", Type: capture.LinkRaw}}, sample()[:1])
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"text", []byte("this is no capture"), "magic number"},
		{"byte order", append([]byte("\n\r\r\n\x1c\x00\x00\x00abcd"), make([]byte, 16)...), "byte-order magic"},
		{"no interface", append(bytes.Clone(good[:40]), packetBlock(good)...), "not described"},
		{"lengths differ", append(bytes.Clone(good[:len(good)-1]), 1), "at its end"},
	} {
		_, _, err := read(c.file)
		if !errors.Is(err, capture.ErrFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// packetBlock returns the last block of a file with one packet of three bytes.
func packetBlock(file []byte) []byte { return file[len(file)-48:] }

func TestOneLinkTypeInAClassicFile(t *testing.T) {
	_, err := capture.NewWriter(io.Discard, capture.PCAP, capture.Interface{Name: "a", Type: capture.LinkEthernet}, capture.Interface{Name: "b", Type: capture.LinkRaw})
	if err == nil || !strings.Contains(err.Error(), "a is EN10MB and b is RAW") {
		t.Errorf("two link types: %v", err)
	}
	w, _ := capture.NewWriter(io.Discard, capture.PCAPNG)
	if err := w.Write(capture.Record{}); err == nil {
		t.Error("record of an interface that does not exist accepted")
	}
}

// FuzzReader: any bytes; what was read can be written and reads the same.
func FuzzReader(f *testing.F) {
	ifaces := []capture.Interface{{Name: "a", Type: capture.LinkRaw}, {Name: "b", Type: capture.LinkRaw}}
	f.Add(write(f, capture.PCAPNG, ifaces, sample()))
	f.Add(write(f, capture.PCAP, ifaces, sample()))
	f.Add([]byte("\xa1\xb2\xc3\xd4" + strings.Repeat("\x00", 40)))
	f.Add([]byte("\n\r\r\n\x00\x00\x00\x1c\x1a\x2b\x3c\x4d" + strings.Repeat("\x00", 13) + "\x00\x00\x1c"))
	f.Fuzz(func(t *testing.T, file []byte) {
		recs, ifaces, err := read(file)
		if err == nil {
			t.Fatal("no end")
		}
		if len(ifaces) == 0 {
			return
		}
		again, _, err := read(write(t, capture.PCAPNG, ifaces, recs))
		if err != io.EOF || len(again) != len(recs) {
			t.Fatalf("%d records came back as %d: %v", len(recs), len(again), err)
		}
		for i := range recs {
			if !bytes.Equal(recs[i].Data, again[i].Data) || recs[i].Interface != again[i].Interface || recs[i].Direction != again[i].Direction {
				t.Fatalf("%+v came back as %+v", recs[i], again[i])
			}
		}
	})
}

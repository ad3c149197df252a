package tcb
import ("testing";"fmt")
func TestZZ(t *testing.T){
 kinds := []struct{name string; f func(k *conn) Segment}{
  {"RST exact", func(k *conn) Segment { return Segment{Seq:k.rcvNxt, Flags:RST}}},
  {"RST|ACK exact", func(k *conn) Segment { return Segment{Seq:k.rcvNxt, Ack:k.nxt,Flags:RST|ACK}}},
  {"RST in window", func(k *conn) Segment { return Segment{Seq:k.rcvNxt+1, Flags:RST}}},
  {"RST outside", func(k *conn) Segment { return Segment{Seq:k.rcvNxt-1, Flags:RST}}},
  {"SYN in window", func(k *conn) Segment { return Segment{Seq:k.rcvNxt+10, Flags:SYN}}},
  {"SYN old", func(k *conn) Segment { return Segment{Seq:peerISS, Flags:SYN}}},
  {"no ACK", func(k *conn) Segment { return Segment{Seq:k.rcvNxt, Flags:0, Len:10}}},
  {"ACK of unsent", func(k *conn) Segment { return Segment{Seq:k.rcvNxt, Ack:k.nxt+1, Flags:ACK, Window:64000}}},
  {"ACK too old", func(k *conn) Segment { return Segment{Seq:k.rcvNxt, Ack:k.una-64001, Flags:ACK, Window:64000}}},
  {"ACK of all", func(k *conn) Segment { return Segment{Seq:k.rcvNxt, Ack:k.nxt, Flags:ACK, Window:64000}}},
  {"data", func(k *conn) Segment { return Segment{Seq:k.rcvNxt, Ack:k.una, Len: 10, Flags:ACK, Window:64000}}},
  {"data+ack", func(k *conn) Segment { return Segment{Seq:k.rcvNxt, Ack:k.nxt, Len: 10, Flags:ACK, Window:64000}}},
  {"data old", func(k *conn) Segment { return Segment{Seq:k.rcvNxt-10, Ack:k.nxt, Len: 10, Flags:ACK, Window:64000}}},
  {"data beyond", func(k *conn) Segment { return Segment{Seq:k.rcvAdv, Ack:k.nxt, Len: 10, Flags:ACK, Window:64000}}},
  {"FIN", func(k *conn) Segment { return Segment{Seq:k.rcvNxt, Ack:k.una, Flags:FIN|ACK, Window:64000}}},
  {"FIN+ack", func(k *conn) Segment { return Segment{Seq:k.rcvNxt, Ack:k.nxt, Flags:FIN|ACK, Window:64000}}},
  {"FIN again", func(k *conn) Segment { return Segment{Seq:k.rcvNxt-1, Ack:k.nxt, Flags:FIN|ACK, Window:64000}}},
 }
 for _, kd := range kinds { for st := SynSent; st <= TimeWait; st++ {
  k := in(t, st, plainConfig())
  seg := kd.f(k)
  if st == SynSent && seg.Seq == 0 { seg.Seq = peerISS }
  nx, rn := k.nxt, k.rcvNxt
  k.input(seg)
  s := ""
  for _, o := range k.outAll() { s += fmt.Sprintf(" %v seq %d ack %d len %d", o.Flags, o.Seq, o.Ack, o.Len) }
  fmt.Printf("%-14s %-13v -> %-13v err %v ev %b out[%s] (was nxt %d rcv %d)\n", kd.name, st, k.state, k.Err(), k.Events(), s, nx, rn)
  k.close()
 }}
}

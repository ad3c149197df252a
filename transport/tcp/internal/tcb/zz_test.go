package tcb
import ("testing";"time";"fmt")
func TestZZ(t *testing.T){
 for seed := range 30 {
  w:=newWire(t,uint64(seed)); w.run(); 
  fmt.Println(seed, w.loss, w.delay, len(w.a.got), len(w.b.got), time.Duration(w.now), w.steps, w.a.stat.rexmits, w.b.stat.rexmits, w.a.stat.segsOut, w.a.stat.dataOut, w.b.stat.dataOut)
 }
}

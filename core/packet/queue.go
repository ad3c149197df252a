package packet

import "github.com/knitnet/knit/core/stat"

// A Queue is a first-in first-out list of packets that owns them. Batches are
// Queues too. It links the packets themselves, so it allocates nothing. The zero
// Queue is empty; it is not safe for concurrent use, and not to be copied while
// it holds packets.
type Queue struct {
	head, tail *Packet
	n          int
}

// Push puts pkt at the end.
func (q *Queue) Push(pkt *Packet) {
	pkt.next = nil
	if q.tail == nil {
		q.head = pkt
	} else {
		q.tail.next = pkt
	}
	q.tail = pkt
	q.n++
}

// Pop takes the first packet out, or returns nil.
func (q *Queue) Pop() *Packet {
	pkt := q.head
	if pkt == nil {
		return nil
	}
	q.head = pkt.next
	if q.head == nil {
		q.tail = nil
	}
	pkt.next = nil
	q.n--
	return pkt
}

// Front returns the first packet, which stays in the queue, or nil.
func (q *Queue) Front() *Packet { return q.head }

// Back returns the last packet, which stays in the queue, or nil.
func (q *Queue) Back() *Packet { return q.tail }

// Next returns the packet behind pkt, which must be in a queue, or nil.
func (pkt *Packet) Next() *Packet { return pkt.next }

// Len returns the number of packets.
func (q *Queue) Len() int { return q.n }

// Empty reports whether there is none.
func (q *Queue) Empty() bool { return q.head == nil }

// Append moves all packets of from to the end of q and leaves from empty.
func (q *Queue) Append(from *Queue) {
	if from.head == nil {
		return
	}
	if q.tail == nil {
		q.head = from.head
	} else {
		q.tail.next = from.head
	}
	q.tail = from.tail
	q.n += from.n
	*from = Queue{}
}

// InsertAfter puts pkt behind at, which is in q; at nil means in front of all.
func (q *Queue) InsertAfter(at, pkt *Packet) {
	if at == nil {
		pkt.next = q.head
		q.head = pkt
	} else {
		pkt.next = at.next
		at.next = pkt
	}
	if pkt.next == nil {
		q.tail = pkt
	}
	q.n++
}

// RemoveAfter takes out the packet behind at and returns it, or nil; at nil
// means the first.
func (q *Queue) RemoveAfter(at *Packet) *Packet {
	if at == nil {
		return q.Pop()
	}
	pkt := at.next
	if pkt == nil {
		return nil
	}
	at.next = pkt.next
	if at.next == nil {
		q.tail = at
	}
	pkt.next = nil
	q.n--
	return pkt
}

// Drop ends all packets for one reason.
func (q *Queue) Drop(why stat.Reason) {
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		pkt.Drop(why)
	}
}

// Consume ends all packets.
func (q *Queue) Consume() {
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		pkt.Consume()
	}
}

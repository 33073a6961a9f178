package shadow

import (
	"cmp"
	"container/heap"
	"errors"
	"io"
	"slices"
	"time"
)

// How much is read side by side, to bring blocks into order that overlap in time,
// as those of the logs of several servers do.
const (
	mostOpen      = 64
	mostOpenBytes = 4 * maxRaw
)

// ordered reads blocks that overlap, in order of time.
type ordered struct {
	queue []indexEntry // not opened yet, by the time of the first exchange
	open  openBlocks
	bytes int   // of blocks that are open
	err   error // to be given next
}

// openBlock is a block that is being read.
type openBlock struct {
	next  Exchange
	left  uint64
	at    int64
	size  int64 // in the file
	block decoder
	bytes int
}

// overlap reports whether a block begins before an earlier one ends.
func overlap(all []indexEntry) bool {
	for i := 1; i < len(all); i++ {
		if all[i].first < all[i-1].last {
			return true
		}
	}
	return false
}

func newOrdered(all []indexEntry) *ordered {
	queue := slices.Clone(all)
	slices.SortStableFunc(queue, func(a, b indexEntry) int { return cmp.Compare(a.first, b.first) })
	return &ordered{queue: queue}
}

// nextInOrder is Next for a recording whose blocks overlap.
func (r *Reader) nextInOrder() (Exchange, error) {
	o := r.ordered
	for {
		if err := o.err; err != nil {
			o.err = nil
			return Exchange{}, err
		}
		if err := r.openMore(); err != nil {
			return Exchange{}, err
		}
		if len(o.open) == 0 {
			return Exchange{}, io.EOF
		}
		x := o.open[0].next
		o.advance(r)
		if r.chosen.holds(&x) {
			return x, nil
		}
	}
}

// openMore opens the blocks that may hold what comes next.
func (r *Reader) openMore() error {
	o := r.ordered
	for len(o.queue) > 0 {
		e := o.queue[0]
		if len(o.open) > 0 && (e.first > o.open[0].next.At.UnixNano() || len(o.open) >= mostOpen || o.bytes > mostOpenBytes) {
			return nil
		}
		o.queue = o.queue[1:]
		if !r.chosen.meets(e.first, e.last) {
			continue
		}
		b, err := r.openBlock(e)
		if err != nil {
			return err
		}
		if b != nil {
			heap.Push(&o.open, b)
			o.bytes += b.bytes
		}
	}
	return nil
}

// openBlock unpacks a block, nil when it holds nothing of what is chosen.
func (r *Reader) openBlock(e indexEntry) (*openBlock, error) {
	r.at = e.offset
	h, f, err := r.nextHead()
	if errors.Is(err, io.EOF) {
		err = &DamageError{Path: r.path, Offset: e.offset, Why: "the index says that a block is here"}
	}
	if err != nil || !r.chosen.mayHold(h) || h.count == 0 {
		return nil, err
	}
	if err := r.unpack(r.blockAt, f); err != nil {
		return nil, r.damagedBlock(err.Error())
	}
	b := &openBlock{left: h.count, at: r.blockAt, size: f.size(), bytes: len(r.raw), block: decoder{raw: slices.Clone(r.raw), last: h.first}}
	if !b.read() {
		return nil, b.damage(r)
	}
	return b, nil
}

// read decodes the next exchange, and reports whether there was one.
func (b *openBlock) read() bool {
	if b.left == 0 {
		return false
	}
	b.left--
	b.next = b.block.exchange()
	return b.block.err == nil
}

// damage says what is wrong with a block, nil when it only ended.
func (b *openBlock) damage(r *Reader) error {
	if b.block.err == nil {
		return nil
	}
	return &DamageError{Path: r.path, Offset: b.at, Lost: b.size, Why: b.block.err.Error()}
}

// advance goes to the next exchange of the block that was first.
func (o *ordered) advance(r *Reader) {
	first := o.open[0]
	if first.read() {
		heap.Fix(&o.open, 0)
		return
	}
	o.err = first.damage(r)
	o.bytes -= first.bytes
	heap.Pop(&o.open)
}

// openBlocks is a heap: the block whose next exchange is the earliest is first.
type openBlocks []*openBlock

func (b openBlocks) Len() int { return len(b) }

func (b openBlocks) Less(i, j int) bool {
	if order := b[i].when().Compare(b[j].when()); order != 0 {
		return order < 0
	}
	return b[i].at < b[j].at
}

func (b *openBlock) when() time.Time { return b.next.At }
func (b openBlocks) Swap(i, j int)   { b[i], b[j] = b[j], b[i] }

// Push is for container/heap.
func (b *openBlocks) Push(x any) { *b = append(*b, x.(*openBlock)) }

// Pop is for container/heap.
func (b *openBlocks) Pop() any {
	last := len(*b) - 1
	x := (*b)[last]
	(*b)[last] = nil
	*b = (*b)[:last]
	return x
}

package store

import "math/bits"

// numberSet is a set. What it holds are numbers that a runner gave out one after
// another (all its windows come from one [measure.Aggregator], whose parts are
// distinct, and its events are numbered), so that each takes little more than a
// bit: a day with 200 windows a second takes 2 MB.
type numberSet map[uint64]*[numberPage / 64]uint64

const numberPage = 4096

// add puts a number into the set and reports whether it was not there.
func (n numberSet) add(number uint64) bool {
	page := n[number/numberPage]
	if page == nil {
		page = &[numberPage / 64]uint64{}
		n[number/numberPage] = page
	}
	word, bit := &page[number%numberPage/64], uint64(1)<<(number%64)
	fresh := *word&bit == 0
	*word |= bit
	return fresh
}

// count is how many numbers there are.
func (n numberSet) count() (many uint64) {
	for _, page := range n {
		for _, word := range page {
			many += uint64(bits.OnesCount64(word))
		}
	}
	return many
}

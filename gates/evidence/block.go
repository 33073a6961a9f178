package evidence

// Counts is what one arm counted: N attempts, of which Failed failed (or took
// longer than a limit). More failures than attempts count as all of them.
type Counts struct{ N, Failed uint64 }

// maxCount keeps sums of counts exact, whatever nonsense is counted.
const maxCount = 1 << 44

// sane gives counts that can be calculated with.
func (c Counts) sane() Counts {
	c.N = min(c.N, maxCount)
	c.Failed = min(c.Failed, c.N)
	return c
}

func (c Counts) plus(o Counts) Counts {
	return Counts{N: c.N + o.N, Failed: c.Failed + o.Failed}.sane()
}

// Share is the share that failed, 0 without attempts.
func (c Counts) Share() float64 {
	if c = c.sane(); c.N == 0 {
		return 0
	}
	return float64(c.Failed) / float64(c.N)
}

// Block is what both arms counted in the same stretch of time, normally one
// second. What both arms met together, a slow database for instance, stands in
// the same block and so is no evidence against either.
type Block struct{ Candidate, Baseline Counts }

func (b Block) sane() Block {
	return Block{Candidate: b.Candidate.sane(), Baseline: b.Baseline.sane()}
}

// failed is the number of failures of both arms.
func (b Block) failed() uint64 { return b.Candidate.Failed + b.Baseline.Failed }

func (b Block) plus(o Block) Block {
	return Block{Candidate: b.Candidate.plus(o.Candidate), Baseline: b.Baseline.plus(o.Baseline)}
}

// Episode is the number of blocks that are looked at as one: ten seconds, when
// a block is one second. It is about as long as what is over by itself lasts (a
// garbage collection, a failover, a pod that is replaced), and long enough that
// a slow stream of requests can be compared within it.
const Episode = 10

// episode collects blocks until there are enough for one.
type episode struct {
	sum    Block
	blocks int
}

// add adds a block; done is true when the episode is over, which starts the
// next one.
func (e *episode) add(b Block) (sum Block, done bool) {
	e.sum = e.sum.plus(b.sane())
	if e.blocks++; e.blocks < Episode {
		return Block{}, false
	}
	sum = e.sum
	*e = episode{}
	return sum, true
}

package shadow

// Options bound what a [Comparer] does.
type Options struct {
	// Hosts are names of the systems that are compared, with ports where they have
	// one ("127.0.0.1:8301"): where they stand in a value they are taken for the
	// same.
	Hosts []string
	// MaxDifferences is how many differences of two answers are listed, 64 unless
	// given; what is more becomes one of the kind [TooMany].
	MaxDifferences int
}

// Comparer compares answers. It may be used by several goroutines at once.
type Comparer struct {
	rules   Rules
	options Options
}

// NewComparer makes a comparer, or says which rule is wrong.
func NewComparer(rules Rules, options Options) (*Comparer, error) {
	return &Comparer{rules: rules, options: options}, rules.check()
}

// Compare tells in which ways the candidate's answer to a request differs from the
// baseline's, at most once for each place and kind. Nothing means that the two are
// known to be the same, as far as the rules look.
func (c *Comparer) Compare(route string, baseline, candidate Response) []Difference {
	return nil
}

package plan

// Part is a part of the model of a system, or the whole of it. Just one of
// promised, dependency, transaction, series and parallel is set. Parts fail
// independently of one another, but for what is common in parallel.
type Part struct {
	Name        string    `yaml:"name,omitempty"`        // in reports; default what is measured
	Promised    Percent   `yaml:"promised,omitempty"`    // availability that somebody promises
	Dependency  string    `yaml:"dependency,omitempty"`  // availability is measured at its proxy
	Transaction string    `yaml:"transaction,omitempty"` // availability is measured: a transaction, step or route
	Series      []Part    `yaml:"series,omitempty"`      // parts that are all needed
	Parallel    *Parallel `yaml:"parallel,omitempty"`    // parts of which some are enough
}

// Parallel is parts of which some may fail.
type Parallel struct {
	Need   int     `yaml:"need,omitempty"`           // how many of them must work; default 1
	Of     []Part  `yaml:"of" jsonschema:"required"` // the parts
	Copies int     `yaml:"copies,omitempty"`         // how many there are of the only part, 2 to 1000
	Common Percent `yaml:"common,omitempty"`         // share of failures that hit all at once (beta factor); default 0%
}

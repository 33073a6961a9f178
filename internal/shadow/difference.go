package shadow

// Kind says in which way two answers differ at a place.
type Kind string

// The kinds. What has a kind of its own is told apart from the rest by rules and
// by statistics: a field whose value is noisy and that one day is missing differs
// in another kind, and so is found.
const (
	Changed     Kind = "changed"     // another value of the same type
	Missing     Kind = "missing"     // the baseline has it, the candidate has not
	Added       Kind = "added"       // the candidate has it, the baseline has not
	Type        Kind = "type"        // another type, such as a string for a number, or null for either
	Format      Kind = "format"      // the same value, written in another way: 10 and 10.0
	Length      Kind = "length"      // a list of which items are missing and others added, and not as many
	Order       Kind = "order"       // the same items, in another order
	Encoding    Kind = "encoding"    // another charset, or another encoding of the content
	Time        Kind = "time"        // both are times, and not the same
	ID          Kind = "id"          // both are UUIDs or other made-up ids, and not the same
	Failed      Kind = "failed"      // one of the two gave no answer
	Damaged     Kind = "damaged"     // the body of one of the two can not be trusted
	Unserved    Kind = "unserved"    // the baseline alone failed, and users did not: there is nothing to compare with
	Undecidable Kind = "undecidable" // too little is known of both to call them equal
	TooMany     Kind = "too many"    // more differences than are listed
)

// kinds are all of them, the gravest first: findings are listed in this order.
var kinds = []Kind{Failed, Missing, Type, Changed, Damaged, Added, Length, Encoding, Order, Format, ID, Time, TooMany, Unserved, Undecidable}

// Difference is one way in which two answers differ.
type Difference struct {
	// Place is where: "status", "header content-type", "body.items[].price", or
	// "body" for all of it. Items of a list have no numbers, and names in an
	// object that look like ids or dates are all {key}: what is one field to a
	// programmer is one place.
	Place string
	Kind  Kind
	// Baseline and Candidate are what stood there, as JSON where the body is JSON,
	// cut after 100 bytes; "" where there was nothing. Of several differences of a
	// kind at a place, these are from the first.
	Baseline, Candidate string

	whole    bool // the bodies could only be compared as a whole
	expected int  // the number of the expectation that it meets, from 1; 0 for none
}

// Class is what is thought of the differences at a place.
type Class string

// The classes. What is not known to be noise, nor to be a regression, nor
// expected, is undecided: it may be any.
const (
	Undecided  Class = "undecided"
	Regression Class = "regression"
	Noise      Class = "noise"
	Expected   Class = "expected"
)

// classes are all of them, in the order in which findings are listed.
var classes = []Class{Regression, Undecided, Expected, Noise}

package shadow

import (
	"net/http"
	"time"
)

// Exchange is one request that somebody made, and what was answered.
type Exchange struct {
	At       time.Time     // when the request began, in UTC
	Took     time.Duration // until the last byte of the answer; 0 where nobody knows
	Session  string        // a pseudonym of who asked, the same for all that they asked; "" where nobody knows
	Tenant   string        // the customer, where the source names one
	Route    string        // what requests of one kind have in common: "GET /orders/{id}"
	Request  Request
	Response Response
}

// Request is what was asked.
type Request struct {
	Method string
	Host   string // host and port it was sent to, where that is known
	Target string // path and query, as in the request line: "/orders?page=2"
	Header http.Header
	Body   Body
}

// Response is what was answered. Its Status is 0 where no answer is known; Failure
// then says why, where that is known.
type Response struct {
	Status  int
	Header  http.Header
	Body    Body
	Failure string // such as "timeout" or "connection reset"

	asked, ended time.Time // when it was asked for, and when it was whole, by our clock; zero where nobody knows
}

// Body is what a message carried, decoded: without the encodings of its transfer
// and of its content.
type Body struct {
	Data     []byte // its beginning where it is Cut, all of it otherwise
	Size     int64  // of all of it, decoded, in bytes; -1 where that is not known
	Cut      bool   // Data is not all of it
	Digest   string // SHA-256 of all of it in hexadecimal, where Cut and known
	Encoding string // of the content as it travelled, such as gzip; "" for none
	Damage   string // why it can not be trusted: broken chunking, a gzip that does not end; "" when it can

	tree *jsonTree // of Data, where somebody has parsed it for others, and will release it
}

// Source gives exchanges one after the other, and [io.EOF] after the last. What it
// gave is the caller's.
type Source interface {
	Next() (Exchange, error)
}

// Sink takes exchanges. It may be called from one goroutine at a time.
type Sink interface {
	Write(Exchange) error
}

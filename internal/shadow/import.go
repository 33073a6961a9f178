package shadow

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// importer reads the exchanges of one format.
type importer struct {
	name string
	doc  string // what it is, for help
	is   func(start []byte) bool
	read func(*importing, *bufio.Reader) error
}

// importers are the formats that there are. The first that a file looks like is
// taken, so what is told most surely stands first.
var importers = []importer{
	{"goreplay", "requests and answers as GoReplay writes them", isGoReplay, readGoReplay},
	{"k6", "requests of a k6 script, such as those made of a HAR", isK6, readK6},
	{"har", "HTTP archives of browsers and proxies", isHAR, readHAR},
	{"vegeta", "targets of vegeta, as JSON", isVegeta, readVegeta},
	{"envoy", "access logs in JSON, with Envoy's names unless fields are given, and in Envoy's and Istio's text", isEnvoy, readEnvoy},
	{"accesslog", "access logs of Apache and nginx, common or combined", isAccessLog, readAccessLog},
}

// Formats are the names and descriptions of all formats that can be imported.
func Formats() (names, docs []string) {
	for _, i := range importers {
		names, docs = append(names, i.name), append(docs, i.doc)
	}
	return names, docs
}

// ImportOptions say how a file is imported. A Redactor must be given.
type ImportOptions struct {
	Name     string            // of the file, for messages; its exchanges are a session where nothing else tells
	Format   string            // one of [Formats]; "" is guessed from the content
	Fields   map[string]string // of logs: what is the name of which key
	MaxBody  int64             // as in [Options]
	Redactor *Redactor
	Routes   *Routes  // nil knows no templates
	Hosts    []string // only what was asked of these is kept, and what was asked of nobody knows whom; none are all
}

// Imported counts what became of the records of a file: Read is always Kept, Other and
// all that was Skipped.
type Imported struct {
	Format  string
	Read    uint64
	Kept    uint64
	Other   uint64 // of hosts that were not chosen
	Joined  uint64 // records of answers that belong to a record of a request, and are not in Read
	Skipped []Skipped
	Hosts   []HostCount // of those that were kept, at most 1,000; those that were asked most first
	Busiest uint64      // exchanges of the session that has most
	Host    string      // that was asked first: in an archive of a browser, that of the page
}

// Skipped counts records that could not be imported for one reason.
type Skipped struct {
	Reason string
	Count  uint64
	Places []string // the first few: "line 12"
}

// SkippedAll counts what was skipped for any reason.
func (i Imported) SkippedAll() uint64 {
	var n uint64
	for _, s := range i.Skipped {
		n += s.Count
	}
	return n
}

// ImportError tells why a file could not be read to its end. What came before was
// imported.
type ImportError struct {
	Name, Format, Place string
	Err                 error
}

func (e *ImportError) Error() string {
	if e.Place == "" {
		return fmt.Sprintf("%s: %v", e.Name, e.Err)
	}
	return fmt.Sprintf("%s, %s: %v", e.Name, e.Place, e.Err)
}

func (e *ImportError) Unwrap() error { return e.Err }

// How many places of a reason and how many reasons are told.
const (
	mostPlaces  = 3
	mostReasons = 50
	otherReason = "other reasons"
)

// importing is an import that goes on.
type importing struct {
	o      ImportOptions
	most   int64 // of a body, in bytes
	sink   Sink
	counts Imported
	hosts  hostCounts
	asked  map[string]uint64 // by sessions, the first ones
}

// Import reads a file of any format, which may be packed with gzip or zstd, and
// gives its exchanges, redacted and with routes, to a sink. Memory is bounded
// whatever the file holds. Records that can not be read are counted and passed
// over. A file that is empty, or of no format, is an [InputError]; another error, of
// type [ImportError] unless it is the sink's, ends it, and the counts are those until
// then.
func Import(r io.Reader, o ImportOptions, sink Sink) (Imported, error) {
	i := &importing{o: o, sink: sink}
	if i.o.Routes == nil {
		i.o.Routes = &Routes{}
	}
	if o.Redactor == nil {
		return i.counts, errors.New("an import wants a redactor")
	}
	most, err := Options{MaxBody: o.MaxBody}.maxBody()
	if err != nil {
		return i.counts, err
	}
	i.most = most
	plain, err := unpackedInput(r)
	if err != nil {
		return i.counts, i.failed("", err)
	}
	format, err := i.chosenImporter(plain, o.Format)
	if err != nil {
		return i.counts, err
	}
	i.counts.Format = format.name
	err = format.read(i, plain)
	i.counts.Hosts = i.hosts.sorted()
	return i.counts, err
}

// sniffed is how much of a file its format is guessed from, in bytes.
const sniffed = 64 << 10

// chosenImporter is the one of a name, or the one that the file looks like.
func (i *importing) chosenImporter(r *bufio.Reader, name string) (importer, error) {
	names, _ := Formats()
	all := strings.Join(names, ", ")
	named, known := importerOf(name)
	if name != "" && !known {
		return importer{}, &InputError{Path: i.o.Name, Why: fmt.Sprintf("there is no format %q; use one of %s", name, all)}
	}
	if start, err := r.Peek(sniffed); len(start) == 0 && err != nil {
		if errors.Is(err, io.EOF) {
			return importer{}, &InputError{Path: i.o.Name, Why: "it is empty"}
		}
		return importer{}, i.failed("", err)
	}
	if known {
		return named, nil
	}
	if format, ok := guessed(r); ok {
		return format, nil
	}
	return importer{}, &InputError{Path: i.o.Name, Why: fmt.Sprintf("it looks like none of the formats that can be imported (%s): say which it is with --format", all)}
}

func importerOf(name string) (importer, bool) {
	n := slices.IndexFunc(importers, func(i importer) bool { return i.name == name })
	if n < 0 {
		return importer{}, false
	}
	return importers[n], true
}

// What an input may unpack to, in proportion: logs repeat themselves more than
// bodies do.
const (
	inputFree  = 1 << 30
	inputRatio = 2000
)

// unpackedInput undoes gzip and zstd, one in the other if need be.
func unpackedInput(r io.Reader) (*bufio.Reader, error) {
	source := &meteredReader{r: r}
	b := bufio.NewReaderSize(source, sniffed)
	for level := 0; ; level++ {
		start, _ := b.Peek(4)
		var inner io.Reader
		var err error
		switch {
		case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
			inner, err = gzip.NewReader(b)
		case bytes.Equal(start, []byte{0x28, 0xb5, 0x2f, 0xfd}):
			inner, err = zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		default:
			return b, nil
		}
		if err == nil && level == maxEncodings {
			err = fmt.Errorf("it is packed more than %d times over", maxEncodings)
		}
		if err != nil {
			return nil, err
		}
		b = bufio.NewReaderSize(&boundedReader{r: inner, from: source, free: inputFree, ratio: inputRatio}, sniffed)
	}
}

// failed is the error that ends an import.
func (i *importing) failed(place string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("it ends too early")
	}
	return &ImportError{Name: i.o.Name, Format: i.counts.Format, Place: place, Err: err}
}

// begin counts a record, which is kept or skipped after that.
func (i *importing) begin() { i.counts.Read++ }

// keep hands on an exchange. Its error is that of the sink.
func (i *importing) keep(x Exchange, place string) error {
	if !ofHosts(i.o.Hosts, x.Request.Host) {
		i.counts.Other++
		return nil
	}
	x = i.o.Redactor.Redact(x)
	x.Route = i.o.Routes.RouteOf(x.Request.Method, x.Request.Target) // of what has no secrets any more
	err := i.sink.Write(x)
	var tooLong *TooLongError
	if errors.As(err, &tooLong) {
		i.skip("the "+tooLong.What+" is longer than a recording keeps", place)
		return nil
	}
	if err == nil {
		i.counts.Kept++
		i.hosts.add(x.Request.Host)
		i.session(x.Session)
		i.counts.Host = cmp.Or(i.counts.Host, x.Request.Host)
	}
	return err
}

// sessionsCounted are how many sessions of a file are told apart when they are counted.
// One that has a good part of a file is among the first.
const sessionsCounted = 100_000

// session counts what one asked.
func (i *importing) session(name string) {
	if i.asked == nil {
		i.asked = map[string]uint64{}
	}
	if n, known := i.asked[name]; name != "" && (known || len(i.asked) < sessionsCounted) {
		i.asked[name] = n + 1
		i.counts.Busiest = max(i.counts.Busiest, n+1)
	}
}

// busyFew and busyShare are from when on one session is too many for it to be one user:
// what one asks is replayed one after the other.
const (
	busyFew   = 1000
	busyShare = 0.2
)

// Crowded reports whether one session has so many of the exchanges that it can hardly be
// one user: all come from a load balancer, say.
func (i Imported) Crowded() bool {
	return i.Kept >= busyFew && float64(i.Busiest) > busyShare*float64(i.Kept)
}

// skip counts a record that can not be kept. Reasons are few: they hold nothing of
// the record.
func (i *importing) skip(reason, place string) {
	for try := range 2 {
		for n := range i.counts.Skipped {
			s := &i.counts.Skipped[n]
			if s.Reason != reason {
				continue
			}
			s.Count++
			if len(s.Places) < mostPlaces {
				s.Places = append(s.Places, place)
			}
			return
		}
		if try == 0 && len(i.counts.Skipped) >= mostReasons {
			reason = otherReason
			continue
		}
		break
	}
	i.counts.Skipped = append(i.counts.Skipped, Skipped{Reason: reason, Count: 1, Places: []string{place}})
}

// setURL puts a URL where a request has its parts: it must be one that can be
// asked over HTTP.
func (q *Request) setURL(text string) (reason string) {
	text, _, _ = strings.Cut(text, "#")
	u, err := url.Parse(text)
	if err != nil {
		return "its URL can not be read"
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https", "ws", "wss", "":
	default:
		return "its URL is not of HTTP"
	}
	if u.Host == "" && !strings.HasPrefix(text, "/") {
		return "its URL has no host"
	}
	q.Host = u.Host
	q.Target = u.RequestURI()
	if u.User != nil && q.Header.Get("Authorization") == "" {
		password, _ := u.User.Password()
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(u.User.Username(), password)
		q.Header.Set("Authorization", r.Header.Get("Authorization"))
	}
	return ""
}

// isMethod reports whether a word may be the method of a request: a token of RFC 9110.
func isMethod(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

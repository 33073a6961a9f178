package shadow

import (
	"bufio"
	"bytes"
	"container/list"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// goReplayEnd ends a message in a file of GoReplay. Before it stands a line end
// that is no part of the message.
const goReplayEnd = "🐵🙈🙉"

// Kinds of messages in a file of GoReplay.
const (
	goReplayRequest  = '1'
	goReplayAnswer   = '2'
	goReplayReplayed = '3' // what a replay was answered
)

// How many requests may wait for their answers, and their bodies in bytes.
const (
	mostPending      = 10_000
	mostPendingBytes = 64 << 20
)

func isGoReplay(start []byte) bool {
	line, _, _ := bytes.Cut(start, []byte("\n"))
	_, ok := readGoReplayLine(string(line))
	return ok
}

// goReplayLine stands before each message: "1 ID TIME [LATENCY]", in nanoseconds.
// The latency of a request is how long it took to arrive, and that of an answer
// likewise; older versions say -1, or nothing, of a request, and of its answer how
// long it was waited for. The oldest say that in place of its time.
type goReplayLine struct {
	kind byte
	id   string
	at   time.Time
	took time.Duration
	old  bool // of a version that says of an answer how long it was waited for
}

// oldestTime is the least number of nanoseconds since 1970 that is taken for a time,
// of 1973: what is less is how long something took.
const oldestTime = 1e17

func readGoReplayLine(line string) (l goReplayLine, ok bool) {
	words := strings.Fields(line)
	if len(words) < 3 || len(words) > 5 || len(words[0]) != 1 || words[0] < "1" || words[0] > "3" || len(words[1]) > 64 {
		return l, false
	}
	at, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil || at < 0 {
		return l, false
	}
	l = goReplayLine{kind: words[0][0], id: words[1], at: time.Unix(0, at).UTC(), old: true}
	if len(words) > 3 {
		if took, err := strconv.ParseInt(words[3], 10, 64); err == nil {
			l.took, l.old = time.Duration(max(took, 0)), took < 0
		}
	} else if l.kind == goReplayAnswer && at < oldestTime {
		l.took = time.Duration(at)
	}
	return l, true
}

// waited is how long it took from the first byte of a request to the last of its
// answer.
func (l goReplayLine) waited(answer goReplayLine) time.Duration {
	took := answer.took
	if !l.old || took == 0 {
		took += max(answer.at.Sub(l.at), 0)
	}
	return took
}

// goReplay joins requests and answers, which come in any order of each other: an
// answer that is read off the network faster stands before its request.
type goReplay struct {
	i       *importing
	pending map[string]*list.Element
	order   *list.List // the same, oldest first
	bytes   int
}

// pendingMessage is a request that waits for its answer, or an answer that waits for
// its request.
type pendingMessage struct {
	Exchange
	goReplayLine
	place string
}

func readGoReplay(i *importing, r *bufio.Reader) error {
	g := &goReplay{i: i, pending: map[string]*list.Element{}, order: list.New()}
	m := &goReplayMessage{r: r}
	for {
		at := m.at
		place := fmt.Sprint("byte ", at)
		if err := g.message(m, place); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, m); err != nil {
			return errors.Join(g.rest(), i.failed(place, err))
		}
		if m.last {
			return g.rest()
		}
		m.next()
	}
}

// goReplayMessage reads one message, up to the line that ends it, or to the end of
// the file.
type goReplayMessage struct {
	r       *bufio.Reader
	at      int64  // bytes read of the file
	piece   []byte // read and not given yet
	within  bool   // a line goes on
	newline bool   // one was read, which belongs to the message unless it ends here
	ended   bool
	last    bool // of the file
}

func (m *goReplayMessage) next() { m.ended, m.newline, m.within = false, false, false }

func (m *goReplayMessage) Read(p []byte) (int, error) {
	for len(m.piece) == 0 {
		if m.ended {
			return 0, io.EOF
		}
		if err := m.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, m.piece)
	m.piece = m.piece[n:]
	return n, nil
}

// oneNewline is given before what follows a newline.
var oneNewline = []byte("\n")

func (m *goReplayMessage) fill() error {
	if !m.within {
		if start, _ := m.r.Peek(len(goReplayEnd) + 2); isGoReplayEnd(start) {
			line, err := m.r.ReadSlice('\n')
			m.at, m.ended = m.at+int64(len(line)), true
			m.last = errors.Is(err, io.EOF)
			return nil
		}
	}
	if m.newline {
		m.newline, m.within, m.piece = false, true, oneNewline
		return nil
	}
	piece, err := m.r.ReadSlice('\n')
	m.at += int64(len(piece))
	m.newline = bytes.HasSuffix(piece, oneNewline)
	m.within = !m.newline
	m.piece = bytes.TrimSuffix(piece, oneNewline)
	switch {
	case errors.Is(err, io.EOF):
		m.ended, m.last = true, true
	case err != nil && !errors.Is(err, bufio.ErrBufferFull):
		return err
	}
	return nil
}

// isGoReplayEnd reports whether a line is the one that ends a message.
func isGoReplayEnd(start []byte) bool {
	after, is := bytes.CutPrefix(start, []byte(goReplayEnd))
	return is && (len(after) == 0 || after[0] == '\n' || len(after) > 1 && after[0] == '\r' && after[1] == '\n')
}

// mostHead is what stands before a body at most, in bytes: net/http would read any
// length.
const mostHead = maxHeaders + maxTarget

func (g *goReplay) message(m *goReplayMessage, place string) error {
	limited := &io.LimitedReader{R: m, N: mostHead}
	r := bufio.NewReader(limited)
	first, err := r.ReadSlice('\n')
	if errors.Is(err, io.EOF) && len(bytes.TrimSpace(first)) == 0 {
		return nil // after the last message
	}
	line, ok := readGoReplayLine(string(first))
	switch {
	case !ok:
		g.skip("it is no message of GoReplay", place)
		return nil
	case line.kind == goReplayReplayed:
		g.skip("it is the answer to a replay", place)
		return nil
	case line.kind == goReplayAnswer:
		return g.answer(line, r, limited, place)
	}
	return g.request(line, r, limited, place)
}

func (g *goReplay) skip(reason, place string) {
	g.i.begin()
	g.i.skip(reason, place)
}

func (g *goReplay) request(line goReplayLine, r *bufio.Reader, limited *io.LimitedReader, place string) error {
	q, err := http.ReadRequest(r)
	limited.N = math.MaxInt64
	if err != nil || !isMethod(q.Method) {
		g.skip("its request can not be read", place)
		return nil
	}
	p := &pendingMessage{goReplayLine: line, place: place, Exchange: Exchange{At: line.at, Request: Request{
		Method: q.Method, Host: q.Host, Target: q.RequestURI, Header: q.Header, Body: ReadBody(q.Body, q.Header, g.i.most),
	}}}
	p.Response.Failure, p.Response.Body.Size = "its answer is not in the file", -1
	return g.arrived(p)
}

func (g *goReplay) answer(line goReplayLine, r *bufio.Reader, limited *io.LimitedReader, place string) error {
	method := ""
	if e := g.pending[line.id]; e != nil {
		method = e.Value.(*pendingMessage).Request.Method
	}
	a, err := readAnswer(r, method)
	limited.N = math.MaxInt64
	switch {
	case errors.Is(err, errOnlyAnnounced):
		g.skip("it only announces an answer", place)
		return nil
	case err != nil:
		g.skip("its answer can not be read", place)
		return nil
	}
	p := &pendingMessage{goReplayLine: line, place: place}
	p.Response = Response{Status: a.StatusCode, Header: a.Header, Body: ReadBody(a.Body, a.Header, g.i.most)}
	return g.arrived(p)
}

// arrived joins a message with what it belongs to, or lets it wait for that.
func (g *goReplay) arrived(p *pendingMessage) error {
	e := g.pending[p.id]
	switch {
	case e == nil:
		g.pending[p.id] = g.order.PushBack(p)
		g.bytes += weight(&p.Exchange)
		for len(g.pending) > mostPending || g.bytes > mostPendingBytes {
			if err := g.give(g.order.Front()); err != nil {
				return err
			}
		}
		return nil
	case e.Value.(*pendingMessage).kind == p.kind:
		g.skip("its id is that of another message", p.place)
		return nil
	}
	asked, answered := g.drop(e), p
	if asked.kind == goReplayAnswer {
		asked, answered = answered, asked
	}
	g.i.begin()
	g.i.counts.Joined++
	asked.Took, asked.Response = asked.waited(answered.goReplayLine), answered.Response
	if asked.Request.Method == http.MethodHead {
		asked.Response.Body = Body{} // whatever its headers say
	}
	return g.i.keep(asked.Exchange, asked.place)
}

// drop takes out a message that waits.
func (g *goReplay) drop(e *list.Element) *pendingMessage {
	p := g.order.Remove(e).(*pendingMessage)
	delete(g.pending, p.id)
	g.bytes -= weight(&p.Exchange)
	return p
}

// give hands on a request that waits, without an answer.
func (g *goReplay) give(e *list.Element) error {
	p := g.drop(e)
	if p.kind == goReplayAnswer {
		g.skip("it is an answer without its request", p.place)
		return nil
	}
	g.i.begin()
	return g.i.keep(p.Exchange, p.place)
}

// rest hands on what got no answer.
func (g *goReplay) rest() error {
	for g.order.Len() > 0 {
		if err := g.give(g.order.Front()); err != nil {
			return err
		}
	}
	return nil
}

// errOnlyAnnounced says that a message has no more than that an answer will come,
// with a status of 1xx.
var errOnlyAnnounced = errors.New("it only announces an answer")

// readAnswer reads an answer, and goes over those that only say that one will come.
func readAnswer(r *bufio.Reader, method string) (*http.Response, error) {
	for try := 0; ; try++ {
		if _, err := r.Peek(1); try > 0 && errors.Is(err, io.EOF) {
			return nil, errOnlyAnnounced
		}
		a, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil || a.StatusCode >= 200 || a.StatusCode == http.StatusSwitchingProtocols || try == 5 {
			return a, err
		}
	}
}

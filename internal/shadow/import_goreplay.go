package shadow

import (
	"bufio"
	"bytes"
	"container/list"
	"errors"
	"fmt"
	"io"
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
type goReplayLine struct {
	kind byte
	id   string
	at   time.Time
	took time.Duration
}

func readGoReplayLine(line string) (l goReplayLine, ok bool) {
	words := strings.Fields(line)
	if len(words) < 3 || len(words) > 5 || len(words[0]) != 1 || words[0] < "1" || words[0] > "3" || len(words[1]) > 64 {
		return l, false
	}
	at, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil || at < 0 {
		return l, false
	}
	l = goReplayLine{kind: words[0][0], id: words[1], at: time.Unix(0, at).UTC()}
	if len(words) > 3 {
		if took, err := strconv.ParseInt(words[3], 10, 64); err == nil {
			l.took = time.Duration(max(took, 0))
		}
	}
	return l, true
}

// goReplay joins requests and answers, which come in any order of each other.
type goReplay struct {
	i       *importing
	pending map[string]*list.Element // of requests
	order   *list.List               // the same, oldest first
	bytes   int
}

type pendingRequest struct {
	Exchange
	id, place string
}

func readGoReplay(i *importing, r *bufio.Reader) error {
	g := &goReplay{i: i, pending: map[string]*list.Element{}, order: list.New()}
	most := int(i.most)*2 + lineRoom // a body may be packed badly
	var at int64
	var buffer []byte
	for {
		place := fmt.Sprint("byte ", at)
		message, read, tooLong, err := readGoReplayMessage(r, buffer[:0], most)
		at += read
		if err != nil && !errors.Is(err, io.EOF) {
			return errors.Join(g.rest(), i.failed(place, err))
		}
		if len(bytes.TrimSpace(message)) > 0 {
			if err := g.message(message, tooLong, place); err != nil {
				return err
			}
		}
		if err != nil {
			return g.rest()
		}
		buffer = message
	}
}

// readGoReplayMessage reads up to the line that ends a message, or to the end of
// the file.
func readGoReplayMessage(r *bufio.Reader, buffer []byte, most int) (message []byte, read int64, tooLong bool, err error) {
	for lineStart := true; ; {
		piece, err := r.ReadSlice('\n')
		read += int64(len(piece))
		if lineStart && string(bytes.TrimRight(piece, "\r\n")) == goReplayEnd {
			return bytes.TrimSuffix(buffer, []byte("\n")), read, tooLong, nil
		}
		if room := most - len(buffer); len(piece) > room {
			piece, tooLong = piece[:max(room, 0)], true
		}
		buffer = append(buffer, piece...)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return buffer, read, tooLong, err
		}
		lineStart = err == nil
	}
}

func (g *goReplay) message(message []byte, tooLong bool, place string) error {
	first, raw, _ := bytes.Cut(message, []byte("\n"))
	line, ok := readGoReplayLine(string(first))
	switch {
	case !ok:
		g.skip("it is no message of GoReplay", place)
		return nil
	case line.kind == goReplayReplayed:
		g.skip("it is the answer to a replay", place)
		return nil
	case line.kind == goReplayAnswer:
		return g.answer(line, raw, tooLong, place)
	}
	return g.request(line, raw, tooLong, place)
}

func (g *goReplay) skip(reason, place string) {
	g.i.begin()
	g.i.skip(reason, place)
}

func (g *goReplay) request(line goReplayLine, raw []byte, tooLong bool, place string) error {
	q, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil || !isMethod(q.Method) {
		g.skip("its request can not be read", place)
		return nil
	}
	if _, twice := g.pending[line.id]; twice {
		g.skip("its id is that of another request", place)
		return nil
	}
	g.i.begin()
	p := &pendingRequest{id: line.id, place: place, Exchange: Exchange{At: line.at, Request: Request{
		Method: q.Method, Host: q.Host, Target: q.RequestURI, Header: q.Header, Body: ReadBody(q.Body, q.Header, g.i.most),
	}}}
	p.Request.Body.damagedIf(tooLong)
	p.Response.Failure, p.Response.Body.Size = "its answer is not in the file", -1
	g.pending[line.id] = g.order.PushBack(p)
	g.bytes += weight(&p.Exchange)
	for len(g.pending) > mostPending || g.bytes > mostPendingBytes {
		if err := g.give(g.order.Front()); err != nil {
			return err
		}
	}
	return nil
}

func (b *Body) damagedIf(tooLong bool) {
	if tooLong && b.Damage != "" {
		b.Damage = "the message is longer than can be read"
	}
}

// give hands on a request that waits.
func (g *goReplay) give(e *list.Element) error {
	p := g.order.Remove(e).(*pendingRequest)
	delete(g.pending, p.id)
	g.bytes -= weight(&Exchange{Request: p.Request})
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

func (g *goReplay) answer(line goReplayLine, raw []byte, tooLong bool, place string) error {
	e := g.pending[line.id]
	if e == nil {
		g.skip("it is an answer without its request", place)
		return nil
	}
	p := e.Value.(*pendingRequest)
	a, err := readAnswer(raw, p.Request.Method)
	if err != nil {
		g.skip("its answer can not be read", place)
		return nil
	}
	g.i.counts.Joined++
	p.Took = line.took
	if p.Took == 0 {
		p.Took = max(line.at.Sub(p.At), 0)
	}
	p.Response = Response{Status: a.StatusCode, Header: a.Header, Body: ReadBody(a.Body, a.Header, g.i.most)}
	p.Response.Body.damagedIf(tooLong)
	return g.give(e)
}

// readAnswer reads an answer, and goes over those that only say that one will come.
func readAnswer(raw []byte, method string) (*http.Response, error) {
	r := bufio.NewReader(bytes.NewReader(raw))
	for try := 0; ; try++ {
		a, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil || a.StatusCode >= 200 || a.StatusCode == http.StatusSwitchingProtocols || try == 5 {
			return a, err
		}
	}
}

package disrupt

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// link speaks with the agent in one pod. It connects when there is something
// to say, and again when the connection was lost.
type link struct {
	open func(ctx context.Context) (io.ReadWriteCloser, error)

	mu   sync.Mutex
	conn *conversation
}

// conversation is a link while it is connected.
type conversation struct {
	stream io.ReadWriteCloser
	write  sync.Mutex
	ended  chan struct{} // closed when the connection is lost, then err is why
	err    error

	mu      sync.Mutex
	waiting map[string]chan agentAnswer
}

// linkPause is how long after a lost connection another is tried.
const linkPause = 200 * time.Millisecond

// ask gives an order and returns the answer. A lost connection is made again
// until the context ends: orders may be given twice. An error is that there
// was no answer; what the agent says of the order is in the answer.
func (l *link) ask(ctx context.Context, r agentRequest) (agentAnswer, error) {
	var last error
	for {
		c, err := l.connected()
		if err == nil {
			var a agentAnswer
			if a, err = c.ask(ctx, r); err == nil {
				return a, nil
			}
			l.drop(c)
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		timer := time.NewTimer(linkPause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return agentAnswer{}, fmt.Errorf("the agent gave no answer: %w", last)
		case <-timer.C:
		}
	}
}

// connected gives the connection, made now if there is none. It lives longer
// than the order that it was made for.
func (l *link) connected() (*conversation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		return l.conn, nil
	}
	stream, err := l.open(context.Background())
	if err != nil {
		return nil, err
	}
	l.conn = &conversation{stream: stream, ended: make(chan struct{}), waiting: map[string]chan agentAnswer{}}
	go l.conn.read()
	return l.conn, nil
}

// drop forgets a connection.
func (l *link) drop(c *conversation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == c {
		_ = c.stream.Close()
		l.conn = nil
	}
}

// close ends the connection, if there is one.
func (l *link) close() {
	l.mu.Lock()
	c := l.conn
	l.mu.Unlock()
	if c != nil {
		l.drop(c)
	}
}

// read hands answers to whoever waits for them. What others asked, and what is
// no answer at all, is passed over.
func (c *conversation) read() {
	lines := bufio.NewScanner(c.stream)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a agentAnswer
		if json.Unmarshal(lines.Bytes(), &a) != nil {
			continue
		}
		c.mu.Lock()
		if wait := c.waiting[a.Seq]; wait != nil {
			delete(c.waiting, a.Seq)
			wait <- a
		}
		c.mu.Unlock()
	}
	if c.err = lines.Err(); c.err == nil {
		c.err = errors.New("the connection was closed")
	}
	close(c.ended)
}

// askPatience is how long one try waits for an answer: longer than the agent
// needs for anything.
const askPatience = 3 * time.Second

func (c *conversation) ask(ctx context.Context, r agentRequest) (agentAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	r.Seq = rand.Text()
	line, err := json.Marshal(r)
	if err != nil {
		return agentAnswer{}, err
	}
	wait := make(chan agentAnswer, 1)
	c.mu.Lock()
	c.waiting[r.Seq] = wait
	c.mu.Unlock()
	defer func() { // it may never be answered
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, r.Seq)
	}()
	go func() { // a write to a connection that hangs would not end with the context
		c.write.Lock()
		defer c.write.Unlock()
		_, _ = c.stream.Write(append(append([]byte{'\n'}, line...), '\n')) // reading tells what is wrong
	}()
	select {
	case a := <-wait:
		return a, nil
	case <-c.ended:
		return agentAnswer{}, c.err
	case <-ctx.Done():
		return agentAnswer{}, ctx.Err()
	}
}

package shadow

import (
	"context"
	"io"
	"net/http"
)

// mirrorSink takes the requests that a proxy elsewhere mirrors. That proxy throws the
// answer away, so it gets one at once: some wait for it before they use the
// connection again.
type mirrorSink struct {
	mirror *Mirror
	server *proxyServer
}

func startSink(ctx context.Context, m *Mirror) (*mirrorSink, error) {
	l, err := proxyListen(ctx, m.options.Listen)
	if err != nil {
		return nil, err
	}
	s := &mirrorSink{mirror: m}
	s.server = serveProxy(context.WithoutCancel(ctx), s, l, m.options.TLS.Serve)
	return s, nil
}

func (s *mirrorSink) close(ctx context.Context) {
	s.server.close(ctx)
	s.mirror.proxy.fates.wait()
}

// ServeHTTP takes one request.
func (s *mirrorSink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m := s.mirror
	if !m.proxy.fates.enter() {
		panic(http.ErrAbortHandler)
	}
	defer m.proxy.fates.leave()
	m.proxy.fates.seen.Add(1)
	switch {
	case r.Header["Upgrade"] != nil || isGRPC(r.Header):
		m.proxy.fates.streams.Add(1)
	case m.wanted(r):
		s.take(r)
	}
	w.WriteHeader(http.StatusNoContent)
}

// take keeps a request whole, or not at all.
func (s *mirrorSink) take(r *http.Request) {
	m := s.mirror
	c := newCapture(&m.proxy, r)
	if c == nil {
		m.dropped.Add(1)
		return
	}
	c.host = mirroredHost(r.Host)
	buffer := proxyBuffers{}.Get()
	defer proxyBuffers{}.Put(buffer)
	for r.Body != http.NoBody && !c.asked.cut() && !c.asked.lost {
		n, err := r.Body.Read(buffer)
		c.asked.keep(buffer[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			m.drop(c, &m.unanswered)
			return
		}
	}
	if c.asked.lost {
		m.drop(c, &m.dropped)
		return
	}
	m.enqueue(c)
}

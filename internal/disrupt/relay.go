package disrupt

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// newSwitch makes the part of a proxy that passes on requests to switch to
// another protocol, WebSocket for one.
func newSwitch(p *Proxy) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:       p.rewrite,
		Transport:     p.upstream.transport,
		ErrorHandler:  p.refuse,
		FlushInterval: time.Millisecond,
		BufferPool:    buffers{},
		ErrorLog:      log.New(io.Discard, "", 0), // errors are measured
	}
}

// ServeHTTP passes one request on through the faults in effect.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		http.Error(w, "resilience: "+p.name+" is not a forward proxy", http.StatusMethodNotAllowed)
		return
	}
	if !p.enter() {
		panic(http.ErrAbortHandler)
	}
	defer p.handlers.Done()
	x := &exchange{ResponseWriter: w, proxy: p, request: r, start: time.Now()}
	defer x.end()
	if r.ContentLength != 0 {
		r = x.receive(r)
	}
	if injected := *p.injected.Load(); len(injected) == 0 {
		p.pass(x, r)
	} else {
		through(injected, x, r, p.pass)
	}
	x.returned = true
}

// through lets a request meet the faults from the first on, and then last.
func through(injected []*injection, w http.ResponseWriter, r *http.Request, last http.HandlerFunc) {
	for n, i := range injected {
		if r.Context().Err() != nil {
			panic(http.ErrAbortHandler) // nobody is waiting
		}
		if c := i.chance(r); c != nil {
			i.of.harm.effect.touch(w, r, c, func(w http.ResponseWriter, r *http.Request) {
				through(injected[n+1:], w, r, last)
			})
			return
		}
	}
	last(w, r)
}

// pass passes one request on, and its answer back.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request) {
	switch upgrade := r.Header["Upgrade"]; {
	case upgrade == nil:
		p.forward(w, r)
	case strings.EqualFold(upgrade[0], "h2c"):
		// An upgraded connection would carry requests past us. The client
		// goes on with HTTP/1.1, as with any server that does not upgrade.
		r.Header.Del("Upgrade")
		p.forward(w, r)
	default:
		p.switches.ServeHTTP(w, r)
	}
}

// rewrite addresses a request to the upstream and undoes what ReverseProxy
// does for proxies that are not transparent.
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out
	readdress(out.URL, p.upstream.url, in.RequestURI)
	out.URL.RawQuery = in.URL.RawQuery
	out.Host = ""
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := in.Header[name]; ok {
			out.Header[name] = values
		}
	}
	out.Trailer = in.Trailer // filled in when the body ends; a copy would stay empty
}

// readdress points u at base. The path stays byte for byte what the request
// line says, encoded slashes, double slashes and dots included.
func readdress(u, base *url.URL, requestURI string) {
	u.Scheme, u.Host = base.Scheme, base.Host
	if u.Path == "*" || u.RawPath == "" && base.Path == "" && strings.HasPrefix(requestURI, "/") {
		return // without RawPath it is encoded the way it came
	}
	raw, _, _ := strings.Cut(requestURI, "?")
	if !strings.HasPrefix(raw, "/") { // absolute form
		raw = u.EscapedPath()
	}
	raw = strings.TrimSuffix(base.EscapedPath(), "/") + raw
	u.Path = strings.TrimSuffix(base.Path, "/") + u.Path
	u.RawPath = raw
	// What is not encoded as RFC 3986 wants it would be encoded again. Only
	// an opaque URL keeps it, and that can not begin with two slashes.
	if u.EscapedPath() != raw && !strings.HasPrefix(raw, "//") {
		u.Opaque = raw
	}
}

// refuse answers a request that the upstream gave no answer to.
func (p *Proxy) refuse(w http.ResponseWriter, _ *http.Request, err error) {
	x, ok := w.(*exchange)
	for !ok { // a fault may have wrapped it
		u, wraps := w.(interface{ Unwrap() http.ResponseWriter })
		if !wraps {
			panic(http.ErrAbortHandler)
		}
		w = u.Unwrap()
		x, ok = w.(*exchange)
	}
	if x.abandoned() || p.ctx.Err() != nil {
		panic(http.ErrAbortHandler) // or the server would answer 200
	}
	x.refused = true
	http.Error(x, fmt.Sprintf("resilience: no answer from %s: %v", p.name, err), http.StatusBadGateway)
}

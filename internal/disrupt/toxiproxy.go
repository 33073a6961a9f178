package disrupt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// toxiproxied is a proxy of a Toxiproxy server that somebody else runs. It is
// used as it is where there is one of its name, or made and removed again.
// Toxiproxy counts neither connections nor requests: nothing is measured.
type toxiproxied struct {
	name     string
	api      *toxiproxyAPI
	proxy    string // its name there
	made     bool   // by us
	protocol string
	host     string
	port     int
}

func newToxiproxy(ctx context.Context, name string, d plan.Dependency, _, _ string, _ func(measure.Batch) error) (Dependency, error) {
	t, err := openToxiproxy(ctx, name, d)
	if err != nil {
		return nil, fmt.Errorf("dependency %q: %w", name, err)
	}
	return t, nil
}

func openToxiproxy(ctx context.Context, name string, d plan.Dependency) (*toxiproxied, error) {
	if d.Protocol == "dns" || d.TLS != nil || d.Serve != nil {
		return nil, errors.New("toxiproxy passes on connections of TCP as they are: leave out protocol dns, tls and serve")
	}
	api, err := newToxiproxyAPI(d.Toxiproxy.URL)
	if err != nil {
		return nil, err
	}
	t := &toxiproxied{name: name, api: api, proxy: cmp.Or(d.Toxiproxy.Name, name), protocol: cmp.Or(d.Protocol, "http")}
	p, err := api.proxy(ctx, t.proxy)
	if absent(err) {
		p, err = t.create(ctx, d)
	}
	if err == nil {
		err = t.use(p, d)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("proxy %q of the Toxiproxy server at %s: %w", t.proxy, api.base, err), t.Close())
	}
	return t, nil
}

// create makes the proxy. The server chooses its port unless the plan does.
func (t *toxiproxied) create(ctx context.Context, d plan.Dependency) (toxiproxy.Proxy, error) {
	upstream, err := d.Host()
	switch {
	case err != nil:
		return toxiproxy.Proxy{}, fmt.Errorf("upstream: %w", err)
	case upstream == "":
		return toxiproxy.Proxy{}, errors.New("there is none, and to make it takes an upstream: give one, or the right name")
	}
	listen := d.Listen
	if listen == "" {
		listen = net.JoinHostPort(t.server(), "0")
	}
	p, err := t.api.create(ctx, t.proxy, listen, upstream)
	t.made = err == nil
	return p, err
}

// server is the host of the Toxiproxy server.
func (t *toxiproxied) server() string {
	u, err := url.Parse(t.api.base)
	if err != nil {
		return "" // it was read before
	}
	return u.Hostname()
}

// use takes over where the proxy listens, and wants it to be the right one.
func (t *toxiproxied) use(p toxiproxy.Proxy, d plan.Dependency) error {
	upstream, err := d.Host()
	switch {
	case err != nil:
		return fmt.Errorf("upstream: %w", err)
	case upstream != "" && upstream != p.Upstream:
		return fmt.Errorf("its upstream is %s and not %s: leave out the upstream, or give another name", p.Upstream, upstream)
	case !p.Enabled:
		return errors.New("it is disabled: enable it, or lift what a killed run left behind (resilience lift)")
	}
	host, port, err := net.SplitHostPort(p.Listen)
	if err == nil {
		t.port, err = strconv.Atoi(port)
	}
	if err != nil {
		return fmt.Errorf("it listens on %q, which is no host:port: %w", p.Listen, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = t.server()
	}
	t.host = host
	return nil
}

// Port is where the proxy listens.
func (t *toxiproxied) Port() int { return t.port }

// URL is what callers use instead of the dependency.
func (t *toxiproxied) URL() string {
	scheme := "http"
	if t.protocol == "tcp" {
		scheme = "tcp"
	}
	return scheme + "://" + net.JoinHostPort(t.host, strconv.Itoa(t.port))
}

// Close removes the proxy if it was made here.
func (t *toxiproxied) Close() error {
	if !t.made {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), toxiproxyLimit)
	defer cancel()
	if err := t.api.delete(ctx, t.proxy); err != nil && !absent(err) {
		return fmt.Errorf("dependency %q: remove proxy %q of the Toxiproxy server at %s: %w", t.name, t.proxy, t.api.base, err)
	}
	return nil
}

// Disruption reads what a disruption of a plan asks for. What Toxiproxy can not
// do is an error.
func (t *toxiproxied) Disruption(d plan.Disruption, _ int64) (Disruption, error) {
	if d.Dependency != t.name {
		return nil, fmt.Errorf("disruption %q: is for dependency %q, not for %q", d.Name, d.Dependency, t.name)
	}
	toxics, disable, err := readToxics(d)
	if err != nil {
		return nil, fmt.Errorf("disruption %q: %w", d.Name, err)
	}
	return &toxiproxyFault{on: t, name: d.Name, toxics: toxics, disable: disable}, nil
}

// readToxics turns a fault into toxics of Toxiproxy, or into disabling the
// proxy. Their names say whose they are.
func readToxics(d plan.Disruption) (toxics []toxiproxy.Toxic, disable bool, err error) {
	kind, err := onlyFault(d)
	switch {
	case err != nil:
		return nil, false, err
	case d.Match != nil || d.First > 0 || d.Flap != nil:
		return nil, false, errors.New("a Toxiproxy server can not do match, first or flap: leave them out, or let the dependency have a proxy of the harness")
	case kind == "refuse" && d.Share > 0 && d.Share < 1:
		return nil, false, errors.New("refuse closes the port for everybody: leave out share")
	case kind == "refuse":
		return nil, true, nil
	}
	read, ok := toxiproxyFaults[kind]
	if !ok {
		return nil, false, fmt.Errorf("a Toxiproxy server can not do %s: let the dependency have a proxy of the harness", kind)
	}
	toxic, both, err := read(d)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", kind, err)
	}
	toxic.Toxicity = float32(cmp.Or(float64(d.Share), 1))
	if !(toxic.Toxicity > 0 && toxic.Toxicity <= 1) { // NaN too
		return nil, false, fmt.Errorf("share %v is not above 0 %% and up to 100 %%", toxic.Toxicity)
	}
	streams := []string{"downstream"}
	if both && toxic.Toxicity == 1 { // it draws for each direction apart
		streams = append(streams, "upstream")
	}
	for _, stream := range streams {
		toxic.Name, toxic.Stream = "resilience-"+d.Name+"-"+stream, stream
		toxics = append(toxics, toxic)
	}
	return toxics, false, nil
}

// toxiproxyFaults is what Toxiproxy can do, and whether in both directions. In
// one, that is what comes from the dependency.
var toxiproxyFaults = map[string]func(plan.Disruption) (t toxiproxy.Toxic, both bool, err error){
	"latency": func(d plan.Disruption) (toxiproxy.Toxic, bool, error) {
		if _, err := readLatency(d); err != nil {
			return toxiproxy.Toxic{}, false, err
		}
		if d.Latency.Distribution != "" && d.Latency.Distribution != "uniform" {
			return toxiproxy.Toxic{}, false, fmt.Errorf("the distribution of a Toxiproxy server is uniform, it can not do %s", d.Latency.Distribution)
		}
		return toxic("latency", "latency", wholeMillis(d.Latency.Delay), "jitter", wholeMillis(d.Latency.Jitter)), false, nil
	},
	"bandwidth": func(d plan.Disruption) (toxiproxy.Toxic, bool, error) {
		const kilobyte = 1000
		if d.Bandwidth.PerSecond < kilobyte {
			return toxiproxy.Toxic{}, false, errors.New("a Toxiproxy server counts in whole KB: per_second must be 1KB or more")
		}
		return toxic("bandwidth", "rate", int64(d.Bandwidth.PerSecond/kilobyte)), true, nil //nolint:gosec // up to 1 PiB
	},
	"reset": func(d plan.Disruption) (toxiproxy.Toxic, bool, error) {
		return toxic("reset_peer", "timeout", wholeMillis(d.Reset.After)), true, nil
	},
	"slice": func(d plan.Disruption) (toxiproxy.Toxic, bool, error) {
		if d.Slice.Size == 0 {
			return toxiproxy.Toxic{}, false, errors.New("size must be more than 0B")
		}
		return toxic("slicer", "average_size", int64(d.Slice.Size), "delay", int64(time.Duration(d.Slice.Delay)/time.Microsecond)), true, nil //nolint:gosec // up to 1 PiB
	},
	"slow_close": func(d plan.Disruption) (toxiproxy.Toxic, bool, error) {
		return toxic("slow_close", "delay", wholeMillis(d.SlowClose.Delay)), false, nil
	},
	"timeout": func(d plan.Disruption) (toxiproxy.Toxic, bool, error) {
		return toxic("timeout", "timeout", wholeMillis(d.Timeout.After)), true, nil
	},
	"truncate": func(d plan.Disruption) (toxiproxy.Toxic, bool, error) {
		return toxic("limit_data", "bytes", int64(d.Truncate.After)), false, nil //nolint:gosec // up to 1 PiB
	},
}

// toxic makes one of pairs of attributes and values.
func toxic(kind string, pairs ...any) toxiproxy.Toxic {
	attributes := toxiproxy.Attributes{}
	for i := 0; i < len(pairs); i += 2 {
		attributes[pairs[i].(string)] = pairs[i+1]
	}
	return toxiproxy.Toxic{Type: kind, Attributes: attributes}
}

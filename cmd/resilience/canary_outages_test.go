package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/canary"
)

const outagesPlan = `
name: trial
secrets: {hook: {env: HOOK}}
targets: {shop: {url: %q}}
tenants: {file: tenants.csv}
canary:
  target: shop
  script: canary.js
  tenants: all
  vus: 40
  transactions:
    browse: {every: 10s, timeout: 4s, slow: 2500ms}
    order: {every: 20s, timeout: 6s, slow: 3s, tries: 2, wait: 100ms}
  health: {path: /healthz, every: 1s}
  receivers:
    hook: {webhook: {url: "${secrets.hook}"}}
  alerts:
    shop: {by: transaction, open: [4 in a row, 3 of 150], close: 3 in a row, quiet: 12s, owner: team-shop, runbook: "https://runbooks.example/shop", to: hook}
`

const outagesScript = `
import http from 'k6/http';
import { eventually, tenant, transaction } from 'k6/x/resilience';

const base = __ENV.TARGET_URL;
const json = { headers: { 'Content-Type': 'application/json' } };

export function browse() {
  transaction('browse', (tx) => {
    const products = http.get(base + '/products').json('products');
    tx.completed(products.length > 0 && products.every((p) => p.price > 0));
  });
}

export function order() {
  transaction('order', (tx) => {
    const cart = tenant().prefix + crypto.randomUUID();
    http.post(base + '/cart', JSON.stringify({ cart, product: http.get(base + '/products').json('products')[0].id, quantity: 1 }), json);
    const bought = http.post(base + '/checkout', JSON.stringify({ cart }), { headers: { ...json.headers, 'Idempotency-Key': cart } });
    tx.completed(eventually(() => http.get(base + '/orders/' + bought.json('id'), { tags: { name: 'order' } }).status === 200, { within: '2s' }));
  });
}
`

// trouble is what a proxy before the shop does to its users for a while, and to
// nobody else: it is the truth that the canary has to find.
type trouble struct {
	name string
	on   func(p *troubled, w http.ResponseWriter, r *http.Request) (done bool)
}

var troubles = []trouble{
	{"hard down", func(_ *troubled, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}},
	{"one cell only", func(_ *troubled, w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.Header.Get("X-Synthetic-Tenant"), "3") { // whose cell is c3
			return false
		}
		w.WriteHeader(http.StatusBadGateway)
		return true
	}},
	{"wrong answers with status 200", func(p *troubled, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/products" || p.seen.Add(1)%25 != 0 {
			return false
		}
		fmt.Fprint(w, `{"products": [{"id": "p1", "price": 0}]}`)
		return true
	}},
	{"a slow tail", func(p *troubled, _ http.ResponseWriter, r *http.Request) bool {
		if p.seen.Add(1)%20 == 0 {
			select {
			case <-time.After(3 * time.Second): // that is the trouble
			case <-r.Context().Done():
			}
		}
		return false
	}},
	{"up and down", func(p *troubled, w http.ResponseWriter, _ *http.Request) bool {
		if time.Since(time.Unix(0, p.since.Load()))/(4*time.Second)%2 != 0 {
			return false
		}
		w.WriteHeader(http.StatusInternalServerError)
		return true
	}},
}

// troubled is the proxy. Its health endpoint says that all is well, whatever is.
type troubled struct {
	*httptest.Server
	now   atomic.Pointer[trouble]
	since atomic.Int64
	seen  atomic.Int64
}

func newTroubled(t *testing.T, shop string) *troubled {
	to, err := url.Parse(shop)
	require.NoError(t, err)
	p := &troubled{}
	forward := httputil.NewSingleHostReverseProxy(to)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if trouble := p.now.Load(); r.URL.Path != "/healthz" && trouble != nil && trouble.on(p, w, r) {
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// TestCanaryFindsOutages has 200 tenants of the real shop try what customers do,
// while it is down, wrong, slow, flapping or broken in one cell, and its health
// endpoint lies. Each outage is one incident, with the times of the truth within
// an interval, and one page; noise is none. OUTAGES says how many of the troubles
// there are; `make canary-trials` has them all.
func TestCanaryFindsOutages(t *testing.T) {
	if testing.Short() {
		t.Skip("this sends real traffic for minutes")
	}
	n := numberFrom(t, "OUTAGES", 1)
	proxy := newTroubled(t, startShop(t))
	w := newCanaryAtShop(t, proxy.URL)
	<-time.After(12 * time.Second) // a calm before, which has to be quiet
	require.Empty(t, w.incidents())
	for i := range troubles[:n] {
		began := time.Now()
		proxy.since.Store(began.UnixNano())
		proxy.now.Store(&troubles[i])
		<-time.After(30 * time.Second) // so long it lasts
		proxy.now.Store(nil)
		ended := time.Now()
		w.outages = append(w.outages, began)
		w.await(troubles[i].name+" is over", func(all []canary.Incident) bool { return len(all) == i+1 && !all[i].Open() })
		found := w.incidents()[i]
		const interval = float64(10 * time.Second)
		require.InDelta(t, began.UnixNano(), found.Start, interval, "start of %s", troubles[i].name)
		require.InDelta(t, began.UnixNano(), found.Detected, 2*interval, "detection of %s", troubles[i].name)
		require.InDelta(t, ended.UnixNano(), found.End, interval, "end of %s", troubles[i].name)
		if troubles[i].name == "one cell only" {
			require.Equal(t, "c3", found.Common()["cell"])
		}
		t.Logf("%s: found after %s, began %s and ended %s off the truth", troubles[i].name, time.Unix(0, found.Detected).Sub(began).Round(time.Millisecond),
			time.Unix(0, found.Start).Sub(began).Round(time.Millisecond), time.Unix(0, found.End).Sub(ended).Round(time.Millisecond))
	}
	w.settle()
	w.stop()
	for _, kinds := range w.told {
		require.Equal(t, map[string]int{canary.Opened: 1, canary.Closed: 1}, kinds)
	}
}

// startShop starts the services of the shop and gives the URL of its front.
func startShop(t *testing.T) string {
	urls := map[string]string{}
	for _, name := range []string{"catalog", "orders", "payments", "recommendations", "front"} {
		address := freeAddress(t)
		urls[name] = "http://" + address
		args := []string{"shop", name, "--addr", address}
		if name == "front" {
			for other, at := range urls {
				if other != name {
					args = append(args, "--"+other, at)
				}
			}
		}
		cmd := exec.Command("resilience", args...)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		})
		require.Eventually(t, func() bool {
			response, err := http.Get(urls[name] + "/healthz")
			if err != nil {
				return false
			}
			_, _ = io.Copy(io.Discard, response.Body)
			return response.Body.Close() == nil
		}, time.Minute, 50*time.Millisecond, name)
	}
	return urls["front"]
}

// newCanaryAtShop is the canary of 200 tenants in ten cells.
func newCanaryAtShop(t *testing.T, target string) *canaryWorld {
	w := &canaryWorld{T: t, dir: t.TempDir(), told: map[string]map[string]int{}, patient: true}
	hook := httptest.NewServer(http.HandlerFunc(w.hear))
	t.Cleanup(hook.Close)
	rows := "name,cell,token_file\n"
	for i := range 200 {
		name := fmt.Sprintf("tenant-%03d", i)
		rows += fmt.Sprintf("%s,c%d,%s.token\n", name, i%10, name)
		require.NoError(t, os.WriteFile(filepath.Join(w.dir, name+".token"), []byte(name), 0o600))
	}
	w.write("tenants.csv", rows)
	w.write("canary.js", outagesScript)
	w.write("plan.yaml", fmt.Sprintf(outagesPlan, target))
	w.env = append(os.Environ(), "HOOK="+hook.URL+"/secret", "GORACE=atexit_sleep_ms=0")
	w.begin()
	return w
}

package shadow

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/fixtures/shop"
	"resilience/gates/evidence"
)

// startService starts a service of the shop, and gives its URL.
func startService(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	ended, found := make(chan struct{}), make(chan string, 1)
	go func() {
		defer close(ended)
		shop.Main(ctx, args, in, in)
		in.Close()
	}()
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var entry struct{ Msg, URL string }
			if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "listening" {
				found <- entry.URL
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	select {
	case url := <-found:
		return url
	case <-time.After(patient):
		t.Fatalf("%v did not listen", args)
		return ""
	}
}

// fronts starts the shop with several fronts, each with its changes; they are noisy
// and have seeds of their own.
func fronts(t *testing.T, changes ...string) (urls []string) {
	t.Helper()
	behind := []string{"front", "--patience=100", "--noise"}
	for _, name := range []string{"catalog", "payments", "recommendations"} {
		behind = append(behind, "--"+name, startService(t, name, "--work=0s"))
	}
	behind = append(behind, "--orders", startService(t, "orders", "--db", t.TempDir()+"/orders.db"))
	for i, list := range changes {
		urls = append(urls, startService(t, append(slices.Clone(behind), "--changes="+list, fmt.Sprint("--seed=", i+1))...))
	}
	return urls
}

// shopClient asks as it is told and takes answers as they come.
var shopClient = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}}

// askShop sends a request of a tenant and gives what was answered.
func askShop(ctx context.Context, base, tenant, method, target, body string) (Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, base+target, strings.NewReader(body))
	if err != nil {
		return Response{}, err
	}
	req.Header.Set("Authorization", "Bearer "+tenant)
	req.Header.Set("Idempotency-Key", target+body)
	res, err := shopClient.Do(req)
	if err != nil {
		return Response{}, err
	}
	defer res.Body.Close()
	answer := Response{Status: res.StatusCode, Header: res.Header, Body: Body{Encoding: res.Header.Get("Content-Encoding")}}
	from := io.Reader(res.Body)
	if answer.Body.Encoding == "gzip" {
		if from, err = gzip.NewReader(res.Body); err != nil {
			return Response{}, err
		}
	}
	answer.Body.Data, err = io.ReadAll(from)
	answer.Body.Size = int64(len(answer.Body.Data))
	return answer, err
}

// shopRequest is one of the mix that is asked.
type shopRequest struct{ tenant, route, target string }

var shopTenants = []string{"acme-demo-token", "globex-demo-token", "initech-demo-token"}

// shopMix draws requests; most are for the count of orders, in which one answer of
// 200 is wrong.
func shopMix(rng *rand.Rand, n int, orders []string) []shopRequest {
	all := make([]shopRequest, n)
	for i := range all {
		r := shopRequest{tenant: shopTenants[rng.IntN(3)]}
		switch k := rng.IntN(60); {
		case k < 2:
			r.route, r.target = "GET /products", "/products"
		case k < 4:
			r.route, r.target = "GET /products/{id}", fmt.Sprintf("/products/p%02d", 1+rng.IntN(24))
		case k < 6:
			r.route, r.target = "GET /quote", fmt.Sprintf("/quote?product=p%02d&quantity=%d", 1+rng.IntN(24), 1+rng.IntN(20))
		case k < 8:
			r.route, r.target = "GET /orders/{id}", "/orders/"+orders[rng.IntN(len(orders))]
		case k < 10:
			r.route, r.target = "GET /billing", "/billing"
		case k < 12:
			r.route, r.target = "GET /history", fmt.Sprintf("/history?page=%d&per=3", 1+rng.IntN(3))
		default:
			r.route, r.target = "GET /orders", fmt.Sprintf("/orders?cart=cart-%d", rng.IntN(8))
		}
		all[i] = r
	}
	return all
}

// stock gives each tenant some orders, and names them, with two that are none's.
func stock(t *testing.T, base string) []string {
	t.Helper()
	orders := []string{"o-none", "o-never"}
	for _, tenant := range shopTenants {
		for i := range 8 {
			cart := fmt.Sprintf("cart-%d", i)
			_, err := askShop(t.Context(), base, tenant, "POST", "/cart", fmt.Sprintf(`{"cart":%q,"product":"p%02d","quantity":%d}`, cart, 1+i, 1+i%3))
			require.NoError(t, err)
			made, err := askShop(t.Context(), base, tenant, "POST", "/checkout", fmt.Sprintf(`{"cart":%q}`, cart))
			require.NoError(t, err)
			var order struct{ ID string }
			require.NoError(t, json.Unmarshal(made.Body.Data, &order))
			require.Equal(t, 201, made.Status, "%s", made.Body.Data)
			orders = append(orders, order.ID)
		}
	}
	return orders
}

// askAll asks each request of each front, which are asked side by side; each gets them in
// their order, in which the chances of its seed are drawn.
func askAll(t *testing.T, urls []string, requests []shopRequest) [][]Response {
	t.Helper()
	answers := make([][]Response, len(requests))
	for i := range answers {
		answers[i] = make([]Response, len(urls))
	}
	var fronts sync.WaitGroup
	for j, url := range urls {
		fronts.Go(func() {
			for i, r := range requests {
				answer, err := askShop(t.Context(), url, r.tenant, "GET", r.target, "")
				if err != nil {
					answer.Failure = err.Error()
				}
				answers[i][j] = answer
			}
		})
	}
	fronts.Wait()
	shopClient.CloseIdleConnections()
	return answers
}

// plantedInShop is what the changes of the shop's second version differ in. Its
// slower tail is no difference of answers.
var plantedInShop = []string{
	"GET /products/{id} body.name missing", "GET /products/{id} body.title added", // renamed field
	"GET /quote body.discount changed", "GET /quote body.total changed", // wrong discount
	"GET /products body.products order",                   // changed order
	"GET /quote body.weight format",                       // float formatting
	"GET /billing header cache-control missing",           // missing header
	"GET /orders/{id} status changed",                     // status change on one route
	"GET /orders body.orders changed",                     // 0.5 % wrong answers
	"GET /billing body.account changed",                   // leaked field of another tenant
	"GET /products body.count added",                      // extra field
	"GET /products/{id} header content-encoding encoding", // encoding
	"GET /history body.orders[] missing",                  // pagination off by one
	"GET /history body.orders[] added",
}

// regressionsOf gives what is reported.
func regressionsOf(f *Findings) []string {
	found := []string{}
	for _, each := range f.List() {
		if each.Class == Regression {
			found = append(found, fmt.Sprint(each.Route, " ", each.Place, " ", each.Kind))
		}
	}
	return found
}

// TestHeavyAllPlantedChangesAreFound asks two fronts of the first version and one of the
// second, all of them noisy: what was changed is reported, by route and field, and
// nothing else is.
func TestHeavyAllPlantedChangesAreFound(t *testing.T) {
	withoutRaceDetector(t)
	urls := fronts(t, "", "", "all")
	rng := rand.New(rand.NewPCG(2026, 7))
	requests := shopMix(rng, 8500, stock(t, urls[0]))
	c, err := NewComparer(Rules{}, CompareOptions{})
	require.NoError(t, err)
	w := newWatched(t, Rules{})
	for i, a := range askAll(t, urls, requests) {
		r := requests[i]
		w.see(Observed{
			Route: r.route, Request: Request{Method: "GET", Target: r.target}, Paired: true,
			Candidate: c.Compare(r.route, a[0], a[2]), Noise: c.Compare(r.route, a[0], a[1]),
		})
	}
	for _, f := range w.List() {
		t.Log(f)
	}
	require.ElementsMatch(t, plantedInShop, regressionsOf(w.Findings))
}

// recordedShop answers as the first version did, without noise.
type recordedShop map[string]Response

// ServeHTTP implements [http.Handler].
func (s recordedShop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := s[r.Header.Get("Authorization")+r.RequestURI]
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answer.Status)
	_, _ = w.Write(answer.Body.Data)
}

// TestHeavyNoiseIsNoRegression compares the first version with itself, in 200 seeded
// runs: ids, times, orders and headers of caches differ in all of them, and no more
// runs report anything than the rate of false alarms allows.
func TestHeavyNoiseIsNoRegression(t *testing.T) {
	withoutRaceDetector(t)
	const runs, alpha = 200, 0.05
	url := fronts(t, "")[0]
	orders := stock(t, url)
	asked := shopMix(rand.New(rand.NewPCG(1, 1)), 200, orders)
	recorded := recordedShop{}
	for i, answers := range askAll(t, []string{url}, asked) {
		recorded["Bearer "+asked[i].tenant+asked[i].target] = answers[0]
	}
	c, err := NewComparer(Rules{}, CompareOptions{})
	require.NoError(t, err)
	found, byThreshold, classes := 0, 0, map[Class]int{}
	for seed := range uint64(runs) {
		f, err := NewFindings(Rules{}, FindingOptions{FalseAlarms: alpha})
		require.NoError(t, err)
		w := &watched{f, time.Unix(1_800_000_000, 0)}
		arms := [3]http.Handler{}
		for i := range arms {
			arms[i] = shop.Noisy(recorded, 3*seed+uint64(i))
		}
		rng := rand.New(rand.NewPCG(seed, 2))
		for range 300 {
			r := asked[rng.IntN(len(asked))]
			a, b, second := recordedAnswer(arms[0], r), recordedAnswer(arms[1], r), recordedAnswer(arms[2], r)
			w.see(Observed{Route: r.route, Paired: true, Candidate: c.Compare(r.route, a, b), Noise: c.Compare(r.route, a, second)})
		}
		if reported := regressionsOf(f); len(reported) > 0 {
			t.Logf("run %d: %v", seed, reported)
			found++
		}
		for _, each := range f.List() {
			classes[each.Class]++
		}
		if slices.ContainsFunc(f.List(), overThreshold) {
			byThreshold++
		}
	}
	t.Logf("with a threshold of 20 %% of the differences and 0.03 %% of the answers, %d runs would have", byThreshold)
	t.Logf("%d of %d runs reported something; fields: %v", found, runs, classes)
	require.Greater(t, classes[Noise], 20*runs, "there is noise")
	require.Less(t, classes[Undecided], classes[Noise]/5)
	require.False(t, evidence.Excludes(uint64(found), runs, alpha, 0.99), "%d of %d", found, runs)
}

// overThreshold is a rule without statistics that is in use: the candidate differs
// in 20 % more answers than noise does, of both together, and in 0.03 % of all.
func overThreshold(f Finding) bool {
	more := float64(f.Differing) - float64(f.NoiseDiffering)
	return more/float64(f.Differing+f.NoiseDiffering) > 0.20 && more/float64(f.Pairs) > 0.0003
}

func recordedAnswer(h http.Handler, r shopRequest) Response {
	req := httptest.NewRequest("GET", r.target, nil)
	req.Header.Set("Authorization", "Bearer "+r.tenant)
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, req)
	return Response{Status: answer.Code, Header: answer.Header(), Body: Body{Data: answer.Body.Bytes(), Size: int64(answer.Body.Len())}}
}

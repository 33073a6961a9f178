package shadow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
)

// benchBody is a list of orders, each with its own time.
func benchBody(orders, second int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"orders":[`)
	for i := range orders {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"o-%06d","tenant":"acme","items":[{"product":"p%02d","quantity":%d,"price":%d.5},{"product":"p99","quantity":1,"price":3}],"total":%d,"state":"paid","note":"leave it at the door, \u00e9tage 3","paid":true,"served":"2026-01-02T15:04:%02d.%03dZ"}`,
			i, i%24, i%7, 100+i, 1000+i, second, i%1000)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// BenchmarkCompare compares answers that differ in one noisy field of each item,
// beside merely decoding both with encoding/json. of-decoding is the throughput
// as a multiple of that of decoding.
func BenchmarkCompare(b *testing.B) {
	for _, orders := range []int{1, 20, 1000} {
		b.Run(fmt.Sprint("orders=", orders), func(b *testing.B) {
			x, y := benchBody(orders, 5), benchBody(orders, 6)
			c := newComparer(b, Rules{})
			first, second := jsonAnswer(string(x)), jsonAnswer(string(y))
			require.Len(b, c.Compare("GET /orders", first, second), 1)
			var comparing, decoding time.Duration
			b.SetBytes(int64(len(x) + len(y)))
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				c.Compare("GET /orders", first, second)
				between := time.Now()
				decodeBoth(b, x, y)
				comparing += between.Sub(start)
				decoding += time.Since(between)
			}
			b.ReportMetric(decoding.Seconds()/comparing.Seconds(), "of-decoding")
			b.ReportMetric(float64(len(x)+len(y))*float64(b.N)/comparing.Seconds()/1e6, "compared-MB/s")
		})
	}
}

// BenchmarkCompareSentences compares answers that differ in a sentence of each item,
// beside merely decoding both with encoding/json.
func BenchmarkCompareSentences(b *testing.B) {
	said := func(second int) []byte {
		return bytes.ReplaceAll(benchBody(1000, 5), []byte("leave it at the door"), fmt.Appendf(nil, "Hello Ann, it is 10:31:%02d and your total is 12.00", second))
	}
	x, y := said(5), said(6)
	c := newComparer(b, Rules{})
	first, second := jsonAnswer(string(x)), jsonAnswer(string(y))
	require.Len(b, c.Compare("GET /orders", first, second), 1)
	var comparing, decoding time.Duration
	b.SetBytes(int64(len(x) + len(y)))
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		c.Compare("GET /orders", first, second)
		between := time.Now()
		decodeBoth(b, x, y)
		comparing += between.Sub(start)
		decoding += time.Since(between)
	}
	b.ReportMetric(decoding.Seconds()/comparing.Seconds(), "of-decoding")
}

// benchPage is a page of some 50 KB with a nonce in it.
func benchPage(nonce int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<!doctype html><html><head><title>Orders</title><script nonce="n%016x">var shop={"page":1}</script></head><body><ul class="orders">`, nonce*0x9e3779b9)
	for i := range 200 {
		fmt.Fprintf(&b, `<li><a href="/orders/o-%06d" class="order link">Order %d</a> <span class="product">A mug for the morning, with a handle</span> <b class="price">%d.50</b> EUR <p>Leave it at the door of the house, please. It was ordered on a %d. day.</p></li>`+"\n", i, i, 100+i, i%30)
	}
	b.WriteString(`</ul></body></html>`)
	return b.Bytes()
}

// BenchmarkCompareHTML compares pages of which a nonce at the beginning and a price at
// the end differ, beside merely tokenising both. of-tokenising is the throughput as a
// multiple of that.
func BenchmarkCompareHTML(b *testing.B) {
	x, y := benchPage(1), bytes.Replace(benchPage(2), []byte("299.50"), []byte("299.05"), 1)
	c := newComparer(b, Rules{})
	first, second := answered(200, string(x), "Content-Type: text/html"), answered(200, string(y), "Content-Type: text/html")
	require.Len(b, c.Compare("GET /", first, second), 2)
	var comparing, tokenising time.Duration
	b.SetBytes(int64(len(x) + len(y)))
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		c.Compare("GET /", first, second)
		between := time.Now()
		require.Equal(b, tokenise(x), tokenise(y))
		comparing += between.Sub(start)
		tokenising += time.Since(between)
	}
	b.ReportMetric(tokenising.Seconds()/comparing.Seconds(), "of-tokenising")
	b.ReportMetric(float64(len(x)+len(y))*float64(b.N)/comparing.Seconds()/1e6, "compared-MB/s")
}

// tokenise reads each tag with its attributes, and each text.
func tokenise(page []byte) (n int) {
	for z := html.NewTokenizer(bytes.NewReader(page)); z.Next() != html.ErrorToken; n++ {
		_ = z.Token()
	}
	return n
}

func decodeBoth(b *testing.B, x, y []byte) {
	var p, q any
	if json.Unmarshal(x, &p) != nil || json.Unmarshal(y, &q) != nil {
		b.Fatal("a body is no JSON")
	}
}

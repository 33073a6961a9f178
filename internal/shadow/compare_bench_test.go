package shadow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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

func decodeBoth(b *testing.B, x, y []byte) {
	var p, q any
	if json.Unmarshal(x, &p) != nil || json.Unmarshal(y, &q) != nil {
		b.Fatal("a body is no JSON")
	}
}

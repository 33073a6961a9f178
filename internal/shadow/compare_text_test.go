package shadow

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCompareTexts(t *testing.T) {
	for name, c := range map[string]struct {
		media, baseline, candidate string
		want                       []string
	}{
		"attribute":              {"text/html", `<a href="/1" class="x">y</a>`, `<a class=x href='/2'>y</a>`, []string{"changed body.a(x).@href: /1 -> /2"}},
		"attribute gone":         {"text/html", `<input name=q required>`, `<input name=q>`, []string{"missing body.input(q).@required:  -> "}},
		"attribute new":          {"text/html", `<p>a`, `<p hidden>a`, []string{"added body.p.@hidden:  -> "}},
		"quotes and order":       {"text/html", `<a href="/1" class="x">y</a>`, `<A class=x  href='/1'>y</A>`, []string{"format body: 28 bytes -> 27 bytes"}},
		"nested text":            {"text/html", `<div id="main"><p>price: <b>10</b></p></div>`, `<div id="main"><p>price: <b>12</b></p></div>`, []string{"changed body.div(main).p.b: 10 -> 12"}},
		"cells":                  {"text/html", `<table><tr><td>mug<td>10<td>5</table>`, `<table><tr><td>mug<td>12<td>6</table>`, []string{"changed body.table.tr.td(2): 10 -> 12", "changed body.table.tr.td(3): 5 -> 6"}},
		"element gone":           {"text/html", `<p>a</p><em>new</em><p>b</p>`, `<p>a</p><p>b</p>`, []string{"missing body.em: <em> -> "}},
		"wrapped":                {"text/html", `<main><p>a b</p><p>c d</p><p>e</p></main>`, `<main><div><p>a b</p><p>c d</p><p>e</p></div></main>`, []string{"added body.main.div:  -> <div>"}},
		"other element":          {"text/html", `<p><b>x</b>y</p>`, `<p><i>x</i>y</p>`, []string{"missing body.p.b: <b> -> ", "added body.p.i:  -> <i>"}},
		"end moved":              {"text/html", `<p><b>x</b>y</p>`, `<p><b>xy</b></p>`, nil},
		"comment":                {"text/html", `<!-- took 12 ms --><p>a`, `<!-- took 13 ms --><p>a`, []string{"changed body.(comment).~took: 12 -> 13"}},
		"xml":                    {"application/xml", `<?xml version="1.0"?><orders><link>10</link><total cur="EUR">5</total></orders>`, `<?xml version="1.0"?><orders><link>11</link><total cur="USD">5</total></orders>`, []string{"changed body.orders.link: 10 -> 11", "changed body.orders.total.@cur: EUR -> USD"}},
		"xml self-closing":       {"image/svg+xml", `<svg><title/><script/><g x="1"/></svg>`, `<svg><title/><script/><g x="2"/></svg>`, []string{"changed body.svg.g.@x: 1 -> 2"}},
		"script":                 {"text/html", `<script>var nonce="a1b2", price=10;</script>`, `<script>var nonce="c3d4", price=12;</script>`, []string{"changed body.script.~nonce: a1b2 -> c3d4", "changed body.script.~price: 10 -> 12"}},
		"data":                   {"text/html", `<script type="application/json">{"cart":{"total":10,"items":[{"id":"a","n":1},{"id":"b","n":2}]},"at":"x"}</script>`, `<script type="application/json">{"at":"x", "cart":{"total":12,"items":[{"id":"b","n":3},{"id":"a","n":1}]}}</script>`, []string{"changed body.script.cart.total: 10 -> 12", `order body.script.cart.items: [{"id":"a","n":1},{"id":"b","n":2}] -> [{"id":"b","n":3},{"id":"a","n":1}]`, "changed body.script.cart.items[].n: 2 -> 3"}},
		"data of a type":         {"text/html", `<script type='Application/LD+JSON; charset=utf-8' id=offer>{"@type":"Offer","price":"10.00","gone":1}</script>`, `<script type='Application/LD+JSON; charset=utf-8' id=offer>{"@type":"Sale","price":10.00,"new":{}}</script>`, []string{`changed body.script(offer)."@type": "Offer" -> "Sale"`, `type body.script(offer).price: "10.00" -> 10.00`, `missing body.script(offer).gone: 1 -> `, `added body.script(offer).new:  -> {}`}},
		"data of two pages":      {"text/html", `<script type="text/json" id="__NEXT_DATA__">{"a":1}</script><script type="text/json" id="__x__">{"a":1}</script>`, `<script type="text/json" id="__NEXT_DATA__">{"a":2}</script><script type="text/json" id="__x__">{"a":3}</script>`, []string{"changed body.script(__NEXT_DATA__).a: 1 -> 2", "changed body.script(__x__).a: 1 -> 3"}},
		"data in another order":  {"text/html", `<script type=importmap>{"a":1,"b":"\u003c"}</script>`, `<script type=importmap>{ "b":"<", "a":1 }</script>`, []string{}},
		"data and text":          {"text/html", `<script type=importmap>{"a":1}</script> <p>`, `<script type=importmap>{"a" : 1}</script><p>`, []string{"format body: 43 bytes -> 44 bytes"}},
		"data with spaces":       {"text/html", `<script type=importmap>{"a":10} </script>`, "<script type=importmap>\n{\"a\":10.0}</script>", []string{"format body.script.a: 10 -> 10.0"}},
		"no data any more":       {"text/html", `<script type="text/json">{"a":1}</script>`, `<script type="text/json"></script>`, []string{`missing body.script: {"a":1} -> `}},
		"damaged data":           {"text/html", `<script type="text/json">{"token":"a1","price":10,}</script>`, `<script type="text/json">{"token":"b2","price":12,}</script>`, []string{"changed body.script.~token: a1 -> b2", "changed body.script.~price: 10 -> 12"}},
		"data damaged":           {"text/html", `<script type="text/json">{"token":"a1","price":10}</script>`, `<script type="text/json">{"token":"a1","price":NaN}</script>`, []string{"changed body.script.~price: 10 -> NaN"}},
		"data of two":            {"text/html", `<script type="text/json">{"a":1}</script><p>x<script type="text/json">[1]</script>`, `<script type="text/json">{"a":2}</script><p>x<script type="text/json">{"1":1}</script>`, []string{"changed body.script.a: 1 -> 2", `type body.p.script: [1] -> {"1":1}`}},
		"data in code":           {"text/html", `<script type="module">{"price":10}</script><b>1</b>`, `<script type="module">{"price":12}</script><b>2</b>`, []string{"changed body.script.~price: 10 -> 12", "changed body.b: 1 -> 2"}},
		"data in XML":            {"text/xml", `<a><script type="text/json">{"price":10}</script></a>`, `<a><script type="text/json">{"price":12}</script></a>`, []string{"changed body.a.script.~price: 10 -> 12"}},
		"time":                   {"text/html", `<time>2026-01-02T15:04:05Z</time>`, `<time>2026-01-02T15:04:06Z</time>`, []string{"time body.time: 2026-01-02T15:04:05Z -> 2026-01-02T15:04:06Z"}},
		"id":                     {"text/html", `<p id="6ba7b810-9dad-11d1-80b4-00c04fd430c8">`, `<p id="6ba7b811-9dad-11d1-80b4-00c04fd430c8">`, []string{"id body.p.@id: 6ba7b810-9dad-11d1-80b4-00c04fd430c8 -> 6ba7b811-9dad-11d1-80b4-00c04fd430c8"}},
		"metrics":                {"text/plain", "up 1\nrequests_total{code=\"200\"} 17\nerrors 4\n", "up 1\nrequests_total{code=\"200\"} 18\nerrors 5\n", []string{"changed body.~code+2: 17 -> 18", "changed body.~errors: 4 -> 5"}},
		"short names":            {"text/javascript", `(function(){var e="ab+/==";x.price(10);y(12.5,"q")})()`, `(function(){var e="xy+/==";x.price(12);y(13.5,"q")})()`, []string{"changed body.~e: ab+/== -> xy+/==", "changed body.~x.price: 10 -> 12", "changed body.~x.price+3: 12.5 -> 13.5"}},
		"settings":               {"text/plain", "color=red\nsize=10\n", "color=blue\nsize=10\n", []string{"changed body.~color: red -> blue"}},
		"renamed":                {"text/plain", "colour: red, size: 10", "color: red, size: 10", []string{"changed body: colour -> color"}},
		"names differ":           {"text/plain", "Anna 5 10", "Bob 5 12", []string{"changed body: Anna -> Bob", "changed body: 10 -> 12"}[:1]},
		"line gone":              {"text/plain", "a x\nb y\nc z\nd\n", "a x\nc z\nd\n", []string{"missing body: b -> "}},
		"between words":          {"text/plain", "let a = b; c(d)", "let a = b, c(d)", []string{`changed body.~let+2: "; " -> ", "`}},
		"spaces":                 {"text/plain", "a  b\n\tc\n", "a b\nc", []string{"format body: 8 bytes -> 5 bytes"}},
		"a table with names":     {"text/csv", "name,price,at\nmug,10,x\ncup,3,y\n", "name,price,at\nmug,12,x\ncup,3,z\n", []string{"changed body[].price: 10 -> 12", "changed body[].at: y -> z"}},
		"a table":                {"text/csv", "1,10,x\n2,3,y\n3,5,y\n", "1,12,x\n2,3,y\n3,5,z\n", []string{"changed body[].(2): 10 -> 12", "changed body[].(3): y -> z"}},
		"a table that says none": {"text/plain", "n;\"a;b\";3\nm;\"\"\"x\";4\no;c;5\n", "n;\"a;b\";3\nm;\"\"\"y\";4\no;c;6\n", []string{"changed body[].(2): \"\"\"x\" -> \"\"\"y\"", "changed body[].(3): 5 -> 6"}},
		"a row moved":            {"text/csv", "a,1,q\nb,2,r\nc,3,s\n", "c,3,s\na,1,q\nb,2,r\n", nil},
		"JSON with NaN":          {"application/json", `{"price":10,"ratio":NaN,"at":"12:01"}`, `{"price":12,"ratio":NaN,"at":"12:02"}`, []string{"changed body.~price: 10 -> 12", "changed body.~at: 12:01 -> 12:02"}},
		"latin1":                 {"text/html; charset=iso-8859-1", "<p>caf\xe9</p><b>10</b>", "<p>caf\xe9</p><b>12</b>", []string{"changed body.b: 10 -> 12"}},
		"a cut tag":              {"text/html", `<p>a</p><a href="`, `<p>a</p><a href="x`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := answered(200, c.baseline, "Content-Type: "+c.media), answered(200, c.candidate, "Content-Type: "+c.media)
			got := told(newComparer(t, Rules{}).Compare("GET /", a, b))
			if c.want == nil {
				require.NotEmpty(t, got)
				t.Log(got)
				return
			}
			require.Equal(t, c.want, got)
		})
	}
}

// TestTextsMoved: items of a page that stand in another order are that, and what
// changed in them is told beside it.
func TestTextsMoved(t *testing.T) {
	page := func(items ...string) Response {
		return answered(200, "<ul>"+strings.Join(items, "")+"</ul>", "Content-Type: text/html")
	}
	item := func(name string, price int) string {
		return fmt.Sprintf(`<li><a href="/p/%s">%s</a> <b class="price">%d</b></li>`, name, name, price)
	}
	c := newComparer(t, Rules{})
	got := c.Compare("GET /", page(item("mug", 10), item("cup", 12), item("pot", 30)), page(item("pot", 30), item("mug", 10), item("cup", 12)))
	require.NotEmpty(t, got)
	for _, d := range got {
		require.Equal(t, Order, d.Kind, "%v", told(got))
	}
	got = c.Compare("GET /", page(item("mug", 10), item("cup", 12), item("pot", 30)), page(item("pot", 31), item("mug", 10), item("cup", 12)))
	require.Contains(t, told(got), "changed body.ul.li.b(price): 30 -> 31")
}

// wrongPrices are pages of one kind: something random in each, and prices that a
// candidate may have wrong.
func wrongPrices(rng *rand.Rand, wrong int) map[string]Response {
	nonce := fmt.Sprintf("%016x%016x", rng.Uint64(), rng.Uint64())
	as := func(media, form string, of ...any) Response {
		return answered(200, fmt.Sprintf(form, of...), "Content-Type: "+media)
	}
	order := rng.Perm(5)
	var items strings.Builder
	sold := make([]string, len(order))
	for n, i := range order {
		sold[n] = fmt.Sprintf(`{"sku":"%c","left":%d}`, 'a'+i, rng.IntN(100))
		fmt.Fprintf(&items, `<li><a href="/p/%c">product %c</a> <b>%d</b></li>`, 'a'+i, 'a'+i, 100+i+wrong)
	}
	return map[string]Response{
		"html":       as("text/html", `<!doctype html><html><head><script nonce="%s">go()</script></head><body><p class="price">%d</p></body></html>`, nonce, 10+wrong),
		"xml":        as("application/xml", `<order served="%s"><price>%d</price></order>`, nonce, 10+wrong),
		"csv":        as("text/csv", "name,price,token\nmug,%d,%s\npot,5,x\n", 10+wrong, nonce),
		"text":       as("text/plain", "served by %s\nmug %d EUR\n", nonce, 10+wrong),
		"javascript": as("application/javascript", `var a=1,nonce="%s",shop={price:%d,vat:19};go(shop,nonce)`, nonce, 10+wrong),
		"form":       as("text/html", `<form><input type="hidden" name="csrf_token" value="%s"><input name="price" value="%d"></form>`, nonce, 10+wrong),
		"moving":     as("text/html", `<ul>%s</ul>`, items.String()),
		"json":       as("application/json", `{"nonce":"%s","ratio":NaN,"price":%d}`, nonce, 10+wrong),
		"data":       as("text/html", `<script type="application/json" id="state">{"nonce":"%s","items":[%s],"price":%d}</script>`, nonce, strings.Join(sold, ","), 10+wrong),
		"sentence":   as("text/html", `<p>Your price is %d, said %s</p>`, 10+wrong, nonce),
	}
}

// TestNoiseInATextHidesNothing: what differs anyway in a page is noise, and a wrong
// price in the same page a regression.
func TestNoiseInATextHidesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	c := newComparer(t, Rules{})
	f, err := NewFindings(Rules{}, FindingOptions{})
	require.NoError(t, err)
	at := time.Unix(1_767_366_245, 0)
	for i := range 200 {
		first, candidate, second := wrongPrices(rng, 0), wrongPrices(rng, 80), wrongPrices(rng, 0)
		for name := range first {
			f.Add(Observed{
				At: at.Add(time.Duration(i) * time.Second), Route: name, Paired: true,
				Candidate: c.Compare(name, first[name], candidate[name]), Noise: c.Compare(name, first[name], second[name]),
			})
		}
	}
	regressions, noise := map[string][]string{}, map[string][]string{}
	for _, found := range f.List() {
		switch found.Class {
		case Regression:
			regressions[found.Route] = append(regressions[found.Route], found.Place)
		case Noise:
			noise[found.Route] = append(noise[found.Route], found.Place)
		default:
			require.Fail(t, "neither", "%v", found)
		}
	}
	for name, place := range map[string]string{
		"html": "body.html.body.p(price)", "xml": "body.order.price", "csv": "body[].price", "text": "body.~mug", "javascript": "body.~price",
		"form": "body.form.input(price).@value", "moving": "body.ul.li.b", "json": "body.~price", "data": "body.script(state).price", "sentence": "body.p.~is",
	} {
		require.Equal(t, []string{place}, regressions[name], name)
		require.NotEmpty(t, noise[name], name)
	}
	require.Equal(t, []string{"body.form.input(csrf_token).@value"}, noise["form"])
	require.Equal(t, []string{"body.html.head.script.@nonce"}, noise["html"])
}

// TestManyWordsAreData: a list with a word for each value is no field for each.
func TestManyWordsAreData(t *testing.T) {
	list := func(add int) Response {
		var b strings.Builder
		for i := range 100 {
			fmt.Fprintf(&b, "%c%c: %d\n", 'a'+i/26, 'a'+i%26, i+add)
		}
		return answered(200, b.String(), "Content-Type: text/plain")
	}
	require.Equal(t, []string{"changed body.~{key}: 0 -> 100"}, told(newComparer(t, Rules{}).Compare("GET /", list(0), list(100))))
}

// TestTextsRecorded: what a recording has a pseudonym for is no difference in a text.
func TestTextsRecorded(t *testing.T) {
	c, err := NewComparer(Rules{}, CompareOptions{Recorded: true})
	require.NoError(t, err)
	page := func(token string, price int) Response {
		return answered(200, fmt.Sprintf(`<p>Your token: %s, price: %d</p><input value="%s">`, token, price, token), "Content-Type: text/html")
	}
	recorded := page(pseudonymMark+strings.Repeat("0a", 16), 10)
	require.Empty(t, c.Compare("GET /", recorded, page("s3cret/token+", 10)))
	require.Equal(t, []string{"changed body.p.~price: 10 -> 12"}, told(c.Compare("GET /", recorded, page("s3cret/token+", 12))))
}

// TestLongTexts are compared in parts up to a limit, and as a whole after that.
func TestLongTexts(t *testing.T) {
	page := func(first, last int) Response {
		return answered(200, fmt.Sprintf("price %d\n%slast %d", first, strings.Repeat("a b\n", maxParts/2), last), "Content-Type: text/plain")
	}
	got := newComparer(t, Rules{}).Compare("GET /", page(10, 1), page(12, 2))
	require.Equal(t, []string{"body.~price", "body.(rest)"}, []string{got[0].Place, got[1].Place})
}

// TestTextRules: rules choose places in texts as they do in JSON.
func TestTextRules(t *testing.T) {
	a, b := `<p class="price">10.00 EUR, at 12:01</p><i nonce="x1">a</i>`, `<p class="price">10.01 EUR, at 12:02</p><i nonce="x2">b</i>`
	c := newComparer(t, Rules{
		Ignore:   []Where{{Place: "body.**.@nonce"}, {Place: "body.p(price).~at"}},
		Tolerate: []Tolerance{{Where: Where{Place: "body.p(price)"}, Absolute: 0.01}},
		Expect:   []Expectation{{Where: Where{Place: "body.i"}, From: "a", To: "b", Why: "renamed"}},
	})
	got := c.Compare("GET /", answered(200, a, "Content-Type: text/html"), answered(200, b, "Content-Type: text/html"))
	require.Len(t, got, 1, "%v", told(got))
	require.True(t, got[0].Expected())
}

// TestHostileTexts: what is meant to cost much takes no more time than its size
// warrants, and the same text is the same.
func TestHostileTexts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 1<<19)
	for i := range random {
		random[i] = byte(1 + rng.IntN(126))
	}
	c := newComparer(t, Rules{})
	for name, text := range map[string]string{
		"angles": strings.Repeat("<", 1<<20), "deep": strings.Repeat("<a>", 1<<17), "ends": strings.Repeat("<b>", 1<<16) + strings.Repeat("</a>", 1<<16),
		"items": strings.Repeat("<li>x", 1<<16), "random": string(random), "quotes": strings.Repeat(`"a`, 1<<17), "attributes": "<a" + strings.Repeat(" b=c", 1<<16) + ">",
		"words": strings.Repeat("a b ", 1<<16), "latin": strings.Repeat("<\xff\xfe>", 1<<16), "rows": strings.Repeat("\",,,\n", 1<<16), "dots": strings.Repeat(".", 1<<20),
	} {
		for _, media := range []string{"text/html", "text/xml", "text/plain", "text/csv"} {
			a, b := answered(200, "x"+text+"1", "Content-Type: "+media), answered(200, "y"+text+"2", "Content-Type: "+media)
			var there, back []Difference
			_, cpu := spent(func() { there, back = c.Compare("GET /", a, b), c.Compare("GET /", b, a) })
			require.NotEmpty(t, there, name)
			require.Equal(t, len(there), len(back), name)
			require.LessOrEqual(t, len(there), maxDifferences+1)
			require.Less(t, cpu, 20*time.Second, "%s as %s", name, media)
			t.Logf("%s as %s: %v, %d differences", name, media, cpu, len(there))
		}
	}
}

// FuzzCompareText holds what must hold of any two texts.
func FuzzCompareText(f *testing.F) {
	for _, seed := range [][2]string{
		{`<p class="a">x 10</p>`, `<p class="b">x 12</p>`},
		{"a,b,c\n1,2,3\n4,5,6\n", "a,b,c\n1,2,4\n"},
		{"<!-- a --><![CDATA[x]]></p>", "<!doctype html><p"},
		{`a="b c" d='e'`, `a="b" d='e f'`},
		{"a b c\nd\n", "c b a\r\nd"},
		{"caf\xe9", "café"},
		{`<script type=text/json>{"@id":1,"a":[1,2]}</script>`, `<script type=text/json>{"@id":2,"a":[2,1]}</script>`},
		{`<script type=text/json>{"a":1}</script><script>`, `<script type=text/json>{"a":</script>`},
		{"<td>1<td>2<table><td>3", "<td>2<td>1</table>"},
	} {
		for _, media := range []string{"text/html", "application/xml", "text/plain", "text/csv"} {
			f.Add([]byte(seed[0]), []byte(seed[1]), media)
		}
	}
	c, err := NewComparer(Rules{}, CompareOptions{})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, a, b []byte, media string) {
		x, y := answered(200, string(a)), answered(200, string(b))
		x.Header["Content-Type"], y.Header["Content-Type"] = []string{media}, []string{media}
		require.Empty(t, c.Compare("GET /", x, x))
		there, back := c.Compare("GET /", x, y), c.Compare("GET /", y, x)
		if !strings.Contains(strings.ToLower(string(a)), "<script") { // where it does not matter how it is written
			require.Equal(t, string(a) == string(b), len(there) == 0, "%v", there)
		}
		require.Equal(t, len(there), len(back), "%v, and back %v", there, back)
		for _, d := range there {
			require.LessOrEqual(t, len(d.Baseline), maxExcerpt)
			require.LessOrEqual(t, len(d.Place), 2*maxPlace)
		}
	})
}

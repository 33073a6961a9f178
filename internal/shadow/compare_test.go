package shadow

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// answered is a response with a body.
func answered(status int, body string, headers ...string) Response {
	r := Response{Status: status, Header: http.Header{}, Body: Body{Data: []byte(body), Size: int64(len(body))}}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func jsonAnswer(body string) Response {
	return answered(200, body, "Content-Type: application/json")
}

func newComparer(t testing.TB, rules Rules) *Comparer {
	t.Helper()
	c, err := NewComparer(rules, CompareOptions{})
	require.NoError(t, err)
	return c
}

// told gives differences as "kind place: baseline -> candidate".
func told(all []Difference) []string {
	texts := []string{}
	for _, d := range all {
		texts = append(texts, fmt.Sprintf("%s %s: %s -> %s", d.Kind, d.Place, d.Baseline, d.Candidate))
	}
	return texts
}

func TestCompareJSON(t *testing.T) {
	for name, c := range map[string]struct {
		baseline, candidate string
		want                []string
	}{
		"same":                  {`{"a":1}`, `{"a":1}`, nil},
		"spaces":                {`{"a":1,"b":[1,2]}`, "{ \"a\" : 1,\n\"b\":[1, 2]}", nil},
		"order of names":        {`{"a":1,"b":{"c":2,"d":3}}`, `{"b":{"d":3,"c":2},"a":1}`, nil},
		"escapes":               {`{"a":"caf\u00e9 \/"}`, `{"\u0061":"café /"}`, nil},
		"changed":               {`{"a":{"b":1}}`, `{"a":{"b":2}}`, []string{"changed body.a.b: 1 -> 2"}},
		"changed string":        {`{"a":"x"}`, `{"a":"y"}`, []string{`changed body.a: "x" -> "y"`}},
		"changed bool":          {`[true]`, `[false]`, []string{`changed body[]: true -> false`}},
		"missing":               {`{"a":1,"b":[1]}`, `{"a":1}`, []string{`missing body.b: [1] -> `}},
		"added":                 {`{"a":1}`, `{"a":1,"b":null}`, []string{`added body.b:  -> null`}},
		"renamed":               {`{"name":"x","z":1}`, `{"title":"x","z":1}`, []string{`missing body.name: "x" -> `, `added body.title:  -> "x"`}},
		"type":                  {`{"a":1}`, `{"a":"1"}`, []string{`type body.a: 1 -> "1"`}},
		"null":                  {`{"a":{"b":1}}`, `{"a":null}`, []string{`type body.a: {"b":1} -> null`}},
		"format":                {`[10]`, `[10.0]`, []string{`format body[]: 10 -> 10.0`}},
		"format of powers":      {`[10]`, `[1e1]`, []string{`format body[]: 10 -> 1e1`}},
		"format of zero":        {`[0]`, `[-0.0e9]`, []string{`format body[]: 0 -> -0.0e9`}},
		"float of a fraction":   {`[0.1]`, `[0.1000000000000000055]`, []string{`format body[]: 0.1 -> 0.1000000000000000055`}},
		"great whole numbers":   {`[9007199254740993]`, `[9007199254740992]`, []string{`changed body[]: 9007199254740993 -> 9007199254740992`}},
		"powers beyond floats":  {`[1e400]`, `[1e401]`, []string{`changed body[]: 1e400 -> 1e401`}},
		"powers beyond numbers": {`[1e99999999999999999999]`, `[1e-99999999999999999999]`, []string{`changed body[]: 1e99999999999999999999 -> 1e-99999999999999999999`}},
		"sign":                  {`[10]`, `[-10]`, []string{`changed body[]: 10 -> -10`}},
		"times":                 {`{"at":"2026-01-02T15:04:05Z"}`, `{"at":"2026-01-02T15:04:06.5+01:00"}`, []string{`time body.at: "2026-01-02T15:04:05Z" -> "2026-01-02T15:04:06.5+01:00"`}},
		"one time in two zones": {`{"at":"2026-01-02T15:04:05Z"}`, `{"at":"2026-01-02T16:04:05+01:00"}`, []string{`format body.at: "2026-01-02T15:04:05Z" -> "2026-01-02T16:04:05+01:00"`}},
		"epochs":                {`[1767366245]`, `[1767366246]`, []string{`time body[]: 1767366245 -> 1767366246`}},
		"milliseconds":          {`[1767366245123]`, `[1767366246123]`, []string{`time body[]: 1767366245123 -> 1767366246123`}},
		"uuids":                 {`{"id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"}`, `{"id":"6ba7b811-9dad-11d1-80b4-00c04fd430c8"}`, []string{`id body.id: "6ba7b810-9dad-11d1-80b4-00c04fd430c8" -> "6ba7b811-9dad-11d1-80b4-00c04fd430c8"`}},
		"made-up ids":           {`{"id":"o-abcdefghij2345671"}`, `{"id":"o-abcdefghij2345672"}`, []string{`id body.id: "o-abcdefghij2345671" -> "o-abcdefghij2345672"`}},
		"a uuid that is gone":   {`{"id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"}`, `{"id":""}`, []string{`changed body.id: "6ba7b810-9dad-11d1-80b4-00c04fd430c8" -> ""`}},
		"items moved by id":     {`{"x":[{"id":1,"v":1},{"id":2,"v":2}]}`, `{"x":[{"id":2,"v":3},{"id":1,"v":1}]}`, []string{`order body.x: [{"id":1,"v":1},{"id":2,"v":2}] -> [{"id":2,"v":3},{"id":1,"v":1}]`, `changed body.x[].v: 2 -> 3`}},
		"items shifted":         {`[{"id":1},{"id":2},{"id":3}]`, `[{"id":2},{"id":3},{"id":4}]`, []string{`missing body[]: {"id":1} -> `, `added body[]:  -> {"id":4}`}},
		"scalars moved":         {`[1,2,3]`, `[3,1,2]`, []string{`order body: [1,2,3] -> [3,1,2]`}},
		"scalars replaced":      {`["a","b","c"]`, `["c","x","a"]`, []string{`order body: ["a","b","c"] -> ["c","x","a"]`, `changed body[]: "b" -> "x"`}},
		"scalar gone":           {`["a","b","c"]`, `["a","c"]`, []string{`missing body[]: "b" -> `}},
		"equal items":           {`[1,1,2]`, `[1,2,2]`, []string{`changed body[]: 1 -> 2`}},
		"items without key":     {`[{"v":1},{"v":2},{"v":3}]`, `[{"v":3},{"v":2},{"v":1}]`, []string{`order body: [{"v":1},{"v":2},{"v":3}] -> [{"v":3},{"v":2},{"v":1}]`}},
		"ids all new":           {`[{"id":"a","name":"x"},{"id":"b","name":"y"}]`, `[{"id":"d","name":"y"},{"id":"c","name":"x"}]`, []string{`order body: [{"id":"a","name":"x"},{"id":"b","name":"y"}] -> [{"id":"d","name":"y"},{"id":"c","name":"x"}]`, `changed body[].id: "a" -> "c"`}},
		"a key that is shared":  {`[{"id":1,"v":1},{"id":2,"v":2}]`, `[{"id":2,"v":2},{"id":2,"v":3}]`, []string{`changed body[].id: 1 -> 2`, `changed body[].v: 1 -> 3`}},
		"a key twice before":    {`[{"id":2,"v":2},{"id":2,"v":3}]`, `[{"id":1,"v":1},{"id":2,"v":2}]`, []string{`changed body[].id: 2 -> 1`, `changed body[].v: 3 -> 1`}},
		"a key of another type": {`[{"id":1,"v":1},{"id":2,"v":2}]`, `[{"id":"2","v":2},{"id":"1","v":1}]`, []string{`order body: [{"id":1,"v":1},{"id":2,"v":2}] -> [{"id":"2","v":2},{"id":"1","v":1}]`, `type body[].id: 1 -> "1"`}},
		"scalar new":            {`[1]`, `[1,2]`, []string{`added body[]:  -> 2`}},
		"moved, names as well":  {`[{"v":1,"w":2},{"v":3,"w":4}]`, `[{"w":4,"v":3},{"w":2,"v":1}]`, []string{`order body: [{"v":1,"w":2},{"v":3,"w":4}] -> [{"w":4,"v":3},{"w":2,"v":1}]`}},
		"moved, and renamed":    {`[{"a":1},{"c":2}]`, `[{"c":2},{"b":1}]`, []string{`missing body[].a: 1 -> `, `added body[].b:  -> 1`}},
		"powers with signs":     {`[1e+2,1e-2]`, `[100,0.01]`, []string{`format body[]: 1e+2 -> 100`}},
		"a key that is none":    {`[{"id":null,"v":1},{"id":true,"v":2}]`, `[{"id":true,"v":3},{"id":null,"v":1}]`, []string{`changed body[].v: 2 -> 3`}},
		"lists moved, and one":  {`[[1,2],[3,4]]`, `[[4,3],[1,2]]`, []string{`order body[]: [3,4] -> [4,3]`}},
		"moved, otherwise said": {`["a","caf\u00e9"]`, `["café","a"]`, []string{`order body: ["a","caf\u00e9"] -> ["café","a"]`}},
		"emptied":               {`{"x":[1,2]}`, `{"x":[]}`, []string{`missing body.x[]: 1 -> `}},
		"names that are data":   {`{"by":{"6ba7b810-9dad-11d1-80b4-00c04fd430c8":1,"17":2,"2026-01-02":3}}`, `{"by":{"6ba7b810-9dad-11d1-80b4-00c04fd430c8":2,"17":3,"2026-01-02":4}}`, []string{`changed body.by.{key}: 1 -> 2`}},
		"odd names":             {`{"a b":{"c.d":1}}`, `{"a b":{"c.d":2}}`, []string{`changed body."a b"."c.d": 1 -> 2`}},
		"names of people":       {`{"a@example.org":1,"@type":1}`, `{"a@example.org":2,"@type":2}`, []string{`changed body.{key}: 1 -> 2`, `changed body.@type: 1 -> 2`}},
		"a name twice":          {`{"a":1,"a":2,"b":1}`, `{"b":1,"a":1,"a":3}`, []string{`changed body.a: 2 -> 3`}},
		"lines of JSON":         {"{\"a\":1}\n{\"a\":2}\n", "{\"a\":1}\n{\"a\":3}\n", []string{`changed body[].a: 2 -> 3`}},
		"bad text":              {"{\"a\":\"caf\xe9\"}", `{"a":"café"}`, []string{"encoding body.a: \"caf\xe9\" -> \"café\""}},
		"no JSON any more":      {`{"a":1}`, `<html>`, []string{`type body: {"a":1} -> <html>`}},
		"cut short":             {`{"a":1}`, `{"a":`, []string{`type body: {"a":1} -> {"a":`}},
		"nothing":               {`{"a":1}`, ``, []string{`missing body: {"a":1} -> `}},
	} {
		t.Run(name, func(t *testing.T) {
			got := newComparer(t, Rules{}).Compare("GET /", jsonAnswer(c.baseline), jsonAnswer(c.candidate))
			require.Equal(t, append([]string{}, c.want...), told(got))
		})
	}
}

func TestCompareAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		baseline, candidate Response
		want                []string
	}{
		"status":               {answered(200, ""), answered(204, ""), []string{"changed status: 200 -> 204"}},
		"status of an error":   {answered(200, `{"a":1}`, "Etag: x"), answered(500, "oops"), []string{"changed status: 200 -> 500"}},
		"no answer":            {answered(200, ""), Response{Failure: "timeout"}, []string{"failed status: 200 -> timeout"}},
		"no answers":           {Response{Failure: "timeout"}, Response{Failure: "timeout"}, []string{"undecidable status: timeout -> timeout"}},
		"header gone":          {answered(200, "", "X-Frame-Options: DENY"), answered(200, ""), []string{"missing header x-frame-options: DENY -> "}},
		"header new":           {answered(200, ""), answered(200, "", "Location: /a"), []string{"added header location:  -> /a"}},
		"headers of the way":   {answered(200, "", "Date: x", "Server: a", "X-Request-Id: 1"), answered(200, "", "Date: y", "Via: b"), nil},
		"etag":                 {answered(200, "", `Etag: "a"`), answered(200, "", `Etag: "b"`), nil},
		"deployed again":       {answered(200, "", "Last-Modified: Mon, 02 Jan 2006 15:04:05 GMT"), answered(200, "", "Last-Modified: Tue, 03 Jan 2006 15:04:05 GMT"), nil},
		"etag gone":            {answered(200, "", `Etag: "a"`), answered(200, ""), []string{"missing header etag: present -> "}},
		"lists":                {answered(200, "", "Cache-Control: no-cache, private"), answered(200, "", "Cache-Control: private,no-cache"), nil},
		"cookies":              {answered(200, "", "Set-Cookie: s=1; Path=/; HttpOnly"), answered(200, "", "Set-Cookie: s=2; Path=/"), []string{"changed header set-cookie.s: s; httponly; path=/ -> s; path=/"}},
		"time in a header":     {answered(200, "", "Sunset: Mon, 02 Jan 2006 15:04:05 GMT"), answered(200, "", "Sunset: Mon, 02 Jan 2006 15:04:06 GMT"), []string{"time header sunset: Mon, 02 Jan 2006 15:04:05 GMT -> Mon, 02 Jan 2006 15:04:06 GMT"}},
		"charset":              {answered(200, "", "Content-Type: text/html; charset=utf-8"), answered(200, "", "Content-Type: text/html; charset=ISO-8859-1"), []string{"encoding header content-type: text/html; charset=utf-8 -> text/html; charset=ISO-8859-1"}},
		"charset in capitals":  {answered(200, "", "Content-Type: text/html; charset=utf-8"), answered(200, "", "Content-Type: text/html;charset=UTF-8"), nil},
		"content type":         {answered(200, "", "Content-Type: text/html"), answered(200, "", "Content-Type: text/plain"), []string{"changed header content-type: text/html -> text/plain"}},
		"content encoding":     {answered(200, "a"), Response{Status: 200, Body: Body{Data: []byte("a"), Encoding: "gzip"}}, []string{"encoding header content-encoding:  -> gzip"}},
		"line of a text":       {answered(200, "a\nb\nc"), answered(200, "a\nx\nc"), []string{"changed body: b -> x"}},
		"ends of lines":        {answered(200, "a\nb\n"), answered(200, "a\r\nb"), []string{"format body: 4 bytes -> 4 bytes"}},
		"charset of a text":    {answered(200, "caf\xe9"), answered(200, "café"), []string{"encoding body: at 3: e9 -> at 3: c3a9"}},
		"binary":               {answered(200, "\x00\x01"), answered(200, "\x00\x02"), []string{"changed body: 2 bytes, SHA-256 b413f47d13ee2fe6; at 1: 01 -> 2 bytes, SHA-256 fcf0a6c700dd13e2; at 1: 02"}},
		"damaged":              {answered(200, "a"), Response{Status: 200, Body: Body{Data: []byte("a"), Damage: "broken chunking"}}, []string{"damaged body: whole -> broken chunking"}},
		"both damaged":         {Response{Status: 200, Body: Body{Damage: "x"}}, Response{Status: 200, Body: Body{Damage: "x"}}, []string{"undecidable body: x -> x"}},
		"cut, nothing known":   {cutBody("abc", -1, ""), cutBody("abcd", -1, ""), []string{"undecidable body: the first 3 bytes are known -> the first 4 bytes are known"}},
		"cut, sizes":           {cutBody("abc", 7, ""), cutBody("abc", 8, ""), []string{"changed body: 7 bytes -> 8 bytes"}},
		"cut, digests":         {cutBody("abc", 7, "aa"), cutBody("abc", 7, "AA"), nil},
		"cut, other digests":   {cutBody("abc", 7, "aa"), cutBody("abc", 7, "bb"), []string{"changed body: 7 bytes, SHA-256 aa -> 7 bytes, SHA-256 bb"}},
		"cut, other beginning": {cutBody("abc", 7, ""), cutBody("abd", 7, ""), []string{"changed body: at 2: 63 -> at 2: 64"}},
		"of an access log":     {Response{Status: 200, Header: http.Header{"Content-Length": {"5"}}, Body: Body{Size: -1, Cut: true}}, answered(200, "abcde", "Etag: a"), nil},
		"left out":             {cutBody("", 3, keyedDigest+"aa"), answered(200, "abc"), []string{"undecidable body: the first 0 bytes are known -> the first 3 bytes are known"}},
		"left out twice":       {cutBody("", 3, keyedDigest+"aa"), cutBody("", 3, keyedDigest+"aa"), nil},
		"cut and whole":        {answered(200, "abc"), cutBody("ab", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := newComparer(t, Rules{}).Compare("GET /", c.baseline, c.candidate)
			require.Equal(t, append([]string{}, c.want...), told(got))
		})
	}
}

// TestCompareWithUnknown: a recording may know the headers of an answer and nothing of
// its body. That is no doubt about the candidate; two that answer now are in doubt.
func TestCompareWithUnknown(t *testing.T) {
	recorded, err := NewComparer(Rules{}, CompareOptions{Recorded: true})
	require.NoError(t, err)
	unknown, now := answered(302, "", "Location: /a"), answered(302, "moved", "Location: /b")
	unknown.Body = Body{Size: -1, Cut: true}
	moved := "changed header location: /a -> /b"
	require.Equal(t, []string{moved}, told(recorded.Compare("GET /", unknown, now)))
	require.Len(t, told(newComparer(t, Rules{}).Compare("GET /", unknown, now)), 2)
	require.Len(t, told(recorded.Compare("GET /", now, unknown)), 2)
	for _, known := range []Body{{Size: 6, Cut: true}, {Data: []byte("x"), Size: -1, Cut: true}, {Size: -1, Cut: true, Digest: "aa"}, {Size: -1, Cut: true, Damage: "broken"}} {
		unknown.Body = known
		require.Len(t, told(recorded.Compare("GET /", unknown, now)), 2, "%+v", known)
	}
}

// A recorded answer has pseudonyms where there were secrets, which is no difference
// to what is answered now; what is gone, or there is more of, still is one.
func TestCompareWithRedacted(t *testing.T) {
	r, err := NewRedactor(RedactionRules{Paths: []string{"user.email", "user.pin"}})
	require.NoError(t, err)
	now := answered(200, `{"user":{"email":"a@b.example","pin":12,"name":"a"}}`, "Content-Type: application/json", "Set-Cookie: session=abc; Path=/", "Location: /login?token=t0ken")
	recorded := r.Redact(Exchange{Response: now}).Response
	require.NotEqual(t, now, recorded)
	compare := func(now Response) []string {
		return told(newComparer(t, Rules{}).Compare("GET /", recorded, now))
	}
	require.Empty(t, compare(now))
	now.Body.Data = []byte(`{"user":{"email":"c@d.example","name":"b"}}`)
	got := compare(now)
	require.Len(t, got, 2, "%v", got)
	require.Equal(t, `changed body.user.name: "a" -> "b"`, got[0])
	require.Regexp(t, `^missing body.user.pin: "pn-[0-9a-f]{32}" -> $`, got[1])
}

func cutBody(data string, size int64, digest string) Response {
	return Response{Status: 200, Body: Body{Data: []byte(data), Size: size, Cut: true, Digest: digest}}
}

// TestCompareIsBounded: whatever is in an answer, what is said of it is not much.
func TestCompareIsBounded(t *testing.T) {
	var a, b strings.Builder
	for i := range 150 {
		fmt.Fprintf(&a, `%s"a_%c%c": %d`, strings.Repeat(",", min(i, 1)), 'a'+i/26, 'a'+i%26, i)
		fmt.Fprintf(&b, `%s"a_%c%c": %d`, strings.Repeat(",", min(i, 1)), 'a'+i/26, 'a'+i%26, i+1)
	}
	got := newComparer(t, Rules{}).Compare("GET /", jsonAnswer("{"+a.String()+"}"), jsonAnswer("{"+b.String()+"}"))
	require.Len(t, got, maxDifferences+1)
	require.Equal(t, TooMany, got[maxDifferences].Kind)

	long := strings.Repeat("é", 1000)
	got = newComparer(t, Rules{}).Compare("GET /", jsonAnswer(`["`+long+`"]`), jsonAnswer(`["x`+long+`"]`))
	require.LessOrEqual(t, len(got[0].Baseline), maxExcerpt)

	deep := strings.Repeat(`[`, 1001) + "1" + strings.Repeat(`]`, 1001)
	got = newComparer(t, Rules{}).Compare("GET /", jsonAnswer(deep), jsonAnswer(strings.Replace(deep, "1", "2", 1)))
	require.Equal(t, []string{"changed body.~+2: 1 -> 2"}, told(got), "too deep for JSON: compared as text")
	endless := strings.Repeat(`[{"a":`, 1_000_000)
	require.Len(t, newComparer(t, Rules{}).Compare("GET /", jsonAnswer(endless), jsonAnswer(endless+"1")), 1)

	nested := strings.Repeat(`{"a":`, 900) + "1" + strings.Repeat(`}`, 900)
	got = newComparer(t, Rules{}).Compare("GET /", jsonAnswer(nested), jsonAnswer(strings.Replace(nested, "1", "2", 1)))
	require.Equal(t, []Kind{Changed}, kindsOf(got))
}

func kindsOf(all []Difference) (kinds []Kind) {
	for _, d := range all {
		kinds = append(kinds, d.Kind)
	}
	return kinds
}

func TestHosts(t *testing.T) {
	c, err := NewComparer(Rules{}, CompareOptions{Hosts: []string{"127.0.0.1:1", "127.0.0.1:2"}})
	require.NoError(t, err)
	a := answered(201, `{"self":"http://127.0.0.1:1/orders/7"}`, "Location: http://127.0.0.1:1/orders/7")
	b := answered(201, `{"self":"http://127.0.0.1:2/orders/7"}`, "Location: http://127.0.0.1:2/orders/7")
	require.Empty(t, c.Compare("POST /orders", a, b))
	b.Header.Set("Location", "http://127.0.0.1:3/orders/7")
	require.Equal(t, []string{"changed header location: http://127.0.0.1:1/orders/7 -> http://127.0.0.1:3/orders/7"}, told(c.Compare("POST /orders", a, b)))
}

// A host is one where it stands as such: a target may be called v1, and another one
// as the first and more.
func TestHostsByWords(t *testing.T) {
	for name, c := range map[string]struct {
		hosts []string
		a, b  string
		same  bool
	}{
		"URLs":                      {[]string{"v1", "v2"}, `"http://v1/orders"`, `"http://v2/orders"`, true},
		"URLs with escapes":         {[]string{"v1", "v2"}, `"http:\/\/v1\/orders"`, `"http:\/\/v2\/orders"`, true},
		"a word that is no host":    {[]string{"v1", "v2"}, `"v1"`, `"v2"`, false},
		"a path that is no host":    {[]string{"v1", "v2"}, `"/v1/orders"`, `"/v2/orders"`, false},
		"the beginning of a path":   {[]string{"v1", "v2"}, `"http://v1/v1"`, `"http://v2/v2"`, false},
		"one begins as the other":   {[]string{"shop", "shop-next"}, `"//shop/a"`, `"//shop-next/a"`, true},
		"a port begins as another":  {[]string{"10.0.0.1:80", "10.0.0.1:8080"}, `"10.0.0.1:80"`, `"10.0.0.1:8080"`, true},
		"another port":              {[]string{"a.test", "b.test"}, `"http://a.test:1/"`, `"http://b.test:2/"`, false},
		"a host in a text":          {[]string{"a.test", "b.test"}, `"see a.test, or call"`, `"see b.test, or call"`, true},
		"a host within another one": {[]string{"a.test", "b.test"}, `"http://xa.test/"`, `"http://xb.test/"`, false},
		"twice":                     {[]string{"a.test", "b.test"}, `"a.test a.test"`, `"b.test b.test"`, true},
	} {
		comparer, err := NewComparer(Rules{}, CompareOptions{Hosts: c.hosts})
		require.NoError(t, err)
		found := comparer.Compare("GET /", answered(200, `{"a":`+c.a+`}`), answered(200, `{"a":`+c.b+`}`))
		require.Equal(t, c.same, len(found) == 0, "%s: %v", name, told(found))
	}
}

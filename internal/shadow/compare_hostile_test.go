package shadow

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// hostileBodies are pairs of bodies of some hundred kilobytes that are meant to
// cost much.
func hostileBodies() map[string][2]string {
	repeated := func(n int, each func(i int) string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = each(i)
		}
		return strings.Join(parts, ",")
	}
	rng := rand.New(rand.NewPCG(1, 1))
	shuffle := rng.Perm(50_000)
	nest := func(inner string) string {
		return strings.Repeat(`{"`+strings.Repeat("n", 60)+`":[0,`, 450) + inner + strings.Repeat(`,1]}`, 450)
	}
	return map[string][2]string{
		"names":          {"{" + repeated(50_000, func(i int) string { return fmt.Sprintf(`"a%c%d":1`, 'a'+i%26, i) }) + "}", "{" + repeated(50_000, func(i int) string { return fmt.Sprintf(`"b%c%d":1`, 'a'+i%26, i) }) + "}"},
		"names of names": {"{" + repeated(180, func(i int) string { return fmt.Sprintf(`"m%c%c":{%s}`, 'a'+i%26, 'a'+i/26, manyMembers(1)) }) + "}", "{" + repeated(180, func(i int) string { return fmt.Sprintf(`"m%c%c":{%s}`, 'a'+i%26, 'a'+i/26, manyMembers(2)) }) + "}"},
		"escaped names":  {"{" + repeated(20_000, func(i int) string { return fmt.Sprintf(`"\u0061%d":1`, i) }) + "}", "{" + repeated(20_000, func(i int) string { return fmt.Sprintf(`"\u0061%d":2`, 20_000-i) }) + "}"},
		"one name":       {"{" + repeated(50_000, func(int) string { return `"a":1` }) + "}", "{" + repeated(50_000, func(int) string { return `"a":2` }) + "}"},
		"nested":         {nest("1"), nest("2")},
		"nested lists":   {strings.Repeat("[", 990) + "1" + strings.Repeat(",[1],2]", 990), strings.Repeat("[", 990) + "2" + strings.Repeat(",[2],2]", 990)},
		"shuffled":       {"[" + repeated(50_000, func(i int) string { return fmt.Sprint(i) }) + "]", "[" + repeated(50_000, func(i int) string { return fmt.Sprint(shuffle[i]) }) + "]"},
		"shuffled items": {"[" + repeated(20_000, func(i int) string { return fmt.Sprintf(`{"id":%d}`, i) }) + "]", "[" + repeated(20_000, func(i int) string { return fmt.Sprintf(`{"id":%d}`, shuffle[i]) }) + "]"},
		"one id":         {"[" + repeated(20_000, func(i int) string { return fmt.Sprintf(`{"id":1,"v":%d}`, i) }) + "]", "[" + repeated(20_000, func(i int) string { return fmt.Sprintf(`{"id":1,"v":%d}`, -i) }) + "]"},
		"long numbers":   {"[" + strings.Repeat("1", 200_000) + "]", "[" + strings.Repeat("1", 200_000) + ".0e1]"},
		"great powers":   {"[" + repeated(20_000, func(int) string { return "1e999999999" }) + "]", "[" + repeated(20_000, func(int) string { return "1e-999999999" }) + "]"},
		"a long string":  {`["` + strings.Repeat(`\u00e9`, 100_000) + `"]`, `["` + strings.Repeat(`\u00e8`, 100_000) + `"]`},
		"no JSON":        {strings.Repeat("[{", 200_000), strings.Repeat("[{", 200_001)},
		"text":           {strings.Repeat("a\n", 200_000), strings.Repeat("a\n", 199_999) + "b\n"},
		"bad UTF-8":      {strings.Repeat("\xff", 200_000), strings.Repeat("\xfe", 200_000)},
	}
}

// manyMembers are members of an object that is not taken for a table.
func manyMembers(value int) string {
	var b bytes.Buffer
	for i := range 150 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"n%c%c":%d`, 'a'+i%26, 'a'+i/26, value)
	}
	return b.String()
}

// TestHostileBodies: what is meant to cost much costs memory in proportion to its
// size, and little is said of it.
func TestHostileBodies(t *testing.T) {
	c := newComparer(t, Rules{})
	for name, pair := range hostileBodies() {
		t.Run(name, func(t *testing.T) {
			a, b := jsonAnswer(pair[0]), jsonAnswer(pair[1])
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			found := c.Compare("GET /", a, b)
			runtime.ReadMemStats(&after)
			size := len(pair[0]) + len(pair[1])
			t.Logf("%d KiB: %d KiB of memory, %d differences", size>>10, (after.TotalAlloc-before.TotalAlloc)>>10, len(found))
			require.NotEmpty(t, found)
			require.LessOrEqual(t, len(found), maxDifferences+1)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(100*size+4<<20))
		})
	}
}

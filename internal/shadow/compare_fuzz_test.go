package shadow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// FuzzCompareJSON holds what must hold of any two bodies: comparing ends, an answer
// is equal to itself, and who compares makes no difference to whether they differ.
func FuzzCompareJSON(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"a":1,"b":[1,2,{"id":"x"}]}`, `{"b":[{"id":"x"},2],"a":1.0}`},
		{`{"a":1,"a":2}`, `{"a":2,"a":1}`},
		{`[1e999,-0,0.10]`, `[1e-999,0,1e-1]`},
		{`"\ud800"`, "\"\xff\""},
		{`[[[[[[`, `]]]]]]`},
		{`{"\u0061":"\n"}`, `{"a":"` + "\n" + `"}`},
		{`[{"id":1},{"id":1}]`, `[{"id":"1"},{"id":null}]`},
		{`{"at":"2026-01-02T03:04:05Z"}`, `{"at":1767366245}`},
		{"\xef\xbb\xbf{}", "{}\n{}"},
		{"caf\xe9", "café"},
		{`{"t":"it is 1 and b is 2, from x"}`, `{"t":"it is 3 and b is 4 5, from y"}`},
		{`["<b>a b</b> 1","..  . a"]`, `["<b>a c</b> 2",".. . \u0061 b"]`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	c, err := NewComparer(Rules{}, CompareOptions{})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, y := jsonAnswer(string(a)), jsonAnswer(string(b))
		require.Empty(t, c.Compare("GET /", x, x))
		there, back := c.Compare("GET /", x, y), c.Compare("GET /", y, x)
		require.Equal(t, len(there) == 0, len(back) == 0, "%v, and back %v", there, back)
		for _, d := range there {
			require.LessOrEqual(t, len(d.Baseline), maxExcerpt)
			require.NotEmpty(t, d.Place)
		}
		var tree jsonTree
		if err := tree.parse(a); !errors.Is(err, errTooDeep) {
			require.Equal(t, readable(a), err == nil, "%q: %v", a, err)
		}
	})
}

// readable tells what encoding/json can read: one value, or lists and objects one
// after the other.
func readable(text []byte) bool {
	if json.Valid(text) {
		return true
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	for values := 0; ; values++ {
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return errors.Is(err, io.EOF) && values > 0
		}
		if v[0] != '{' && v[0] != '[' {
			return false
		}
	}
}

// someJSON draws a value whose names and texts look like no data.
func someJSON(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		most := 5
		if depth == 0 {
			most = 3
		}
		switch rapid.IntRange(0, most).Draw(t, "type") {
		case 0:
			return rapid.IntRange(-5, 1e6).Draw(t, "number")
		case 1:
			return rapid.StringMatching(`[a-zé"\\]{0,8}`).Draw(t, "text")
		case 2:
			return rapid.Bool().Draw(t, "bool")
		case 3:
			return nil
		case 4:
			return rapid.SliceOfN(someJSON(depth-1), 0, 4).Draw(t, "list")
		default:
			return rapid.MapOfN(rapid.StringMatching(`[a-z]{1,6}`), someJSON(depth-1), 0, 5).Draw(t, "object")
		}
	})
}

// shuffled writes a value with the names of its objects in a random order.
func shuffled(v any, rng *rand.Rand) string {
	switch v := v.(type) {
	case map[string]any:
		var members []string
		for name, member := range v {
			members = append(members, fmt.Sprintf("%q : %s", name, shuffled(member, rng)))
		}
		rng.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		return "{ " + strings.Join(members, " , ") + "}"
	case []any:
		var items []string
		for _, item := range v {
			items = append(items, shuffled(item, rng))
		}
		return "[" + strings.Join(items, ",\n") + "]"
	}
	text, _ := json.Marshal(v)
	return string(text)
}

func TestShuffledNamesAreEqual(t *testing.T) {
	c := newComparer(t, Rules{})
	rapid.Check(t, func(t *rapid.T) {
		v := map[string]any{"v": someJSON(3).Draw(t, "value")}
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		require.Empty(t, c.Compare("GET /", jsonAnswer(shuffled(v, rng)), jsonAnswer(shuffled(v, rng))))
	})
}

// TestPlantedChangesAreFound: what is changed in one place of any value is found
// there, and nowhere else.
func TestPlantedChangesAreFound(t *testing.T) {
	c := newComparer(t, Rules{})
	rapid.Check(t, func(t *rapid.T) {
		around := map[string]any{}
		for i := range rapid.IntRange(0, 4).Draw(t, "members") {
			around["m"+string(rune('a'+i))] = someJSON(2).Draw(t, "member")
		}
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		wrap := func(planted any) Response {
			around["planted"] = map[string]any{"inner": planted}
			return jsonAnswer(shuffled(map[string]any{"out": around}, rng))
		}
		was, is := rapid.IntRange(0, 99).Draw(t, "was"), rapid.IntRange(100, 199).Draw(t, "is")
		require.Equal(t, []string{fmt.Sprintf("changed body.out.planted.inner: %d -> %d", was, is)}, told(c.Compare("GET /", wrap(was), wrap(is))))
		require.Equal(t, []string{fmt.Sprintf(`type body.out.planted.inner: %d -> null`, was)}, told(c.Compare("GET /", wrap(was), wrap(nil))))
	})
}

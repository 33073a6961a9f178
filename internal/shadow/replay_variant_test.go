package shadow

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// experiment gives each session one of two variants, at random, and a cookie to keep it
// by. Beside it stands a price.
func experiment(rng *rand.Rand, price int) *standIn {
	var mu sync.Mutex
	return &standIn{answer: func(r asked) (int, map[string]string, string, time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		variant, set := "AB"[rng.IntN(2):][:1], map[string]string{}
		if _, after, has := strings.Cut(r.header.Get("Cookie"), "exp="); has {
			variant = after[:1]
		} else {
			set["Set-Cookie"] = "exp=" + variant
		}
		return 200, set, fmt.Sprintf(`{"variant":%q,"price":%d}`, variant, price), time.Millisecond
	}}
}

// ownDice are chances of each of the three that are asked, which are asked side by side.
func ownDice(seed uint64) (all [3]*rand.Rand) {
	for i := range all {
		all[i] = rand.New(rand.NewPCG(seed, uint64(i)))
	}
	return all
}

// TestExperimentsBySession: what a session was given once differs in all its answers, and
// is one cause: few sessions with many answers each prove nothing. What is wrong beside it
// is found.
func TestExperimentsBySession(t *testing.T) {
	for price, want := range map[int]int{10: 0, 11: 40} {
		variants, prices := 0, 0
		for seed := range uint64(40) {
			synctest.Test(t, func(t *testing.T) {
				var exchanges []Exchange
				for n := range 360 {
					e := recordedGet(time.Duration(n)*50*time.Millisecond, fmt.Sprint("s", n%6), "/items")
					e.Request.Header.Set("Cookie", "exp=pn-0")
					exchanges = append(exchanges, e)
				}
				rngs := ownDice(seed)
				s := staged{test: shadowTest(), tape: tape{exchanges: exchanges}, candidate: experiment(rngs[0], price), baseline: experiment(rngs[1], 10), again: experiment(rngs[2], 10)}
				s.test.Noise = plan.NoiseTwice
				for _, e := range happened(s.run(t, t.Context()), measure.EventDifference) {
					switch regression := e.Attrs["class"] == string(Regression); {
					case regression && e.Attrs["place"] == "body.variant":
						variants++
					case regression && e.Attrs["place"] == "body.price":
						prices++
					}
				}
			})
		}
		require.LessOrEqual(t, variants, 1, "of 40")
		require.InDelta(t, want, prices, 5)
	}
}

// TestVariantsByVisitor: where the variant follows from an id that each session is given,
// no cookie tells that it was dealt, but that all answers of a session differ alike.
func TestVariantsByVisitor(t *testing.T) {
	byVisitor := func(rng *rand.Rand, price int) *standIn {
		var mu sync.Mutex
		return &standIn{answer: func(r asked) (int, map[string]string, string, time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			id, set := fmt.Sprint(100_000+rng.IntN(900_000)), map[string]string{}
			if _, after, has := strings.Cut(r.header.Get("Cookie"), "visitor="); has {
				id = after[:6]
			} else {
				set["Set-Cookie"] = "visitor=" + id
			}
			return 200, set, fmt.Sprintf(`{"variant":"%c","price":%d}`, 'A'+id[5]%2, price), time.Millisecond
		}}
	}
	variants, prices := 0, 0
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			var exchanges []Exchange
			for n := range 1200 {
				e := recordedGet(time.Duration(n)*50*time.Millisecond, fmt.Sprint("s", n%30), "/items")
				e.Request.Header.Set("Cookie", "visitor=pn-0")
				exchanges = append(exchanges, e)
			}
			rngs := ownDice(seed)
			s := staged{test: shadowTest(), tape: tape{exchanges: exchanges}, candidate: byVisitor(rngs[0], 11), baseline: byVisitor(rngs[1], 10), again: byVisitor(rngs[2], 10)}
			s.test.Noise = plan.NoiseTwice
			for _, e := range happened(s.run(t, t.Context()), measure.EventDifference) {
				if e.Attrs["class"] == string(Regression) && e.Attrs["place"] == "body.variant" {
					variants++
				}
				if e.Attrs["class"] == string(Regression) && e.Attrs["place"] == "body.price" {
					prices++
				}
			}
		})
	}
	require.LessOrEqual(t, variants, 1, "of 40")
	require.Equal(t, 40, prices)
}

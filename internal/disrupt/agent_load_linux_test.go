package disrupt

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// TestAgentUnderLoad is about those who call all the time, without a pause
// between two requests. When a fault begins, at most the request that is under
// way on each connection is lost; when it is lifted, none, and none is slow but
// those that a machine with too much to do is slow at anyway.
func TestAgentUnderLoad(t *testing.T) {
	w := newPodWorld(t)
	const callers = 4
	load := &calling{patience: time.Second}
	for caller := range callers {
		load.call(caller, w.client(), podURL)
	}
	calm := &calling{patience: time.Second / 4, always: true} // what this machine does to anybody
	calm.call(callers, w.client(), calmURL)
	var injections []stretch
	for i := range 3 { // in, and out again; no request is meant
		id := "n" + strconv.Itoa(i)
		d := outage()
		d.Match = &plan.Match{Path: "/nobody"}
		began := time.Now()
		require.Empty(t, w.inject(id, d, 0).Error)
		injections = append(injections, stretch{began, time.Now()})
		load.more(t, 200)
		a := w.tell(agentRequest{Op: agentLift, ID: id})
		require.Empty(t, a.Error)
		require.Zero(t, a.Lease.Touched)
		w.noTables()
		load.more(t, 200)
	}
	load.end()
	calm.end()
	require.Empty(t, calm.lost)
	for _, in := range injections { // a request that failed was under way then
		each := map[int]asked{}
		load.lost = slices.DeleteFunc(load.lost, func(a asked) bool {
			if !a.meets(in) {
				return false
			}
			require.NotContains(t, each, a.caller, "lost too when a fault began at %v: %v", in, a)
			each[a.caller] = a
			return true
		})
	}
	require.Empty(t, load.lost)
	for _, slow := range load.slow {
		require.True(t, slices.ContainsFunc(calm.slow, func(a asked) bool { return a.meets(slow.stretch) }), "%v, when faults began at %v", slow, injections)
	}
}

// stretch is a stretch of time.
type stretch struct{ began, ended time.Time }

func (s stretch) meets(other stretch) bool {
	return s.began.Before(other.ended) && s.ended.After(other.began)
}

func (s stretch) String() string {
	return fmt.Sprintf("%s for %v", s.began.Format("15:04:05.000000"), s.ended.Sub(s.began))
}

// asked is a request, and what became of it.
type asked struct {
	stretch
	caller int
	got    string
}

func (a asked) String() string { return fmt.Sprintf("caller %d at %v: %s", a.caller, a.stretch, a.got) }

// calling is requests of several callers, of each one after the other.
type calling struct {
	patience time.Duration // what takes longer is slow
	always   bool          // the time between two requests counts, too

	callers sync.WaitGroup
	over    atomic.Bool
	number  atomic.Int64

	mu         sync.Mutex
	lost, slow []asked
}

// call asks all the time until the end. Clients do not send a POST again by
// themselves.
func (c *calling) call(caller int, client *http.Client, url string) {
	c.callers.Go(func() {
		for began := time.Now(); !c.over.Load(); {
			if !c.always {
				began = time.Now()
			}
			got, err := answerOf(client.Post(url+"/load?wait=2ms", "text/plain", strings.NewReader("x")))
			ended := time.Now()
			c.ask(asked{stretch{began, ended}, caller, fmt.Sprint(got, err)}, err == nil && strings.HasPrefix(got, "200"))
			began = ended
		}
	})
}

func (c *calling) ask(a asked, answered bool) {
	c.number.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !answered {
		c.lost = append(c.lost, a)
	}
	if a.ended.Sub(a.began) > c.patience {
		c.slow = append(c.slow, a)
	}
}

// more waits for so many requests.
func (c *calling) more(t *testing.T, requests int64) {
	t.Helper()
	seen := c.number.Load()
	require.Eventually(t, func() bool { return c.number.Load() > seen+requests }, patience, 5*time.Millisecond)
}

func (c *calling) end() {
	c.over.Store(true)
	c.callers.Wait()
}

package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

const goneBefore = "it was gone before it was lifted, and since when is not known: "

// Somebody else ends a fault before its time: it is lifted all the same, and
// nobody takes what came since for a time in which it was in effect.
func TestAFaultThatEndsEarlyIsNotTrusted(t *testing.T) {
	for name, tt := range map[string]struct {
		end  string // a command that ends it
		want string
	}{
		"it lasts":          {"true", ""},
		"it is gone":        {"rm -f fault", goneBefore + "verify did not find it any more"},
		"nobody knows":      {"echo > broken", "whether it was in effect until it was lifted is not known: verify: "},
		"nobody can verify": {"rm -f fault", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := switched()
			d.Exec.Verify = "test -e broken && exit 2; test -e fault"
			d.Exec.Lift = "rm -f fault broken"
			if name == "nobody can verify" {
				d.Exec.Verify = ""
			}
			lift, _ := put(t, d, siteIn(dir))
			require.NoError(t, siteIn(dir).run(t.Context(), tt.end, nil, patience))
			touch := lift()
			if tt.want == "" {
				require.Empty(t, touch.Doubt)
			} else {
				require.Contains(t, touch.Doubt, tt.want)
			}
			require.EqualValues(t, 1, touch.Touched, "it did bite")
			require.NoFileExists(t, filepath.Join(dir, "fault"))
		})
	}
}

// A run that was interrupted has no time to look before it lifts.
func TestWhoIsInAHurryDoesNotLook(t *testing.T) {
	look := func(context.Context) (string, error) { return "", errors.New("looked") }
	require.Contains(t, doubt(t.Context(), look), "looked")
	hurried, cancel := context.WithTimeout(t.Context(), unhurried-time.Second)
	defer cancel()
	require.Empty(t, doubt(hurried, look))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.Empty(t, doubt(ended, look))
}

func TestACallThatLastedNotLongEnough(t *testing.T) {
	e, d := newExperiments(t)
	lift, _ := put(t, d, Site{Note: quiet})
	e.mu.Lock()
	delete(e.running, "e/1 ?")
	e.mu.Unlock()
	require.Equal(t, goneBefore+"verify did not find it any more", lift().Doubt)
}

func TestAPauseThatSomebodyEnds(t *testing.T) {
	ends := map[string]func(t *testing.T, s subject){
		"services": func(t *testing.T, s subject) {
			require.NoError(t, signalTo(s.victim.(*serviceLife).service.Pid(), syscall.SIGCONT))
		},
		"process": func(t *testing.T, s subject) {
			p, err := s.victim.(*processLife).find()
			require.NoError(t, err)
			require.NoError(t, signalTo(p.pid, syscall.SIGCONT))
		},
		"container of a fake": func(t *testing.T, s subject) {
			c := s.victim.(*containerLife)
			require.NoError(t, c.engine.tell(t.Context(), c.id, "unpause", nil))
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			s := subjects[name](t)
			d := s.d
			d.Pause = &plan.Pause{}
			lift, _ := put(t, d, s.site)
			require.Empty(t, lift().Doubt)

			lift, _ = put(t, d, s.site)
			end(t, s)
			require.NoError(t, eventually(t.Context(), patience, "it goes on", func() (bool, error) {
				now, err := s.victim.look(t.Context())
				return !now.still, err
			}))
			touch := lift()
			require.Equal(t, goneBefore+s.victim.name()+" did not stand still any more", touch.Doubt)
			require.EqualValues(t, 1, touch.Touched)
			now, err := s.victim.look(t.Context())
			require.NoError(t, err)
			require.True(t, now.running && !now.paused)
		})
	}
}

// Another fault of the run that kills what is paused does not make the pause
// doubtful: it is expected.
func TestAPauseOfWhatAnotherFaultKills(t *testing.T) {
	s := subjects["process"](t)
	paused, killed := s.d, s.d
	paused.Pause, killed.Kill = &plan.Pause{}, &plan.Kill{}
	thaw, _ := put(t, paused, s.site)
	revive, _ := put(t, killed, s.site)
	require.Empty(t, thaw().Doubt, "it is down")
	revive()

	thaw, _ = put(t, paused, s.site)
	revive, _ = put(t, killed, s.site)
	revive()
	require.Empty(t, thaw().Doubt, "it stood still again")
}

func TestToxicsThatSomebodyTakesOff(t *testing.T) {
	url, _ := startToxiproxy(t)
	for name, tt := range map[string]struct {
		d    plan.Disruption
		end  func(t *testing.T, p *toxiproxied)
		want string
	}{
		"a toxic": {plan.Disruption{Latency: &plan.Latency{Delay: 1}}, func(t *testing.T, p *toxiproxied) {
			require.NoError(t, p.api.remove(t.Context(), "db", "resilience-d-downstream"))
		}, `the toxic "resilience-d-downstream" was not there any more`},
		"a refusal": {plan.Disruption{Refuse: &plan.Refuse{}}, func(t *testing.T, p *toxiproxied) { require.NoError(t, p.api.enable(t.Context(), "db", true)) }, "it was enabled"},
		"the proxy": {plan.Disruption{Refuse: &plan.Refuse{}}, func(t *testing.T, p *toxiproxied) { require.NoError(t, p.api.delete(t.Context(), "db")) }, "the server has no such proxy any more"},
	} {
		t.Run(name, func(t *testing.T) {
			p := toxiproxyFront(t, url)
			tt.d.Name, tt.d.Dependency = "d", "db"
			fault, err := p.Disruption(tt.d, 1)
			require.NoError(t, err)
			lift, err := fault.Inject(t.Context(), func(json.RawMessage) error { return nil })
			require.NoError(t, err)
			tt.end(t, p)
			for range 2 {
				touch, err := lift(t.Context())
				require.NoError(t, err)
				require.Equal(t, goneBefore+tt.want, touch.Doubt)
			}
			require.NoError(t, p.Close())
		})
	}
}

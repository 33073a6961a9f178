package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// seconds makes a duration of a plan.
func seconds(n int) Duration { return Duration(time.Duration(n) * time.Second) }

// stretch is a phase of one test that lasts so many seconds after ten of
// warm-up.
func stretch(length int, disruptions ...Disruption) Phase {
	settle := seconds(5)
	for i := range disruptions {
		if disruptions[i].Settle == nil {
			disruptions[i].Settle = &settle
		}
	}
	load := &Profile{Rate: 1, Warmup: seconds(10), Duration: seconds(length)}
	return Phase{Name: "beta", Tests: []Test{{Name: "checkout", Load: load}}, Disruptions: disruptions}
}

// told writes slots as "NAME FROM..TO", with what may be drawn.
func told(slots []Slot) (out []string) {
	for _, s := range slots {
		line := fmt.Sprintf("%s %s..%s", s.Disruption.Name, Duration(s.From), Duration(s.To))
		if s.Late > 0 {
			line += " late " + Duration(s.Late).String()
		}
		if s.Sweep != "" {
			line += " of " + s.Sweep
		}
		out = append(out, line)
	}
	return out
}

func TestTimetable(t *testing.T) {
	p := Plan{
		Dependencies: map[string]Dependency{"payments": {}, "pay-later": {}, "orders": {}},
		Services:     map[string]Service{"shop-2": {}, "shop-1": {}, "db": {}},
	}
	tests := map[string]struct {
		phase Phase
		want  []string
	}{
		"one": {stretch(60, Disruption{Name: "a", At: seconds(5), For: seconds(15)}), []string{"a 15s..30s"}},
		"a sequence of sequences, in any order of the plan": {
			stretch(90, Disruption{Name: "c", After: "b", At: seconds(1), For: seconds(3)},
				Disruption{Name: "b", After: "a", For: seconds(10), Spread: seconds(4)},
				Disruption{Name: "a", At: seconds(5), For: seconds(10), Spread: seconds(2)}),
			[]string{"a 15s..25s late 2s", "b 25s..35s late 6s", "c 36s..39s late 6s"},
		},
		"repeated, and one after the last of them": {
			stretch(90, Disruption{Name: "a", For: seconds(5), Repeat: &Repeat{Times: 3, Every: seconds(10)}},
				Disruption{Name: "b", After: "a", For: seconds(5)}),
			[]string{"a 10s..15s", "a 20s..25s", "a 30s..35s", "b 35s..40s"},
		},
		"a sweep over dependencies settles in between": {
			stretch(90, Disruption{Name: "slow", Dependency: "pay*", Sweep: true, At: seconds(2), For: seconds(5), Spread: seconds(1)},
				Disruption{Name: "b", After: "slow", For: seconds(5)}),
			[]string{"slow.pay-later 12s..17s late 1s of slow", "slow.payments 22s..27s late 2s of slow", "b 27s..32s late 2s"},
		},
		"a sweep over services": {
			stretch(90, Disruption{Name: "kill", Services: Names{"shop-*", "shop-1"}, Sweep: true, For: seconds(5), Kill: &Kill{}}),
			[]string{"kill.shop-1 10s..15s of kill", "kill.shop-2 20s..25s of kill"},
		},
		"a circle ends": {
			stretch(90, Disruption{Name: "a", After: "b", For: seconds(5)}, Disruption{Name: "b", After: "a", For: seconds(5)}),
			[]string{"b 10s..15s", "a 15s..20s"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, told(p.Timetable(test.phase))) })
	}
}

func TestInstancesOfASweep(t *testing.T) {
	p := Plan{Services: map[string]Service{"shop-1": {}, "shop-2": {}, "db": {}}}
	each, more := p.Instances(Disruption{Name: "kill", Services: Names{"shop-*"}, Sweep: true, After: "x"})
	require.False(t, more)
	require.Equal(t, Disruption{Name: "kill.shop-1", Services: Names{"shop-1"}, AtMost: &Amount{Share: 1}}, each[0], "one of two may be acted on by itself")
	each, _ = p.Instances(Disruption{Name: "kill", Services: Names{"db"}, Sweep: true})
	require.Nil(t, each[0].AtMost, "the only one there is wants at_most: all, as always")

	pods := Disruption{Name: "kill", Kubernetes: &Kubernetes{Namespace: "shop", Select: map[string]string{"app": "shop"}}, Sweep: true}
	each, more = p.Instances(pods)
	require.True(t, more)
	require.Equal(t, []Disruption{pods}, each)
	one := pods.Instance("shop-abc", 3)
	require.Equal(t, "kill.shop-abc", one.Name)
	require.Equal(t, []string{"shop-abc"}, one.Kubernetes.Pods)
	require.Empty(t, pods.Kubernetes.Pods, "the sweep itself is left alone")
}

func TestOverlaps(t *testing.T) {
	phase := stretch(90,
		Disruption{Name: "a", For: seconds(10)},
		Disruption{Name: "b", At: seconds(5), For: seconds(10)},
		Disruption{Name: "c", At: seconds(20), For: seconds(5)},
		Disruption{Name: "d", After: "c", For: seconds(5)},
		Disruption{Name: "e", At: seconds(12), For: seconds(5), Spread: seconds(4)})
	require.Equal(t, [][2]string{{"a", "b"}, {"b", "e"}, {"e", "c"}}, Plan{}.Overlaps(phase))
}

// TestDrawnTimes wants every moment to be within its limits, the same for the
// same seed, and not always the same.
func TestDrawnTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Disruption{
			Name: rapid.StringMatching(`[a-z]{1,8}`).Draw(t, "name"), At: seconds(rapid.IntRange(0, 100).Draw(t, "at")),
			For: seconds(2), Spread: Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "spread")),
			Repeat: &Repeat{Times: 5, Every: Duration(rapid.Int64Range(int64(time.Hour), int64(2*time.Hour)).Draw(t, "every"))},
		}
		seed := rapid.Int64().Draw(t, "seed")
		n := rapid.IntRange(0, 4).Draw(t, "n")
		at := d.Moment(seed, n)
		earliest := time.Duration(d.At) + time.Duration(n)*time.Duration(d.Repeat.Every)
		require.GreaterOrEqual(t, at, earliest)
		require.LessOrEqual(t, at, earliest+time.Duration(d.Spread))
		require.Equal(t, at, d.Moment(seed, n))
	})
	d := Disruption{Name: "a", Spread: seconds(60), For: seconds(1)}
	distinct, low := map[time.Duration]bool{}, 0
	for seed := range int64(1000) {
		drawn := d.Drawn(seed, 0)
		distinct[drawn] = true
		if drawn < 30*time.Second {
			low++
		}
	}
	require.Greater(t, len(distinct), 990)
	require.InDelta(t, 500, low, 60, "each moment is as likely")
	require.NotEqual(t, d.Drawn(1, 0), d.Drawn(1, 1))
	require.NotEqual(t, d.Drawn(1, 0), Disruption{Name: "b", Spread: seconds(60)}.Drawn(1, 0))
}

// TestUnannouncedFits wants what is drawn for a game day to end and settle in
// time, in the order of the plan, and no earlier than the plan says.
func TestUnannouncedFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []Disruption
		total := 0
		for i := range rapid.IntRange(1, 5).Draw(t, "n") {
			d := Disruption{Name: string(rune('a' + i)), For: seconds(rapid.IntRange(2, 20).Draw(t, "for"))}
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				d.Spread = seconds(rapid.IntRange(1, 20).Draw(t, "spread"))
			case 1:
				d.Repeat = &Repeat{Times: 2, Every: d.For + seconds(5)}
			case 2:
				if i > 0 {
					d.After = list[rapid.IntRange(0, i-1).Draw(t, "after")].Name
				}
			}
			d.At = seconds(rapid.IntRange(0, 30).Draw(t, "at"))
			total += 100
			list = append(list, d)
		}
		p, phase := Plan{}, stretch(total, list...)
		seed := rapid.Int64().Draw(t, "seed")
		moved, err := p.Unannounced(phase, seed)
		require.NoError(t, err)
		again, err := p.Unannounced(phase, seed)
		require.NoError(t, err)
		require.Equal(t, moved, again)
		for _, s := range p.Timetable(moved) {
			require.LessOrEqual(t, s.To+s.Late+5*time.Second, phase.Length())
		}
		for i, d := range phase.Disruptions {
			require.GreaterOrEqual(t, moved.Disruptions[i].At, d.At)
		}
	})
}

func TestUnannouncedMovesWithTheSeed(t *testing.T) {
	phase := stretch(60, Disruption{Name: "a", At: seconds(5), For: seconds(5)}, Disruption{Name: "b", At: seconds(20), For: seconds(5)})
	starts := map[Duration]bool{}
	for seed := range int64(50) {
		moved, err := Plan{}.Unannounced(phase, seed)
		require.NoError(t, err)
		a, b := moved.Disruptions[0].At, moved.Disruptions[1].At
		require.GreaterOrEqual(t, b-a, seconds(15), "no less time between than in the plan")
		require.LessOrEqual(t, b, seconds(50))
		starts[a] = true
	}
	require.Greater(t, len(starts), 45)
	require.Equal(t, seconds(5), phase.Disruptions[0].At, "the plan itself is left alone")

	_, err := Plan{}.Unannounced(stretch(15, Disruption{Name: "a", For: seconds(10)}), 1)
	require.ErrorContains(t, err, "take all the time there is")
	open := phase
	open.Tests = []Test{{Name: "by script", Load: &Profile{Script: "x.js"}}}
	_, err = Plan{}.Unannounced(open, 1)
	require.ErrorContains(t, err, "only its scripts know")
}

package run

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

func TestDisruptionCountsFromTheEndOfWarmup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, plan.Phase{
			Tests:       []plan.Test{test("checkout", 5*time.Second, 30*time.Second)},
			Disruptions: []plan.Disruption{disruption("slow", 10*time.Second, 8*time.Second)},
		})
		s.load.startup = 3 * time.Second // k6 takes its time to start
		s.fault.touch = measure.Touch{Matched: 10, Touched: 4}
		began := time.Now()
		require.NoError(t, s.Run(t.Context(), "beta"))

		require.Equal(t, 18*time.Second, s.fault.injected.Sub(began))
		require.Equal(t, 26*time.Second, s.fault.lifted.Sub(began))
		require.Equal(t, []string{"phase beta", "warning preflight", "test", "disruption slow", "lifted slow", "phase-end beta"}, s.record.told())
		e := s.record.find(t, measure.EventDisruption, "slow")
		require.Equal(t, map[string]string{"fault": "latency", "on": "payments", "settle": "1s", "share": "0.5"}, e.Attrs)
		require.Equal(t, map[string]string{"touched": "4", "matched": "10"}, s.record.find(t, measure.EventLifted, "slow").Attrs)
		require.True(t, s.proxy.closed)
	})
}

func TestTheSlowestWarmupCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := test("late", 60*time.Second, 10*time.Second)
		late.Start = plan.Duration(5 * time.Second) // does not hold the clock up
		s := newStage(t, plan.Phase{
			Tests:       []plan.Test{test("a", time.Second, 40*time.Second), test("b", 7*time.Second, 40*time.Second), late},
			Disruptions: []plan.Disruption{disruption("slow", time.Second, time.Second)},
		})
		began := time.Now()
		require.NoError(t, s.Run(t.Context(), "beta"))
		require.Equal(t, 8*time.Second, s.fault.injected.Sub(began))
	})
}

func TestAnEngineThatDoesNotEndIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, plan.Phase{Tests: []plan.Test{test("checkout", 0, 10*time.Second)}})
		s.Adapters.Traffic = func(plan.Stream) (Traffic, error) {
			return trafficFunc(func(ctx context.Context) error { <-ctx.Done(); return nil }), nil
		}
		began := time.Now()
		require.NoError(t, s.Run(t.Context(), "beta"))
		require.Equal(t, 10*time.Second+overrun, time.Since(began))
		require.Contains(t, s.record.find(t, measure.EventGenerator, "overrun").Attrs["detail"], "still running 1m0s")
	})
}

// delayed is traffic that has to be prepared for a while.
type delayed struct{ trafficFunc }

func (delayed) Delay() time.Duration { return 5 * time.Minute }

func TestAnEngineMaySayThatItNeedsTimeToBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, plan.Phase{Tests: []plan.Test{test("checkout", 0, 10*time.Second)}})
		s.Adapters.Traffic = func(plan.Stream) (Traffic, error) {
			return delayed{func(ctx context.Context) error { <-ctx.Done(); return nil }}, nil
		}
		began := time.Now()
		require.NoError(t, s.Run(t.Context(), "beta"))
		require.Equal(t, 5*time.Minute+10*time.Second+overrun, time.Since(began))
	})
}

func TestStreamsOfAPlanAlone(t *testing.T) {
	s := newStage(t, plan.Phase{Candidate: "shop", Tests: []plan.Test{test("checkout", 0, 10*time.Second)}})
	s.Plan.Secrets = map[string]plan.Secret{"client": {Env: "CLIENT"}}
	s.Plan.Env = map[string]string{"TOKEN": "${secrets.client}"}
	s.Plan.Targets = map[string]plan.Target{"shop": {URL: "http://shop.load/"}, "local": {URL: "${services.web.url}"}}
	s.Getenv = func(name string) (string, bool) { return "sesame", name == "CLIENT" }
	streams, err := s.Streams("beta")
	require.NoError(t, err)
	require.Len(t, streams, 1)
	require.Equal(t, "http://shop.load", streams[0].Target.URL)
	require.Equal(t, map[string]string{"TOKEN": "sesame"}, streams[0].Env)
	require.Contains(t, streams[0].Hosts, "shop.load:80")

	s.Getenv = func(string) (string, bool) { return "", false }
	_, err = s.Streams("beta")
	require.ErrorContains(t, err, "CLIENT")
	_, err = s.Streams("gamma")
	require.ErrorContains(t, err, `no phase "gamma"`)
}

func TestInterruptLiftsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, plan.Phase{
			Tests:       []plan.Test{test("checkout", 0, time.Minute)},
			Disruptions: []plan.Disruption{disruption("slow", 5*time.Second, 30*time.Second), disruption("later", 50*time.Second, time.Second)},
		})
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		began := time.Now()
		err := s.Run(ctx, "beta")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, ErrFaultLeft)
		require.Equal(t, 12*time.Second, s.fault.lifted.Sub(began))
		told := s.record.told()
		require.Contains(t, told, "lifted slow")
		require.Contains(t, told, "skipped later")
		require.Contains(t, told, "interrupt")
		require.Equal(t, "interrupted", s.record.find(t, measure.EventPhaseEnd, "beta").Attrs["reason"])
		require.True(t, s.proxy.closed)
	})
}

func TestTrafficThatBreaksEndsThePhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, plan.Phase{
			Tests:       []plan.Test{test("checkout", 0, time.Minute)},
			Disruptions: []plan.Disruption{disruption("slow", 0, 30*time.Second)},
		})
		s.load.err = errors.New("no more sockets")
		require.ErrorContains(t, s.Run(t.Context(), "beta"), "no more sockets")
		require.Contains(t, s.record.told(), "lifted slow")
	})
}

func TestAnEngineThatBreaksLiftsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, plan.Phase{
			Tests:       []plan.Test{test("breaks", 0, time.Minute), test("slow to stop", 0, time.Minute)},
			Disruptions: []plan.Disruption{disruption("slow", 0, 50*time.Second)},
		})
		s.Adapters.Traffic = func(st plan.Stream) (Traffic, error) {
			if st.Test.Name == "breaks" {
				return load{stream: st, err: errors.New("no more sockets")}, nil
			}
			return lingering{load{stream: st}}, nil
		}
		began := time.Now()
		require.ErrorContains(t, s.Run(t.Context(), "beta"), "no more sockets")
		require.False(t, s.fault.injected.IsZero())
		require.Less(t, s.fault.lifted.Sub(began), 5*time.Second)
	})
}

// lingering is a load that takes its time to stop.
type lingering struct{ load }

func (l lingering) Run(ctx context.Context, emit func(measure.Batch) error) error {
	err := l.load.Run(ctx, emit)
	time.Sleep(30 * time.Second)
	return err
}

func TestFailuresUnderAFaultAreNoSickness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, plan.Phase{
			Tests:       []plan.Test{test("checkout", 0, 40*time.Second)},
			Disruptions: []plan.Disruption{disruption("first", 5*time.Second, 10*time.Second), disruption("second", 18500*time.Millisecond, time.Second)},
		})
		began := time.Now()
		s.load.late = 2 * time.Second // windows of the fault come in after it was lifted
		s.load.faulty = func(at time.Time) bool { d := at.Sub(began); return d >= 5*time.Second && d < 15*time.Second }
		require.NoError(t, s.Run(t.Context(), "beta"))
		require.Contains(t, s.record.told(), "lifted second")
	})
}

func TestARecordThatCanNotBeWrittenEndsThePhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, plan.Phase{Tests: []plan.Test{test("checkout", 0, time.Minute)}})
		s.record.fail = errors.New("disk full")
		require.ErrorContains(t, s.Run(t.Context(), "beta"), "disk full")
	})
}

func TestUnconfirmedLiftingIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, plan.Phase{
			Tests:       []plan.Test{test("checkout", 0, 10*time.Second)},
			Disruptions: []plan.Disruption{disruption("slow", 0, time.Second)},
		})
		s.fault.liftErr = errors.New("the agent does not answer")
		require.ErrorIs(t, s.Run(t.Context(), "beta"), ErrFaultLeft)
		require.Equal(t, "the agent does not answer", s.record.find(t, measure.EventLifted, "slow").Attrs["error"])
	})
}

func TestDisruptionsThatDoNotHappen(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*stage)
		at     time.Duration
		reason string
	}{
		"the system is sick":     {func(s *stage) { s.load.failed = 6 }, 7500 * time.Millisecond, "the system was sick already: 42 of the last 70 requests failed"},
		"injection fails":        {func(s *stage) { s.fault.injectErr = errors.New("no rights") }, 0, "could not be injected: no rights"},
		"it would come too late": {func(*stage) {}, time.Minute, "it would not be over before the tests are, but 41s later"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, plan.Phase{
					Tests:       []plan.Test{test("checkout", 0, 20*time.Second)},
					Disruptions: []plan.Disruption{disruption("slow", tc.at, time.Second)},
				})
				tc.change(s)
				require.NoError(t, s.Run(t.Context(), "beta"))
				require.Equal(t, tc.reason, s.record.find(t, measure.EventSkipped, "slow").Attrs["reason"])
				require.True(t, s.fault.injected.IsZero())
			})
		})
	}
}

func TestBothArmsGetTheSameTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, plan.Phase{Baseline: plan.Baseline{Target: "old"}, Tests: []plan.Test{test("checkout", 0, 2*time.Second)}})
		s.Plan.Targets["old"] = plan.Target{URL: "http://127.0.0.1:3"}
		var streams []plan.Stream
		made := s.Adapters.Traffic
		s.Adapters.Traffic = func(st plan.Stream) (Traffic, error) {
			streams = append(streams, st)
			return made(st)
		}
		s.Seed = 7
		require.NoError(t, s.Run(t.Context(), "beta"))
		require.Len(t, streams, 2)
		require.Equal(t, []string{measure.Candidate, measure.Baseline}, []string{streams[0].Arm, streams[1].Arm})
		require.Equal(t, "http://127.0.0.1:3", streams[1].Target.URL)
		require.Equal(t, streams[0].Seed, streams[1].Seed)
		require.Equal(t, []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}, streams[0].Hosts)
	})
}

// TestAShadowTestIsOneStream: it asks both arms by itself, and what tells noise.
func TestAShadowTestIsOneStream(t *testing.T) {
	for name, c := range map[string]struct {
		shadow        plan.Shadow
		beside, again string
		wrong         string
	}{
		"asked twice":      {shadow: plan.Shadow{Noise: plan.NoiseTwice}, beside: "http://old.test", again: "http://old.test"},
		"another instance": {shadow: plan.Shadow{Noise: "spare"}, beside: "http://old.test", again: "http://spare.test"},
		"recorded noise":   {shadow: plan.Shadow{Noise: plan.Recorded}, beside: "http://old.test"},
		"no noise":         {shadow: plan.Shadow{Noise: plan.NoNoise}, beside: "http://old.test"},
		"recorded answers": {shadow: plan.Shadow{Baseline: plan.Recorded, Noise: plan.NoNoise}},
		"no address":       {shadow: plan.Shadow{Noise: "later"}, wrong: "test users: the target later, which tells noise, has no address"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, plan.Phase{Baseline: plan.Baseline{Target: "old"}, Tests: []plan.Test{{Name: "users", Shadow: &c.shadow}}})
			s.Plan.Targets["old"], s.Plan.Targets["spare"] = plan.Target{URL: "http://old.test/"}, plan.Target{URL: "http://spare.test"}
			s.Plan.Targets["later"] = plan.Target{URL: "${services.later.url}"}
			streams, err := s.Streams("beta")
			if c.wrong != "" {
				require.ErrorContains(t, err, c.wrong)
				return
			}
			require.NoError(t, err)
			require.Len(t, streams, 1)
			require.Equal(t, measure.Candidate, streams[0].Arm)
			url := func(target *plan.Target) string {
				if target == nil {
					return ""
				}
				return target.URL
			}
			require.Equal(t, c.beside, url(streams[0].Beside))
			require.Equal(t, c.again, url(streams[0].Again))
		})
	}
}

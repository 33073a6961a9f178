package gates

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What Kayenta's judge (NetflixACAJudge of spinnaker/kayenta) lets pass, by its
// published rules, and what the gates of this package say of the same data. The
// judge ranks the points of a metric, one a minute, with Mann and Whitney's test:
// a metric is worse when the lower end of the 98 % interval of the shift is over
// a quarter (its tolerance) of the estimated shift, and the ratio of the means is
// over the allowed increase. A group's score is the share of its metrics that
// are not worse, of those that have data.
//
// Each case is judged beside a baseline arm and beside the record of a baseline.
func TestWhatKayentaPasses(t *testing.T) {
	for name, c := range map[string]struct {
		candidate, baseline []string
		gates               []string
		want                Outcome
	}{
		// The ratio of the means is taken to be 1 where the baseline's is 0, so
		// that no allowed increase is ever reached.
		"errors appear where the baseline has none": {
			candidate: []string{"requests t /a 0..600 count=10 failed=1 latency=100"},
			baseline:  []string{"requests t /a 0..600 count=10 latency=100"},
			gates:     []string{"errors <= baseline", "errors <= baseline + 10%", "errors <= baseline * 2", "availability >= baseline - 1pp"},
			want:      Fail,
		},
		// With three of ten points alike, the interval of the shift reaches down
		// to less than a quarter of it.
		"seven of ten points are 100 times worse": {
			candidate: []string{"requests t /a 0..180 count=10 latency=lognormal(100,0.3)", "requests t /a 180..600 count=10 latency=lognormal(10000,0.3)"},
			baseline:  []string{"requests t /a 0..600 count=10 latency=lognormal(100,0.3)"},
			gates:     []string{"latency p50 <= baseline + 10%", "latency p95 <= baseline * 2", "latency mean <= baseline + 10%", "latency p95 <= max(300ms, baseline + 10%)"},
			want:      Fail,
		},
		// What has no data is left out, and a group with nothing left scores 100.
		"the candidate shows nothing": {
			candidate: []string{"requests t /b 0..600 count=10"},
			baseline:  []string{"requests t /a 0..600 count=10 latency=100"},
			gates:     []string{"errors of /a <= baseline", "latency p95 of /a <= baseline + 10%", "availability of /a >= baseline - 1pp", "latency mean of /a <= baseline"},
			want:      Inconclusive,
		},
		"the baseline shows nothing": {
			candidate: []string{"requests t /a 0..600 count=10 latency=100"},
			baseline:  []string{"requests t /b 0..600 count=10"},
			gates:     []string{"errors of /a <= baseline", "latency p95 of /a <= baseline + 10%", "availability of /a >= baseline - 1pp", "latency mean of /a <= baseline"},
			want:      Inconclusive,
		},
		"neither shows anything": {
			gates: []string{"errors <= baseline", "latency p95 <= baseline + 10%", "availability >= baseline - 1pp"},
			want:  Inconclusive,
		},
	} {
		for _, text := range c.gates {
			t.Run(name+"/"+text, func(t *testing.T) {
				require.Equal(t, c.want, besideAnArm(t, text, c.candidate, c.baseline).Outcome, "beside an arm")
				require.Equal(t, c.want, besideARecord(t, text, c.candidate, c.baseline).Outcome, "beside a record")
			})
		}
	}
}

// besideAnArm judges a gate where both arms ran at the same time.
func besideAnArm(t *testing.T, text string, candidate, baseline []string) Check {
	s := sheetOf(t, append([]string{"test t 0..600", "test t 0..600 arm=baseline"}, candidate...)...)
	for _, line := range baseline {
		require.NoError(t, s.load(line+" arm=baseline"))
	}
	return only(t, Judge(mustParse(t, text), s.record()))
}

// besideARecord judges a gate where the baseline is another run.
func besideARecord(t *testing.T, text string, candidate, baseline []string) Check {
	before := sheetOf(t, append([]string{"test t 0..600"}, baseline...)...).record()
	r := sheetOf(t, append([]string{"test t 0..600"}, candidate...)...).record()
	r.Baselines = []Record{before}
	return only(t, Judge(mustParse(t, text), r))
}

func sheetOf(t testing.TB, lines ...string) *sheet {
	s := &sheet{}
	for _, line := range lines {
		require.NoError(t, s.load(line))
	}
	return s
}

func only(t *testing.T, v Verdict) Check {
	require.Len(t, v.Checks, 1)
	require.Equal(t, v.Checks[0].Outcome, v.Outcome)
	return v.Checks[0]
}

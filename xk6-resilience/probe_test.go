package xk6resilience

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// told is what the harness would hear.
func told(t *testing.T, d *desk) (all []measure.Probed) {
	t.Helper()
	var b bytes.Buffer
	d.close()
	require.NoError(t, d.deliver(&b))
	for b.Len() > 0 {
		frame, err := measure.ReadFrame(&b)
		require.NoError(t, err)
		var probed measure.Probed
		require.NoError(t, frame.Decode(&probed))
		all = append(all, probed)
	}
	return all
}

// That a probe had no end in its time says nothing about the target when k6 had no
// CPU throughout.
func TestProbeWithoutCPU(t *testing.T) {
	begin := time.Now()
	for name, c := range map[string]struct {
		starved time.Time
		want    measure.Probed
	}{
		"all the time": {begin.Add(-time.Second), measure.Probed{Seq: 7, Lost: "k6 had no CPU left while it was under way"}},
		"later": {begin.Add(time.Second), measure.Probed{Seq: 7, Attempt: measure.Attempt{
			Series: measure.Series{Metric: measure.MetricTransaction, Transaction: "order"},
			At:     begin.UnixNano(), Took: 2000, Found: measure.CutOff, Tries: 1, Message: "no end after 2s",
		}}},
	} {
		s := newSession()
		v := &vu{session: s}
		p := &probing{vu: v, span: &span{vu: v, start: begin, series: &measure.Series{Transaction: "order"}}}
		p.Seq, p.Timeout = 7, 2*time.Second
		s.starvation.since = c.starved
		p.cutOff(begin.Add(2 * time.Second))
		p.cutOff(begin.Add(3 * time.Second))
		require.Equal(t, []measure.Probed{c.want}, told(t, s.desk), name)
	}
}

// More than there are VUs can only come from a harness that is wrong.
func TestDeskIsFull(t *testing.T) {
	d := newDesk()
	for seq := range maxWaiting + 1 {
		d.hand(measure.Probe{Seq: uint64(seq)})
	}
	require.Equal(t, []measure.Probed{{Seq: maxWaiting, Lost: "k6 was sent more probes than it has VUs"}}, told(t, d))
}

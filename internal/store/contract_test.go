package store

import (
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/gates"
	"resilience/internal/measure"
)

// keeper is what every store of records can do.
type keeper interface {
	Append(measure.Batch) error
	Record(phase string) (gates.Record, error)
	Examples() ([]measure.Example, error)
	SaveDocument(name string, data []byte) error
	Document(name string) ([]byte, error)
	SaveGates(phase string, list []gates.Gate) error
	Gates(phase string) ([]gates.Gate, error)
	Phases() ([]string, error)
	SaveBaselines(phase string, recs ...gates.Record) error
	Run() (gates.Run, error)
	Finish(run gates.Run) error
}

// testContract is the suite that every store passes. Make gives an empty one
// for a run; reopen gives what another process would see of it.
func testContract(t *testing.T, make func(*testing.T, gates.Run) keeper, reopen func(*testing.T, keeper) keeper) {
	for name, test := range map[string]func(*testing.T, keeper, func(keeper) keeper){
		"an empty record":      contractEmpty,
		"what goes in comes":   contractRoundTrip,
		"phases are apart":     contractPhases,
		"windows are streamed": contractStreaming,
		"appending twice":      contractIdempotent,
		"conflicts":            contractConflict,
		"refused windows":      contractRefused,
		"examples are capped":  contractExamples,
		"documents":            contractDocuments,
		"gates":                contractGates,
		"run":                  contractRun,
		"baseline":             contractBaseline,
		"many writers":         contractConcurrent,
		"reading and writing":  contractReadWhileWriting,
	} {
		t.Run(name, func(t *testing.T) {
			test(t, make(t, someRun()), func(k keeper) keeper { return reopen(t, k) })
		})
	}
	t.Run("any batches", func(t *testing.T) {
		contractAnyBatches(t, func() keeper { return make(t, someRun()) })
	})
}

func someRun() gates.Run {
	return gates.Run{
		ID: "20260102T150405Z-abcd", Plan: "shop", Digest: "d", Seed: -7, Version: "v1",
		Started: time.Date(2026, 1, 2, 15, 4, 5, 6, time.UTC),
	}
}

func window(phase string, second int64, values ...float64) measure.Window {
	w := measure.Window{
		Source: "k6", Series: measure.Series{Metric: measure.MetricRequest, Phase: phase, Step: "GET /"},
		Start: second * measure.Second, Width: measure.Second, Part: 1, Count: uint64(len(values)),
	}
	for i, v := range values {
		if i == 0 {
			w.Min, w.Max, w.Sketch = v, v, measure.NewSketch(values...)
		}
		w.Sum, w.Min, w.Max = w.Sum+v, min(w.Min, v), max(w.Max, v)
	}
	return w
}

func windowsOf(t require.TestingT, k keeper, phase string) []measure.Window {
	rec, err := k.Record(phase)
	require.NoError(t, err)
	return collect(t, rec)
}

func collect(t require.TestingT, rec gates.Record) []measure.Window {
	var all []measure.Window
	for w, err := range rec.Windows {
		require.NoError(t, err)
		all = append(all, w)
	}
	return all
}

func contractEmpty(t *testing.T, k keeper, reopen func(keeper) keeper) {
	for _, k := range []keeper{k, reopen(k)} {
		rec, err := k.Record("beta")
		require.NoError(t, err)
		require.Empty(t, collect(t, rec))
		require.Empty(t, rec.Events)
		require.Empty(t, rec.Baselines)
		phases, err := k.Phases()
		require.NoError(t, err)
		require.Empty(t, phases)
	}
}

func contractRoundTrip(t *testing.T, k keeper, reopen func(keeper) keeper) {
	full := measure.Series{
		Metric: "m", Phase: "beta", Test: "t", Arm: "baseline", Transaction: "tr", Step: "st", Tenant: "te",
		Class: "cl", Cell: "ce", Region: "re", Instance: "in", Status: "5'\"\x00ü",
	}
	batch := measure.Batch{
		Windows: []measure.Window{
			window("beta", 5, 1, 2, 3),
			{Source: "proxy", Series: full, Start: 6, Width: 7, Part: 1<<32 - 1, Count: 1<<64 - 1, Failed: 3, Unfinished: 2, Dropped: 1},
			window("beta", -5, -1),
		},
		Events: []measure.Event{
			{Source: "run", Seq: 2, At: 9, Kind: measure.EventLifted, Phase: "beta", Test: "t", Arm: "candidate", Name: "slow", Attrs: map[string]string{"touched": "5"}},
			{Source: "run", Seq: 1, At: 8, Kind: measure.EventPhase},
		},
		Examples: []measure.Example{{At: 3, Phase: "beta", Test: "t", Arm: "candidate", Kind: "status 503", Request: "GET /", Status: "503", Message: "no", TraceID: "x"}},
	}
	require.NoError(t, k.Append(batch))
	for _, k := range []keeper{k, reopen(k)} {
		rec, err := k.Record("beta")
		require.NoError(t, err)
		require.Equal(t, "beta", rec.Phase)
		require.Equal(t, someRun(), rec.Run)
		require.ElementsMatch(t, batch.Events, rec.Events)
		want := []measure.Window{batch.Windows[2], batch.Windows[1], batch.Windows[0]}
		require.Equal(t, want, collect(t, rec))
		require.Equal(t, want, collect(t, rec), "a second time")
		examples, err := k.Examples()
		require.NoError(t, err)
		require.Equal(t, batch.Examples, examples)
	}
}

func contractPhases(t *testing.T, k keeper, _ func(keeper) keeper) {
	require.NoError(t, k.SaveGates("beta", nil))
	require.NoError(t, k.SaveGates("alpha", nil))
	require.NoError(t, k.SaveGates("beta", nil))
	phases, err := k.Phases()
	require.NoError(t, err)
	require.Equal(t, []string{"beta", "alpha"}, phases)
	require.NoError(t, k.Append(measure.Batch{Windows: []measure.Window{window("alpha", 1, 1), window("beta", 1, 2)}}))
	require.Equal(t, []measure.Window{window("beta", 1, 2)}, windowsOf(t, k, "beta"))
	require.Equal(t, []measure.Window{window("alpha", 1, 1)}, windowsOf(t, k, "alpha"))
	_, err = k.Record("gamma")
	require.ErrorContains(t, err, `no phase "gamma"; it has beta, alpha`)
}

func contractStreaming(t *testing.T, k keeper, _ func(keeper) keeper) {
	require.NoError(t, k.Append(measure.Batch{Windows: []measure.Window{window("beta", 3), window("beta", 1), window("beta", 2)}}))
	rec, err := k.Record("beta")
	require.NoError(t, err)
	for range 50 { // stopping early must leave nothing behind that blocks
		for w, err := range rec.Windows {
			require.NoError(t, err)
			require.Equal(t, measure.Second, w.Start)
			break
		}
	}
	require.NoError(t, k.Append(measure.Batch{Windows: []measure.Window{window("beta", 0)}}))
	require.Len(t, collect(t, rec), 4)
}

func contractIdempotent(t *testing.T, k keeper, _ func(keeper) keeper) {
	batch := measure.Batch{
		Windows:  []measure.Window{window("beta", 1, 5), window("beta", 2), window("beta", 1, 5)},
		Events:   []measure.Event{{Source: "run", Seq: 1, At: 4, Kind: measure.EventPhase, Phase: "beta"}},
		Examples: []measure.Example{{At: 1, Kind: "x"}},
	}
	require.NoError(t, k.Append(batch))
	require.NoError(t, k.Append(batch))
	rec, err := k.Record("beta")
	require.NoError(t, err)
	require.Equal(t, batch.Windows[:2], collect(t, rec))
	require.Equal(t, batch.Events, rec.Events)
	examples, err := k.Examples()
	require.NoError(t, err)
	require.Equal(t, batch.Examples, examples)
}

func contractConflict(t *testing.T, k keeper, _ func(keeper) keeper) {
	first := window("beta", 1, 5)
	require.NoError(t, k.Append(measure.Batch{Windows: []measure.Window{first}}))
	for name, spoil := range map[string]func(*measure.Window){
		"count":  func(w *measure.Window) { w.Count++ },
		"failed": func(w *measure.Window) { w.Failed++ },
		"max":    func(w *measure.Window) { w.Max++ },
		"sketch": func(w *measure.Window) { w.Sketch = nil },
		"width":  func(w *measure.Window) { w.Width++ },
	} {
		other := first
		spoil(&other)
		err := k.Append(measure.Batch{Windows: []measure.Window{window("beta", 2, 5), window("delta", 1), other}})
		require.ErrorIs(t, err, errConflict, name)
		require.Equal(t, []measure.Window{first}, windowsOf(t, k, "beta"), "nothing of a refused batch stays")
	}
	// What was new in the refused batch can still be written.
	require.NoError(t, k.Append(measure.Batch{Windows: []measure.Window{window("delta", 1)}}))
	require.Equal(t, []measure.Window{window("delta", 1)}, windowsOf(t, k, "delta"))
	another := first
	another.Part = 2
	require.NoError(t, k.Append(measure.Batch{Windows: []measure.Window{another}}))
	require.Equal(t, []measure.Window{first, another}, windowsOf(t, k, "beta"))
}

func contractRefused(t *testing.T, k keeper, _ func(keeper) keeper) {
	w := window("beta", 1, 5)
	w.Sum /= 0 * w.Sum // +Inf can be kept
	require.NoError(t, k.Append(measure.Batch{Windows: []measure.Window{w}}))
	w.Sum -= w.Sum
	require.ErrorContains(t, k.Append(measure.Batch{Windows: []measure.Window{w}}), "not a number")
}

func contractExamples(t *testing.T, k keeper, _ func(keeper) keeper) {
	long := strings.Repeat("ü", measure.MaxMessage)
	for i := range 3 * measure.MaxExamples {
		require.NoError(t, k.Append(measure.Batch{Examples: []measure.Example{
			{At: int64(i), Phase: "beta", Test: "a", Kind: "status 503", Message: long},
			{At: int64(i), Phase: "beta", Test: "b", Kind: "status 503"},
			{At: int64(i), Phase: "beta", Test: "a", Kind: "timeout"},
			{At: int64(i), Phase: "gamma", Test: "a", Kind: "timeout"},
		}}))
	}
	examples, err := k.Examples()
	require.NoError(t, err)
	require.Len(t, examples, 4*measure.MaxExamples)
	for i, e := range examples {
		require.EqualValues(t, i%measure.MaxExamples, e.At, "the first are kept")
		require.LessOrEqual(t, len(e.Message), measure.MaxMessage)
	}
	require.Equal(t, long[:measure.MaxMessage], examples[0].Message)
}

func contractDocuments(t *testing.T, k keeper, reopen func(keeper) keeper) {
	_, err := k.Document("plan")
	require.ErrorIs(t, err, fs.ErrNotExist)
	for _, data := range [][]byte{[]byte("{}"), {0, 255}, {}} {
		require.NoError(t, k.SaveDocument("plan", data))
		for _, k := range []keeper{k, reopen(k)} {
			got, err := k.Document("plan")
			require.NoError(t, err)
			require.Equal(t, string(data), string(got))
		}
	}
	require.NoError(t, k.SaveDocument("nil", nil))
}

func contractGates(t *testing.T, k keeper, reopen func(keeper) keeper) {
	availability, err := gates.Parse("availability >= 99.5%")
	require.NoError(t, err)
	availability.Strict, availability.MinSamples, availability.Confidence = true, 12, 0.9
	availability.Severity, availability.Note = gates.Warning, "for now"
	latency, err := gates.Parse("latency p95 <= 300ms")
	require.NoError(t, err)
	require.NoError(t, k.SaveGates("beta", []gates.Gate{latency}))
	require.NoError(t, k.SaveGates("beta", []gates.Gate{availability, latency}))
	for _, k := range []keeper{k, reopen(k)} {
		got, err := k.Gates("beta")
		require.NoError(t, err)
		require.Equal(t, []gates.Gate{availability, latency}, got)
		none, err := k.Gates("gamma")
		require.NoError(t, err)
		require.Empty(t, none)
	}
	require.NoError(t, k.SaveGates("delta", []gates.Gate{{Text: "nonsense"}}))
	_, err = k.Gates("delta")
	require.Error(t, err)
}

func contractRun(t *testing.T, k keeper, reopen func(keeper) keeper) {
	got, err := k.Run()
	require.NoError(t, err)
	require.Equal(t, someRun(), got)
	ended := someRun()
	ended.Ended = ended.Started.Add(time.Minute)
	require.NoError(t, k.Finish(ended))
	got, err = reopen(k).Run()
	require.NoError(t, err)
	require.Equal(t, ended, got)
}

func contractBaseline(t *testing.T, k keeper, reopen func(keeper) keeper) {
	require.NoError(t, k.Append(measure.Batch{
		Windows: []measure.Window{window("beta", 1, 1)},
		Events:  []measure.Event{{Source: "run", Seq: 1, Kind: measure.EventPhase}},
	}))
	own, err := k.Record("beta")
	require.NoError(t, err)
	events := []measure.Event{{Source: "run", Seq: 1, Kind: measure.EventPhaseEnd}}
	older := func(id string, values ...float64) gates.Record {
		run := gates.Run{ID: id, Started: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}
		return gates.Record{Run: run, Phase: "beta", Events: events, Windows: func(yield func(measure.Window, error) bool) {
			for i, value := range values {
				if !yield(window("beta", int64(i+1), value), nil) {
					return
				}
			}
		}}
	}
	require.NoError(t, k.SaveBaselines("beta", older("a", 5), older("b", 6), older("c", 7)))
	require.NoError(t, k.SaveBaselines("beta", older("d", 8, 9), older("e", 10))) // which replace the first
	require.NoError(t, k.SaveBaselines("gamma", older("f", 11)))
	for _, k := range []keeper{k, reopen(k)} {
		rec, err := k.Record("beta")
		require.NoError(t, err)
		require.Equal(t, collect(t, own), collect(t, rec))
		require.Equal(t, own.Events, rec.Events)
		require.Len(t, rec.Baselines, 2)
		for i, want := range []gates.Record{older("d", 8, 9), older("e", 10)} {
			require.Equal(t, want.Run, rec.Baselines[i].Run)
			require.Equal(t, events, rec.Baselines[i].Events)
			require.Equal(t, collect(t, want), collect(t, rec.Baselines[i]))
		}
	}
	broken := gates.Record{Phase: "beta", Windows: func(yield func(measure.Window, error) bool) {
		yield(measure.Window{}, fs.ErrInvalid)
	}}
	require.ErrorIs(t, k.SaveBaselines("beta", older("g", 12), broken), fs.ErrInvalid)
	rec, err := k.Record("beta")
	require.NoError(t, err)
	require.Equal(t, "d", rec.Baselines[0].Run.ID, "baselines that can not be read replace nothing")
	require.NoError(t, k.SaveBaselines("beta"))
	rec, err = k.Record("beta")
	require.NoError(t, err)
	require.Empty(t, rec.Baselines)
}

func contractConcurrent(t *testing.T, k keeper, _ func(keeper) keeper) {
	const writers, batches = 8, 20
	var group sync.WaitGroup
	errs := make(chan error, writers*batches)
	for writer := range writers {
		group.Go(func() {
			for i := range batches {
				w := window("beta", int64(i), 1)
				w.Source = fmt.Sprint(writer)
				errs <- k.Append(measure.Batch{Windows: []measure.Window{w}})
			}
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.Len(t, windowsOf(t, k, "beta"), writers*batches)
}

func contractReadWhileWriting(t *testing.T, k keeper, reopen func(keeper) keeper) {
	require.NoError(t, k.Append(measure.Batch{Windows: []measure.Window{window("beta", 1), window("beta", 2), window("beta", 3)}}))
	reader := reopen(k)
	rec, err := reader.Record("beta")
	require.NoError(t, err)
	seen := 0
	for _, err := range rec.Windows {
		require.NoError(t, err)
		seen++
		w := window("beta", int64(10+seen))
		w.Series.Tenant = fmt.Sprint(seen) // a series the reader does not know
		require.NoError(t, k.Append(measure.Batch{Windows: []measure.Window{w}}))
	}
	require.Equal(t, 3, seen, "what is appended meanwhile is not seen")
	require.Len(t, collect(t, rec), 6)
}

// contractAnyBatches holds merged windows that come out against those that
// went in, in whatever batches.
func contractAnyBatches(t *testing.T, make func() keeper) {
	k, phase := make(), 0
	rapid.Check(t, func(t *rapid.T) {
		phase++
		name := fmt.Sprint("phase ", phase)
		want := map[int64]*measure.Window{}
		part := uint32(0)
		for range rapid.IntRange(0, 5).Draw(t, "batches") {
			var batch measure.Batch
			for range rapid.IntRange(0, 20).Draw(t, "windows") {
				part++
				w := window(name, rapid.Int64Range(0, 4).Draw(t, "second"), rapid.SliceOfN(rapid.Float64Range(1, 100), 0, 5).Draw(t, "values")...)
				w.Part = part
				w.Sum = float64(w.Count)
				batch.Windows = append(batch.Windows, w)
				if want[w.Start] == nil {
					want[w.Start] = &measure.Window{}
				}
				want[w.Start].Merge(w)
			}
			require.NoError(t, k.Append(batch))
		}
		got := map[int64]*measure.Window{}
		for _, w := range windowsOf(t, k, name) {
			if got[w.Start] == nil {
				got[w.Start] = &measure.Window{}
			}
			got[w.Start].Merge(w)
		}
		require.Equal(t, want, got)
	})
}

package shadow

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"resilience/internal/plan"
)

// MirrorJudge compares what a [Mirror] asks for, and collects what that shows.
type MirrorJudge struct {
	comparer *Comparer
	findings *Findings
	differ   Sink // of exchanges that differ; nil keeps none

	mu    sync.Mutex
	kept  uint64
	err   error // of keeping, the first
	noisy bool  // something told what differs anyway
}

// RulesOf gives the rules of what a plan says of comparing.
func RulesOf(c plan.Comparison) (Rules, error) { return rulesOf(c) }

// NewMirrorJudge makes a judge. The sink takes exchanges whose answers differ, with
// the answer of the primary or baseline; it is called from one goroutine at a time,
// and may be nil.
func NewMirrorJudge(rules Rules, options CompareOptions, how FindingOptions, differ Sink) (*MirrorJudge, error) {
	comparer, err := NewComparer(rules, options)
	if err != nil {
		return nil, err
	}
	findings, err := NewFindings(rules, how)
	if err != nil {
		return nil, err
	}
	return &MirrorJudge{comparer: comparer, findings: findings, differ: differ}, nil
}

// Compare is what a [Mirror] calls. Answers differ where that is neither noise nor
// expected, as far as is known by then.
func (j *MirrorJudge) Compare(a Answers) (differ bool) {
	o := Observed{
		At: time.Now().UTC(), Route: a.Route, Session: a.Session, Request: a.Request, Trace: traceOf(a.Request.Header),
		Candidate: j.comparer.CompareAgain(a.Route, a.Told, a.Answer, a.Candidate), Hide: a.Hide,
	}
	if a.Noise != nil {
		o.Noise = j.comparer.CompareNoise(a.Route, a.Told, a.Answer, *a.Noise)
		o.Paired = !uncompared(o.Candidate) || slices.ContainsFunc(o.Noise, isUnserved)
	}
	j.findings.Add(o)
	for _, d := range o.Candidate {
		if class := j.findings.ClassOf(a.Route, d.Place, d.Kind); class == Regression || class == Undecided {
			differ = true
		}
	}
	j.keep(a, differ)
	return differ
}

// keep hands a copy to the sink: the bodies are used again.
func (j *MirrorJudge) keep(a Answers, differ bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.noisy = j.noisy || a.Noise != nil
	if !differ || j.differ == nil {
		return
	}
	x := a.Exchange
	x.Request.Body.Data = bytes.Clone(x.Request.Body.Data)
	x.Response.Body.Data = bytes.Clone(x.Response.Body.Data)
	if err := j.differ.Write(x); err != nil {
		if j.err == nil {
			j.err = err
		}
		return
	}
	j.kept++
}

// Kept is how many exchanges the sink took, and the first error of it.
func (j *MirrorJudge) Kept() (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.kept, j.err
}

// KnowsNoise reports whether anything told what differs between two answers of the
// same version.
func (j *MirrorJudge) KnowsNoise() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.noisy
}

// Findings are those so far, the gravest first.
func (j *MirrorJudge) Findings() []Finding { return j.findings.List() }

// Warnings tell what a reader of the findings should know, and which rules nothing met.
// The primary or baseline may tell its own noise.
func (j *MirrorJudge) Warnings(own bool) []string {
	return append(j.findings.Warnings(own), unmetRules(j.comparer, j.findings)...)
}

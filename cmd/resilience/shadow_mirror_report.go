package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"resilience/gates"
	"resilience/gates/evidence"
	"resilience/internal/shadow"
)

// liveEvery is how often a mirror tells how it goes.
const liveEvery = 10 * time.Second

// enoughEvery is how often it looks whether it has compared enough.
const enoughEvery = 20 * time.Millisecond

// liveUntil tells how it goes until the context ends, or so many requests were
// compared; 0 is any number.
func liveUntil(ctx context.Context, s *streams, m *shadow.Mirror, enough uint64) {
	told, looked := time.NewTicker(liveEvery), time.NewTicker(enoughEvery)
	defer told.Stop()
	defer looked.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-told.C:
			fmt.Fprintln(s.err, mirroredText(m.Counts()))
		case <-looked.C:
			if enough > 0 && m.Counts().Compared >= enough {
				return
			}
		}
	}
}

// mirroredText tells what became of the requests.
func mirroredText(c shadow.Mirrored) string {
	return fmt.Sprintf("%s: %d compared, %d differ", shadowCount(c.Seen, "request"), c.Compared, c.Differing) + shadowOthers(map[string]uint64{
		"without an answer of the candidate": c.Failed, "withheld": c.Withheld, "not in the sample": c.NotSampled, "passed on only": c.Streams,
		"without a whole answer of the baseline": c.Unanswered, "of which one alone had not changed for the user": c.Conditions, "too large to copy": c.TooLarge, "dropped": c.Dropped, "shed": c.Shed,
		"broken off by a defect of this program": c.Errors,
	})
}

// mirrorReport is what a mirror found.
type mirrorReport struct {
	Verdict     string          `json:"verdict"`
	Reason      string          `json:"reason"`
	Interrupted bool            `json:"interrupted,omitempty"`
	Counts      shadow.Mirrored `json:"counts"`
	Findings    []mirrorFinding `json:"findings"`
	Warnings    []string        `json:"warnings,omitempty"`
	Differing   *keptDiffering  `json:"differing,omitempty"` // the recording of what differs

	code int
}

// keptDiffering is a recording of exchanges that differ.
type keptDiffering struct {
	Recording string `json:"recording"`
	Exchanges uint64 `json:"exchanges"`
	Error     string `json:"error,omitempty"`
}

// mirrorFinding is a finding as it is written.
type mirrorFinding struct {
	Class          shadow.Class    `json:"class"`
	Route          string          `json:"route"`
	Field          string          `json:"field"`
	Kind           shadow.Kind     `json:"kind"`
	Pairs          uint64          `json:"pairs"`
	Differing      uint64          `json:"differing"`
	NoisePairs     uint64          `json:"noise_pairs"`
	NoiseDiffering uint64          `json:"noise_differing"`
	Unread         bool            `json:"unread,omitempty"` // nothing in these bodies was compared: they differ as a whole anyway
	Examples       []mirrorExample `json:"examples"`
}

type mirrorExample struct {
	At        time.Time `json:"at"`
	Request   string    `json:"request"`
	Baseline  string    `json:"baseline"`
	Candidate string    `json:"candidate"`
	Trace     string    `json:"trace,omitempty"`
}

// mirrorProof is what a pass wants.
type mirrorProof struct {
	share  float64 // of answers with a regression that may go unseen
	needed uint64  // comparisons that show it where none has one
	sink   bool    // nobody knows what users were answered
	noise  bool    // something told what differs anyway
}

// newMirrorReport judges: what can not be told apart from noise for want of evidence
// is not passed, nor is what was mostly not compared, or not often enough.
func newMirrorReport(c shadow.Mirrored, findings []shadow.Finding, p mirrorProof) *mirrorReport {
	r := &mirrorReport{Counts: c, Findings: []mirrorFinding{}, Verdict: "inconclusive", code: gates.ExitEvidence}
	for _, f := range findings {
		r.Findings = append(r.Findings, writtenFinding(f))
	}
	if n := regressions(findings); n > 0 {
		r.Verdict, r.code, r.Reason = "fail", gates.ExitSystem, shadowCount(n, "regression")
		return r
	}
	if r.Reason = p.doubt(c, findings); r.Reason == "" {
		r.Verdict, r.code, r.Reason = "pass", gates.ExitPass, "no regression"
	}
	return r
}

func regressions(findings []shadow.Finding) (n uint64) {
	for _, f := range findings {
		if f.Class == shadow.Regression {
			n++
		}
	}
	return n
}

// doubt is why what has no regression does not pass, "" when it does.
func (p mirrorProof) doubt(c shadow.Mirrored, findings []shadow.Finding) string {
	open, unknown := undecided(findings)
	if p.sink { // one of which nobody has the answer is as one that both failed to answer
		unknown += c.Unanswered
	}
	lost := c.Shed + c.Dropped + c.Errors
	switch {
	case c.Compared == 0:
		return "nothing was compared"
	case lost > c.Compared:
		return fmt.Sprintf("most could not be compared: %d of %d; mirror a smaller --sample", lost, lost+c.Compared)
	case open > 0 && p.noise:
		return fmt.Sprintf("%s may be noise or a regression: mirror for longer", shadowCount(open, "finding"))
	case open > 0:
		return fmt.Sprintf("%s may be noise or a regression: name a second instance of the baseline with --noise", shadowCount(open, "finding"))
	case c.Compared < p.needed:
		return fmt.Sprintf("no regression, but %s can not show as much as --mismatch asks; %d can", shadowCount(c.Compared, "comparison"), p.needed)
	case unknown > 0 && evidence.ShareHigh(unknown, c.Compared+c.Unanswered, 0.95) > p.share:
		return fmt.Sprintf("of %s nobody knows whether the answers match, which is more than --mismatch lets go unseen: both versions failed, or the baseline alone, or their bodies are not known; see what they answer, and mirror again", shadowCount(unknown, "exchange"))
	case c.Conditions > c.Compared:
		return fmt.Sprintf("most could not be compared: of %d of %d only one version said that nothing had changed since the user asked (If-None-Match or the like); take what a proxy mirrors with --baseline, which asks both without that", c.Conditions, c.Conditions+c.Compared)
	case c.Unanswered > c.Compared:
		return fmt.Sprintf("most could not be compared: %d of %d had no whole answer of the primary", c.Unanswered, c.Unanswered+c.Compared)
	}
	return ""
}

// undecided counts findings that may be regressions, and exchanges of which too little
// is known to compare them.
func undecided(findings []shadow.Finding) (open, unknown uint64) {
	for _, f := range findings {
		switch {
		case f.Kind == shadow.Undecidable, f.Kind == shadow.Unserved && f.Class == shadow.Undecided:
			unknown += f.Differing
		case f.Class == shadow.Undecided:
			open++
		}
	}
	return open, unknown
}

func writtenFinding(f shadow.Finding) mirrorFinding {
	out := mirrorFinding{
		Class: f.Class, Route: f.Route, Field: shadow.ShownPlace(f.Place), Kind: f.Kind, Pairs: f.Pairs, Differing: f.Differing,
		NoisePairs: f.NoisePairs, NoiseDiffering: f.NoiseDiffering, Unread: f.Unread, Examples: []mirrorExample{},
	}
	for _, e := range f.Examples {
		out.Examples = append(out.Examples, mirrorExample{
			At: e.At, Request: e.Request, Baseline: shadow.Shown(f.Place, e.Baseline), Candidate: shadow.Shown(f.Place, e.Candidate), Trace: e.Trace,
		})
	}
	return out
}

// write writes the report, and gives the exit code.
func (r *mirrorReport) write(s *streams, asJSON bool) error {
	if asJSON {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s\n", text)
	} else {
		fmt.Fprint(s.out, r.text())
	}
	code := r.code
	if r.Differing != nil && r.Differing.Error != "" {
		fmt.Fprintf(s.err, "the recording %s is not whole: %s\n", r.Differing.Recording, r.Differing.Error)
		code = gates.ExitError
	}
	if r.Interrupted && code != gates.ExitError {
		code = gates.ExitInterrupted
	}
	if code == gates.ExitPass {
		return nil
	}
	return &exitError{code}
}

// text is the report for people: the verdict, and each finding with examples.
func (r *mirrorReport) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n%s\n", strings.ToUpper(r.Verdict), r.Reason, mirroredText(r.Counts))
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "\n%s  %s  %s  %s: %d of %d", f.Class, f.Route, f.Field, f.Kind, f.Differing, f.Pairs)
		if f.NoisePairs > 0 {
			fmt.Fprintf(&b, ", noise %d of %d", f.NoiseDiffering, f.NoisePairs)
		}
		b.WriteByte('\n')
		if f.Unread {
			b.WriteString("    nothing in these bodies was compared: they can only be compared as a whole, which mostly differs anyway\n")
		}
		for _, e := range f.Examples {
			fmt.Fprintf(&b, "    %s: %s -> %s\n", e.Request, orNothing(e.Baseline), orNothing(e.Candidate))
		}
	}
	if len(r.Warnings) > 0 {
		b.WriteByte('\n')
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "! %s\n", w)
	}
	if d := r.Differing; d != nil {
		fmt.Fprintf(&b, "\n%s that differ in %s\n", shadowCount(d.Exchanges, "exchange"), d.Recording)
	}
	return b.String()
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

package report

import (
	"bytes"
	"cmp"
	"fmt"

	"github.com/jedib0t/go-pretty/v6/text"

	"resilience/gates"
)

// How many differences are shown; the json report has all that were kept.
const (
	textDifferences     = 12
	markdownDifferences = 50
	storyDifferences    = 50
)

// Classes of differences, as package shadow names them.
const (
	classRegression = "regression"
	classExpected   = "expected"
	classNoise      = "noise"
)

// replayLine says what a shadow test asked again.
func replayLine(r gates.Replayed) string {
	line := fmt.Sprintf("%s: %s of %s asked again", r.Test, grouped(r.Sent), plural(r.Read, "exchange"))
	if r.LagP99 > 0 {
		line += fmt.Sprintf(", p99 %s late", millis(r.LagP99))
	}
	for _, part := range []struct {
		n    uint64
		what string
	}{
		{r.Held, "waited for an earlier answer"},
		{r.Dropped, "could not start"},
		{withheldCount(r), "were withheld"},
		{r.CarriedFound + r.CarriedByRule + r.CarriedCookie, "values of earlier answers carried"},
	} {
		if part.n > 0 {
			line += fmt.Sprintf("; %s %s", grouped(part.n), part.what)
		}
	}
	return line
}

func withheldCount(r gates.Replayed) (n uint64) {
	for _, w := range r.Withheld {
		n += w.Count
	}
	return n
}

// withheldLine says what of a route was not sent, and why.
func withheldLine(w gates.Withheld) string {
	return fmt.Sprintf("withheld: %s of %s: %s", grouped(w.Count), w.Route, w.Reason)
}

// told are the differences that a reader should see, and how many are noise.
func told(r gates.Replayed) (seen []gates.Difference, noise int) {
	for _, d := range r.Differences {
		if d.Class == classNoise {
			noise++
		} else {
			seen = append(seen, d)
		}
	}
	return seen, noise
}

// differing says how often answers differ, and how often those of the baseline
// alone do.
func differing(d gates.Difference) string {
	line := fmt.Sprintf("%s of %s", grouped(d.Differing), grouped(d.Pairs))
	if d.NoisePairs > 0 {
		line += fmt.Sprintf(" (noise %s of %s)", grouped(d.NoiseDiffering), grouped(d.NoisePairs))
	}
	return line
}

// values say what stood there.
func values(d gates.Difference) string {
	if d.Baseline == "" && d.Candidate == "" {
		return ""
	}
	return cmp.Or(d.Baseline, "nothing") + " -> " + cmp.Or(d.Candidate, "nothing")
}

// differenceLine tells all of one.
func differenceLine(d gates.Difference) string {
	line := fmt.Sprintf("%s: %s %s %s in %s", d.Class, d.Route, d.Place, d.Kind, differing(d))
	if v := values(d); v != "" {
		line += ": " + v
	}
	return line
}

// replayed writes what shadow tests found.
func (p *page) replayed(all []gates.Replayed) {
	for _, r := range all {
		p.line("")
		p.wrapped(textIndent+p.faint("shadow")+textIndent, printable(replayLine(r)))
		for i, w := range r.Withheld {
			if i == textWarnings {
				p.line("%s%s more; see the json report", textDetail, plural(uint64(len(r.Withheld)-i), "route"))
				break
			}
			p.wrapped(textDetail, printable(withheldLine(w)))
		}
		seen, noise := told(r)
		for i, d := range seen {
			if i == textDifferences {
				p.line("%s%s more; see the json report", textIndent, plural(uint64(len(seen)-i), "difference"))
				break
			}
			p.difference(d)
		}
		if noise > 0 {
			p.line("%s%s by noise alone", textDetail, differ(noise))
		}
	}
}

func differ(n int) string {
	if n == 1 {
		return "1 field differs"
	}
	return grouped(uint64(n)) + " fields differ"
}

// difference writes one. What the systems said stands behind a bar, so that a CI
// log takes none of it for a command.
func (p *page) difference(d gates.Difference) {
	sign, colour := "?", text.FgYellow
	switch d.Class {
	case classRegression:
		sign, colour = "✗", text.FgRed
	case classExpected:
		sign, colour = "·", text.Faint
	}
	p.wrapped(textIndent+p.style(sign, colour)+" ", printable(fmt.Sprintf("%s  %s  %s in %s, %s", d.Route, d.Place, d.Kind, differing(d), d.Class)))
	for _, line := range []string{values(d), d.Request} {
		if line == "" {
			continue
		}
		lead := textDetail + "│ "
		for _, l := range wrap(printable(line), p.width-text.StringWidthWithoutEscSequences(lead)) {
			p.line("%s%s", lead, l)
		}
	}
}

// markdownReplayed writes the same for a step summary.
func markdownReplayed(b *bytes.Buffer, all []gates.Replayed) {
	for _, r := range all {
		fmt.Fprintf(b, "\n- shadow %s\n", markdownText(replayLine(r)))
		for _, w := range r.Withheld {
			fmt.Fprintf(b, "  - %s\n", markdownText(withheldLine(w)))
		}
		seen, noise := told(r)
		if noise > 0 {
			fmt.Fprintf(b, "  - %s by noise alone\n", differ(noise))
		}
		if len(seen) == 0 {
			continue
		}
		var rows [][]string
		for _, d := range seen[:min(len(seen), markdownDifferences)] {
			rows = append(rows, []string{d.Class, d.Route, d.Place, d.Kind, differing(d), d.Baseline, d.Candidate, d.Request})
		}
		folded(b, "Differences of "+markdownText(r.Test), []string{"class", "route", "place", "kind", "differing", "baseline", "candidate", "request"}, rows)
	}
}

// replayStory tells the same in lines.
func replayStory(all []gates.Replayed) (lines []string) {
	for _, r := range all {
		lines = append(lines, "shadow "+printable(replayLine(r)))
		for _, w := range r.Withheld {
			lines = append(lines, printable(withheldLine(w)))
		}
		seen, noise := told(r)
		for _, d := range seen[:min(len(seen), storyDifferences)] {
			lines = append(lines, printable(differenceLine(d)))
		}
		if noise > 0 {
			lines = append(lines, differ(noise)+" by noise alone")
		}
	}
	return lines
}

// githubReplayed makes an annotation of each regression.
func githubReplayed(all []gates.Replayed) (notes []annotation) {
	for _, r := range all {
		for _, d := range r.Differences {
			if d.Class == classRegression {
				notes = append(notes, annotation{printable(fmt.Sprintf("%s: %s %s", d.Class, d.Route, d.Place)), printable(differenceLine(d))})
			}
		}
	}
	return notes
}

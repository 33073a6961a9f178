package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"resilience/gates"
)

// Limits of GitHub Actions for one step.
const (
	githubSummary     = 1 << 20 // bytes of the step summary
	githubAnnotations = 10      // of each kind
)

// writeGitHub tells GitHub Actions: annotations as workflow commands on w, the
// step summary and the step's outputs (outcome, cause, exit-code, reason,
// record) in the files that the environment names in GITHUB_STEP_SUMMARY and
// GITHUB_OUTPUT, where it does. One that can not be written does not stop the
// others.
func writeGitHub(w io.Writer, doc Document, options Options) error {
	return errors.Join(
		githubCommands(w, doc),
		githubStepSummary(options.env("GITHUB_STEP_SUMMARY"), doc),
		githubOutputs(options.env("GITHUB_OUTPUT"), doc),
	)
}

// annotation is a note that GitHub shows on the page of a workflow run.
type annotation struct{ title, message string }

// githubCommands writes the verdict, then what failed as errors and what is in
// doubt as warnings.
func githubCommands(w io.Writer, doc Document) error {
	verdict := annotation{
		fmt.Sprintf("%s: %s", doc.Outcome, subject(doc)),
		fmt.Sprintf("%s Exit code %d: %s.", sentence(doc.Reason), doc.ExitCode, meaning(doc.ExitCode)),
	}
	var failed, doubtful []annotation
	for _, v := range doc.Phases {
		for _, c := range v.Checks {
			if c.Outcome == gates.Pass {
				continue
			}
			a := annotation{result(c) + ": " + printable(c.Text), githubMessage(v, c)}
			if c.Outcome == gates.Fail && !warns(c) {
				failed = append(failed, a)
			} else {
				doubtful = append(doubtful, a)
			}
		}
		if v.Outcome == gates.Fail {
			failed = append(failed, githubReplayed(v.Shadow)...)
		} else {
			doubtful = append(doubtful, githubReplayed(v.Shadow)...)
		}
		for _, warning := range v.Warnings {
			doubtful = append(doubtful, annotation{printable(v.Phase), printable(warning)})
		}
	}
	var b bytes.Buffer
	notices, warnings := githubFailureModes(doc.FailureModes)
	doubtful = append(warnings, doubtful...) // first: the last ones over the limit are dropped
	if doc.Outcome == gates.Pass {
		notices = append([]annotation{verdict}, notices...)
	} else {
		failed = append([]annotation{verdict}, failed...)
	}
	annotate(&b, "notice", notices)
	annotate(&b, "error", failed)
	annotate(&b, "warning", doubtful)
	_, err := w.Write(b.Bytes())
	return err
}

func githubMessage(v gates.Verdict, c gates.Check) string {
	lines := []string{printable(fmt.Sprintf("%s, %s: observed %s, objective %s, %s",
		v.Phase, c.Period, orDash(c.Observed), orDash(c.Objective), plural(c.Samples, "sample")))}
	for _, line := range because(c) {
		lines = append(lines, printable(line))
	}
	return strings.Join(lines, "\n")
}

// annotate writes the annotations of a kind; GitHub drops those over its
// limit, so the last that it shows says how many there are.
func annotate(b *bytes.Buffer, kind string, annotations []annotation) {
	if rest := len(annotations) - githubAnnotations; rest > 0 {
		annotations = append(annotations[:githubAnnotations-1:githubAnnotations-1],
			annotation{"more", fmt.Sprintf("and %s more; see the step summary", grouped(uint64(rest+1)))})
	}
	for _, a := range annotations {
		fmt.Fprintf(b, "::%s title=%s::%s\n", kind, commandProperty(a.title), commandData(a.message))
	}
}

// githubStepSummary appends the report as Markdown, cut where the summary of
// the step would become larger than GitHub takes.
func githubStepSummary(path string, doc Document) error {
	if path == "" {
		return nil
	}
	var used int64
	if info, err := os.Stat(path); err == nil {
		used = info.Size()
	}
	var b bytes.Buffer
	if err := writeMarkdown(&b, doc, Options{}); err != nil {
		return err
	}
	return appendFile(path, cutMarkdown(b.String(), githubSummary-int(min(used, githubSummary))))
}

// cutMarkdown cuts a page to at most limit bytes, between lines and outside of
// folded parts, and says so. It gives nothing if not even that fits.
func cutMarkdown(page string, limit int) string {
	if len(page) <= limit {
		return page
	}
	const unfold, note = "\n</details>\n", "\n**This summary was cut at the size that GitHub takes. The json report has everything.**\n"
	room := limit - len(unfold) - len(note)
	if room <= 0 {
		return ""
	}
	end := strings.LastIndexByte(page[:room], '\n') + 1
	page = page[:end]
	if strings.Count(page, "<details>") > strings.Count(page, "</details>") {
		page += unfold
	}
	return page + note
}

// githubOutputs appends what later steps can read as steps.ID.outputs.NAME.
func githubOutputs(path string, doc Document) error {
	if path == "" {
		return nil
	}
	var b strings.Builder
	for _, output := range [][2]string{
		{"outcome", doc.Outcome.String()},
		{"cause", causeWord(doc.Cause)},
		{"exit-code", strconv.Itoa(doc.ExitCode)},
		{"reason", doc.Reason},
		{"record", doc.Record},
	} {
		value := strings.ToValidUTF8(strings.ReplaceAll(output[1], "\x00", ""), "\uFFFD")
		end := delimiter(value)
		fmt.Fprintf(&b, "%s<<%s\n%s\n%s\n", output[0], end, value, end)
	}
	return appendFile(path, b.String())
}

// delimiter is a line that the value does not contain, so that no value can
// end itself and go on as another output.
func delimiter(value string) string {
	end := "END"
	for n := 1; strings.Contains(value, end); n++ {
		end = "END_" + strconv.Itoa(n)
	}
	return end
}

func appendFile(path, content string) (err error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteString(content)
	return err
}

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
	"resilience/internal/shadow"
)

var saidWhere = regexp.MustCompile(`^(recording|mirroring|status) at (https?://[^ /]+)`)

// shadowProcess is a `resilience shadow` that serves.
type shadowProcess struct {
	cmd  *exec.Cmd
	said sync.WaitGroup
}

// startShadowing is shadowing ARGS..., which starts `resilience shadow ARGS...`; where it listens is in SHADOW,
// and its status in STATUS. What it says goes to shadow.out and shadow.err.
func startShadowing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: shadowing record|mirror ARGS...")
	}
	p := &shadowProcess{cmd: exec.Command("resilience", append([]string{"shadow"}, args...)...)}
	p.cmd.Dir = ts.MkAbs(".")
	ready := make(chan struct{}, 4)
	out, err := p.cmd.StdoutPipe()
	ts.Check(err)
	errs, err := p.cmd.StderrPipe()
	ts.Check(err)
	urls := sync.Map{}
	for name, from := range map[string]io.Reader{"shadow.out": out, "shadow.err": errs} {
		to, err := os.Create(ts.MkAbs(name))
		ts.Check(err)
		p.said.Go(func() {
			defer to.Close()
			for lines := bufio.NewScanner(from); lines.Scan(); {
				fmt.Fprintln(to, lines.Text())
				if found := saidWhere.FindStringSubmatch(lines.Text()); found != nil {
					urls.Store(found[1], found[2])
					if found[1] != "status" {
						ready <- struct{}{}
					}
				}
			}
			ready <- struct{}{} // it ended
		})
	}
	ts.Check(p.cmd.Start())
	ts.Defer(func() { _ = p.cmd.Process.Kill() })
	<-ready
	for name, variable := range map[string]string{"recording": "SHADOW", "mirroring": "SHADOW", "status": "STATUS"} {
		if url, ok := urls.Load(name); ok {
			ts.Setenv(variable, url.(string))
		}
	}
	running.Store(ts, p)
}

// running are the processes that scripts have started, by script.
var running sync.Map

// endShadowing is ended CODE [interrupt], which waits until what shadowing started has ended, with the code;
// it interrupts it first where that is said.
func endShadowing(ts *testscript.TestScript, neg bool, args []string) {
	p, ok := running.LoadAndDelete(ts)
	if neg || len(args) == 0 || !ok {
		ts.Fatalf("usage: ended CODE [interrupt], after shadowing")
	}
	code, err := strconv.Atoi(args[0])
	ts.Check(err)
	shadow := p.(*shadowProcess)
	if slices.Contains(args, "interrupt") {
		ts.Check(shadow.cmd.Process.Signal(syscall.SIGINT))
	}
	shadow.said.Wait()
	_ = shadow.cmd.Wait()
	if got := shadow.cmd.ProcessState.ExitCode(); got != code {
		ts.Fatalf("exit code %d instead of %d: %s", got, code, ts.ReadFile("shadow.err"))
	}
}

// askTimes is asking TIMES METHOD URL [HEADER:VALUE...], which sends requests,
// with their number in place of {n}; the last answer is in answered. Servers with TLS
// are trusted by ca.pem, and what the last one spoke and showed is in shown.
func askTimes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: asking TIMES[xPAUSE] METHOD URL [HEADER:VALUE...]")
	}
	count, pause, _ := strings.Cut(args[0], "x")
	times, err := strconv.Atoi(count)
	ts.Check(err)
	every, err := time.ParseDuration(cmp.Or(pause, "1ns"))
	ts.Check(err)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	client := http.DefaultClient
	if strings.HasPrefix(args[2], "https:") {
		client = trusting(ts)
	}
	for n := range times {
		<-ticker.C
		q, err := http.NewRequest(args[1], args[2], http.NoBody) //nolint:noctx // a script has none
		ts.Check(err)
		for _, header := range args[3:] {
			name, value, _ := strings.Cut(header, ":")
			q.Header.Set(name, strings.ReplaceAll(value, "{n}", strconv.Itoa(n)))
		}
		res, err := client.Do(q)
		ts.Check(err)
		var text bytes.Buffer
		_, err = io.Copy(&text, res.Body)
		ts.Check(err)
		ts.Check(res.Body.Close())
		ts.Check(os.WriteFile(ts.MkAbs("answered"), text.Bytes(), 0o600))
		if res.TLS != nil {
			ts.Check(os.WriteFile(ts.MkAbs("shown"), []byte(res.Proto+" "+res.TLS.PeerCertificates[0].Subject.CommonName+"\n"), 0o600))
		}
	}
}

// TestMirrorPage holds docs/mirror.md against the commands: their examples, their
// flags, and configurations of others.
func TestMirrorPage(t *testing.T) {
	page := readPage(t, "../../docs/mirror.md")
	root := newRoot(&streams{})
	commands, compared := 0, 0
	for line := range strings.Lines(page) {
		if command, is := strings.CutPrefix(strings.TrimRight(line, "\n"), "    resilience "); is {
			commands++
			cmd, args, err := root.Find(strings.Fields(command))
			require.NoError(t, err)
			require.NoError(t, cmd.ParseFlags(args), "%s", line)
			require.Empty(t, cmd.Flags().Args())
		}
	}
	require.GreaterOrEqual(t, commands, 3)
	said := map[string]bool{}
	for _, found := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)").FindAllStringSubmatch(page, -1) {
		said[found[1]] = true
	}
	are := map[string]bool{}
	for _, name := range []string{"record", "mirror"} {
		cmd, _, err := root.Find([]string{"shadow", name})
		require.NoError(t, err)
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" {
				are[f.Name] = true
			}
		})
	}
	require.Equal(t, are, said)
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1) {
		var any map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(block[1]), &any))
		if _, is := any["tolerate"]; is {
			compare, err := plan.ParseComparison("mirror.md", []byte(block[1]))
			require.NoError(t, err)
			require.NotEmpty(t, compare.Expect)
			compared++
		}
	}
	require.Equal(t, 1, compared)
}

// TestMirrorReportFailsClosed wants a mirror to pass only what it compared enough of.
func TestMirrorReportFailsClosed(t *testing.T) {
	found := func(classes ...shadow.Class) (all []shadow.Finding) {
		for _, c := range classes {
			all = append(all, shadow.Finding{Class: c})
		}
		return all
	}
	failed := func(n uint64) []shadow.Finding {
		return []shadow.Finding{{Class: shadow.Undecided, Kind: shadow.Undecidable, Differing: n}}
	}
	for name, c := range map[string]struct {
		counts   shadow.Mirrored
		findings []shadow.Finding
		noise    bool
		verdict  string
		reason   string
	}{
		"alike":          {shadow.Mirrored{Compared: 100, Shed: 10, Withheld: 1000}, found(shadow.Noise, shadow.Expected), true, "pass", "no regression"},
		"too few":        {shadow.Mirrored{Compared: 99}, found(shadow.Noise), true, "inconclusive", "no regression, but 99 comparisons can not show as much as --mismatch asks; 100 can"},
		"a regression":   {shadow.Mirrored{Compared: 1, Shed: 10}, found(shadow.Undecided, shadow.Regression), true, "fail", "1 regression"},
		"nothing":        {shadow.Mirrored{Seen: 10, Withheld: 10}, nil, true, "inconclusive", "nothing was compared"},
		"undecided":      {shadow.Mirrored{Compared: 100}, found(shadow.Undecided), true, "inconclusive", "1 finding may be noise or a regression: mirror for longer"},
		"no noise":       {shadow.Mirrored{Compared: 100}, found(shadow.Undecided), false, "inconclusive", "1 finding may be noise or a regression: name a second instance of the baseline with --noise"},
		"mostly not":     {shadow.Mirrored{Compared: 100, Shed: 60, Dropped: 41}, nil, true, "inconclusive", "most could not be compared: 101 of 201; mirror a smaller --sample"},
		"both failed":    {shadow.Mirrored{Compared: 100}, failed(3), true, "inconclusive", "of 3 exchanges nobody knows whether the answers match, which is more than --mismatch lets go unseen: both versions failed, or the baseline alone, or their bodies are not known; see what they answer, and mirror again"},
		"few failed":     {shadow.Mirrored{Compared: 1000}, failed(3), true, "pass", "no regression"},
		"the baseline":   {shadow.Mirrored{Compared: 900, Unanswered: 100}, nil, true, "inconclusive", "of 100 exchanges nobody knows whether the answers match, which is more than --mismatch lets go unseen: both versions failed, or the baseline alone, or their bodies are not known; see what they answer, and mirror again"},
		"a defect of us": {shadow.Mirrored{Compared: 1, Errors: 2}, nil, true, "inconclusive", "most could not be compared: 2 of 3; mirror a smaller --sample"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newMirrorReport(c.counts, c.findings, mirrorProof{share: 0.03, needed: 100, sink: true, noise: c.noise})
			require.Equal(t, c.verdict, r.Verdict)
			require.Equal(t, c.reason, r.Reason)
			require.Equal(t, c.verdict == "pass", r.code == 0)
		})
	}
	r := newMirrorReport(shadow.Mirrored{Compared: 900, Unanswered: 100}, nil, mirrorProof{share: 0.03, needed: 100})
	require.Equal(t, "pass", r.Verdict, "users who left before they were answered")
	r = newMirrorReport(shadow.Mirrored{Compared: 900, Unanswered: 1000}, nil, mirrorProof{share: 0.03, needed: 100})
	require.Equal(t, "most could not be compared: 1000 of 1900 had no whole answer of the primary", r.Reason)
}

// TestMirrorReportHidesSecrets wants a mirror to show no more than a replay does.
func TestMirrorReportHidesSecrets(t *testing.T) {
	examples := []shadow.Example{{Request: "GET /me", Baseline: `"111-22-3333"`, Candidate: `"111-22-4444"`}}
	r := newMirrorReport(shadow.Mirrored{Compared: 1}, []shadow.Finding{
		{Class: shadow.Regression, Place: "body.user.ssn", Examples: examples}, {Class: shadow.Regression, Place: "body.user.plan", Examples: examples},
	}, mirrorProof{})
	require.Equal(t, "(redacted)", r.Findings[0].Examples[0].Baseline)
	require.Equal(t, 1, strings.Count(r.text(), "111-22-4444"), "what has another name is shown")
}

// TestImportSaysWhatToDoAboutCrowds in the way that the format has.
func TestImportSaysWhatToDoAboutCrowds(t *testing.T) {
	for format, want := range map[string]string{
		"accesslog": "one session has 900 of 1000 exchanges (90%): if it is many users, as behind a load balancer, they are replayed one after the other, and late; --field session=13",
		"envoy":     "--field session=KEY", "har": "--session header:NAME",
	} {
		require.Contains(t, crowdedText(shadow.Imported{Format: format, Kept: 1000, Busiest: 900}), want)
	}
	require.Empty(t, crowdedText(shadow.Imported{Format: "har", Kept: 1000, Busiest: 200}))
}

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"resilience/gates/evidence"
	"resilience/internal/plan"
	"resilience/internal/shadow"
)

// mirrorOptions are the flags of the mirror command.
type mirrorOptions struct {
	shadowProxyOptions
	candidate, primary, baseline, noise string
	ownHost, json                       bool
	allow, ignore                       []string
	out                                 string
	queue, copies                       int
	timeout                             time.Duration
	limit                               uint64
	compare, falseAlarms, mismatch      string
}

func mirrorCommand(s *streams) *cobra.Command {
	var o mirrorOptions
	cmd := &cobra.Command{
		Use:   "mirror --candidate URL (--primary URL | --baseline URL)",
		Short: "Ask a candidate what users ask now, and compare what it answers",
		Long: `mirror copies what users ask to a candidate and compares the answers. With
--primary it is a proxy in front of the version that serves users; with
--baseline it takes what Envoy, Istio or nginx mirror, and asks both versions.
Whatever the candidate does, users get the primary's answers as it sends them:
what the candidate can not keep up with is shed and counted.

Only GET, HEAD and OPTIONS are copied, and routes that --allow-route names. A
difference is a regression when it is found more often than between two answers
of the same version: --noise names a second instance, or the same one again.

Exit codes: 0 no regression, 99 a regression, 3 not enough evidence, 2 the
command line is wrong, 130 interrupted.`,
		Example: `  resilience shadow mirror --listen :8080 --primary http://v1:8301 --candidate http://v2:8301 --noise http://v1:8301 --for 10m
  resilience shadow mirror --listen :8080 --baseline http://v1:8301 --noise http://v1:8301 --candidate http://v2:8301 --for 10m --json`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return runMirror(cmd, s, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.candidate, "candidate", "", "the `URL` of the version that wants to serve")
	f.StringVar(&o.primary, "primary", "", "the `URL` of the version that serves users: be a proxy in front of it")
	f.StringVar(&o.baseline, "baseline", "", "the `URL` of the version to compare with: take what others mirror")
	f.StringVar(&o.noise, "noise", "", "the `URL` of a second instance of the primary or baseline, or of the same")
	f.BoolVar(&o.ownHost, "own-host", false, "ask each by the host of its URL, not by the one that users asked for")
	f.StringArrayVar(&o.allow, "allow-route", nil, "a `ROUTE` that changes nothing though its method might: POST /search")
	f.StringArrayVar(&o.ignore, "ignore", nil, "a `FIELD` that is not compared: body.items[].price, or header x-request-id of GET /orders")
	f.StringVar(&o.compare, "compare", "", "a YAML `FILE` of how answers are compared: what a shadow test has under compare:")
	f.StringVar(&o.mismatch, "mismatch", "1%", "the greatest `SHARE` of answers with a regression that may go unseen: a pass wants as many compared as show it, 299 for 1%")
	f.StringVar(&o.falseAlarms, "false-alarms", "", "how often a candidate that is as good may be said to have a regression; default 1%")
	f.IntVar(&o.queue, "queue", 1000, "how many exchanges may wait for the candidate")
	f.IntVar(&o.copies, "copies", 64, "how many are with the candidate at once")
	f.DurationVar(&o.timeout, "timeout", 10*time.Second, "for the candidate's whole answer")
	f.Uint64Var(&o.limit, "limit", 0, "end when so many requests were compared; default any number")
	f.StringVar(&o.out, "out", "", "a `FILE` for a recording of the exchanges that differ")
	f.BoolVar(&o.json, "json", false, "write the findings as JSON")
	o.add(cmd)
	return cmd
}

// comparison is how answers are compared: as the file says, and the flags.
func (o *mirrorOptions) comparison() (shadow.Rules, float64, error) {
	var c plan.Comparison
	if o.compare != "" {
		text, err := os.ReadFile(o.compare)
		if err != nil {
			return shadow.Rules{}, 0, &usageError{fmt.Sprintf("--compare: %v", err)}
		}
		if c, err = plan.ParseComparison(o.compare, text); err != nil {
			return shadow.Rules{}, 0, err
		}
	}
	if o.falseAlarms != "" {
		if err := c.FalseAlarms.UnmarshalText([]byte(o.falseAlarms)); err != nil || c.FalseAlarms == 0 || c.FalseAlarms == 1 {
			return shadow.Rules{}, 0, &usageError{fmt.Sprintf("--false-alarms %s: wants a share such as 1%%", o.falseAlarms)}
		}
	}
	c.Ignore = append(c.Ignore, o.ignore...)
	rules, err := shadow.RulesOf(c)
	if err != nil {
		return rules, 0, &usageError{err.Error()}
	}
	return rules, float64(c.FalseAlarms), nil
}

// proof is what it takes to show, with 95 % confidence, that no more than --mismatch
// of all answers have a regression.
func (o *mirrorOptions) proof() (mirrorProof, error) {
	var share plan.Percent
	if err := share.UnmarshalText([]byte(o.mismatch)); err == nil && share > 0 {
		if n, ok := evidence.SamplesFor(1-float64(share), 0.95); ok {
			return mirrorProof{share: float64(share), needed: n, sink: o.baseline != ""}, nil
		}
	}
	return mirrorProof{}, &usageError{fmt.Sprintf("--mismatch %s: wants a share such as 1%%", o.mismatch)}
}

// judge makes what compares, and the recording of what differs.
func (o *mirrorOptions) judge(maxBody int64) (*shadow.MirrorJudge, *shadow.Files, error) {
	rules, falseAlarms, err := o.comparison()
	if err != nil {
		return nil, nil, err
	}
	var files *shadow.Files
	var sink shadow.Sink
	if o.out != "" {
		if files, err = shadow.CreateFiles(o.out, shadow.FileOptions{Options: shadow.Options{MaxBody: maxBody, Declared: o.rules.Declared()}}); err != nil {
			return nil, nil, &usageError{fmt.Sprintf("--out: %v", err)}
		}
		sink = files
	}
	redactor, err := shadow.NewRedactor(o.rules)
	if err != nil {
		return nil, nil, shadowDiscarded(files, &usageError{err.Error()})
	}
	judge, err := shadow.NewMirrorJudge(rules, shadow.CompareOptions{Hosts: o.hosts(), Private: redactor.Private}, shadow.FindingOptions{FalseAlarms: falseAlarms}, sink)
	if err != nil {
		return nil, nil, shadowDiscarded(files, &usageError{err.Error()})
	}
	return judge, files, nil
}

// hosts are those of the versions: that each calls itself by its own name is no
// difference.
func (o *mirrorOptions) hosts() (hosts []string) {
	for _, url := range []string{o.candidate, o.primary, o.baseline, o.noise} {
		if _, host, found := strings.Cut(url, "://"); found {
			host, _, _ = strings.Cut(host, "/")
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// check finds what is missing, or can not be.
func (o *mirrorOptions) check() error {
	if o.candidate == "" || (o.primary == "") == (o.baseline == "") {
		return &usageError{"resilience shadow mirror wants --candidate URL, and --primary URL (to be a proxy) or --baseline URL (to take what others mirror)"}
	}
	for flag, url := range map[string]string{"--candidate": o.candidate, "--primary": o.primary, "--baseline": o.baseline, "--noise": o.noise} {
		if err := shadow.CheckURL(url); url != "" && err != nil {
			return &usageError{flag + " " + err.Error()}
		}
	}
	for _, route := range o.allow {
		if method, path, _ := strings.Cut(route, " "); method == "" || !strings.HasPrefix(path, "/") {
			return &usageError{fmt.Sprintf("--allow-route %q: wants METHOD /PATH, such as POST /search", route)}
		}
	}
	if o.queue < 1 || o.copies < 1 || o.timeout <= 0 {
		return &usageError{"--queue, --copies and --timeout want more than 0"}
	}
	o.routes = slices.Concat(o.allow, o.routes) // an allowed route is one, whatever else is declared
	return nil
}

// runMirror mirrors until it is interrupted, or the time is over.
func runMirror(cmd *cobra.Command, s *streams, o mirrorOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	how, err := o.read()
	if err != nil {
		return err
	}
	proof, err := o.proof()
	if err != nil {
		return err
	}
	secured, err := o.encryption.read(s.err, o.candidate, o.primary, o.baseline, o.noise)
	if err != nil {
		return err
	}
	judge, files, err := o.judge(how.maxBody)
	if err != nil {
		return err
	}
	ctx, interrupted, stop := shadowContext(cmd, o.lasts)
	defer stop()
	mirror, err := shadow.NewMirror(ctx, o.mirror(how, secured, judge))
	if err != nil {
		return shadowDiscarded(files, err)
	}
	stopStatus, err := serveStatus(ctx, s.err, o.status, mirror)
	if err != nil {
		return shadowDiscarded(files, err)
	}
	defer stopStatus()
	fmt.Fprintf(s.err, "mirroring at %s to %s\n", mirror.URL(), o.candidate)
	liveUntil(ctx, s, mirror, o.limit)
	closing, cancel := shadowEnding(ctx)
	defer cancel()
	mirror.Close(closing)
	proof.noise = judge.KnowsNoise()
	report := newMirrorReport(mirror.Counts(), judge.Findings(), proof)
	report.Interrupted, report.Warnings = interrupted(), judge.Warnings(o.noise == cmp.Or(o.primary, o.baseline))
	if files != nil {
		report.Differing = keptIn(files, judge)
	}
	return report.write(s, o.json)
}

// mirror is how the mirror is made.
func (o *mirrorOptions) mirror(how shadowing, secured shadow.Encryption, judge *shadow.MirrorJudge) shadow.MirrorOptions {
	return shadow.MirrorOptions{
		Listen: o.listen, Candidate: o.candidate, Primary: o.primary, Baseline: o.baseline, Noise: o.noise, TLS: secured, OwnHost: o.ownHost,
		MaxBody: how.maxBody, Buffer: how.buffer, Queue: o.queue, Copies: o.copies, Timeout: o.timeout, Allow: o.allow, Sample: how.sample,
		Redactor: how.redactor, Route: how.route, Compare: judge.Compare,
	}
}

// keptIn ends the recording of what differs.
func keptIn(files *shadow.Files, judge *shadow.MirrorJudge) *keptDiffering {
	n, err := judge.Kept()
	kept := &keptDiffering{Recording: strings.Join(files.Paths(), ", "), Exchanges: n}
	if err = errors.Join(err, files.Close()); err != nil {
		kept.Error = err.Error()
	}
	return kept
}

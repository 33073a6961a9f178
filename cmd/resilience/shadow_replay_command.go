package main

import (
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"resilience/internal/plan"
)

// replayOptions are the flags of the replay command.
type replayOptions struct {
	candidate, baseline, noise string
	speed, rate, sample        string
	duration, falseAlarms      string
	limit                      uint64
	routes, ignore, redact     []string
	hosts                      []string
	gates                      []string
	headers                    []string
	trust                      trustFlags
	print                      bool
	run                        runOptions
}

// replayed names the plan that the command stands for, and its phase.
const replayed = "replay"

// Names of targets: what they are to the phase are words that can not be names.
const (
	newVersion = "new"
	oldVersion = "current"
)

func shadowReplayCommand(s *streams) *cobra.Command {
	var o replayOptions
	cmd := &cobra.Command{
		Use:   "replay RECORDING --candidate URL [--baseline URL]",
		Short: "Ask again what was recorded, and compare what two versions answer",
		Long: `replay asks a candidate, and a baseline at the same moment, what a recording has,
and judges what their answers differ in. Without a --baseline the candidate is
compared with the answers that were recorded.

It is a plan with one shadow test, which --print shows: start from that when more
is to be said, such as what may write, or which changes are intended.`,
		Example: `  resilience shadow replay monday.shadow --candidate http://v2:8301 --baseline http://v1:8301 --speed x2
  resilience shadow replay monday.shadow --candidate https://v2:8443 --baseline https://v1:8443 --ca ca.crt --client-cert tls.crt --client-key tls.key --header 'X-Gateway-Key: ${GATEWAY_KEY}'
  resilience shadow replay monday.shadow --candidate http://v2:8301 --baseline http://v1:8301 --print > plan.yaml`,
		Args: exactly(1, "a recording"),
		RunE: func(cmd *cobra.Command, args []string) error { return replayRecording(cmd, s, args[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.candidate, "candidate", "", "the `URL` of the version that wants to serve")
	f.StringVar(&o.baseline, "baseline", "", "the `URL` of the version that serves; default none, but the recorded answers")
	f.StringVar(&o.noise, "noise", "", "what tells what differs anyway: twice (the baseline is asked twice), the `URL` of a second instance, recorded, or none")
	f.StringVar(&o.speed, "speed", "", "x2 is twice as fast as recorded, max as fast as it goes; default x1")
	f.StringVar(&o.rate, "rate", "", "instead of a speed: so many exchanges per `TIME`, such as 500/s")
	f.StringVar(&o.sample, "sample", "", "so many of the sessions, such as 10%; always the same ones")
	f.StringVar(&o.duration, "duration", "", "at most; default until the recording ends")
	f.Uint64Var(&o.limit, "limit", 0, "so many exchanges at most; default all")
	f.StringArrayVar(&o.routes, "route", nil, "only this `ROUTE`, such as GET /orders/{id}")
	f.StringArrayVar(&o.hosts, "host", nil, "only what was asked of this `HOST`, such as shop.example, and of hosts that nobody knows")
	f.StringArrayVar(&o.ignore, "ignore", nil, "a `FIELD` that is not compared: body.items[].price, or header x-request-id of GET /orders")
	f.StringArrayVar(&o.redact, "redact", nil, "a `PATH` in JSON bodies whose values no report shows, beside those that the recording was made with: user.email, cards[*].number")
	f.StringArrayVar(&o.headers, "header", nil, "send each request with this header, unless it was recorded with one: a `HEADER` such as 'X-Gateway-Key: ${GATEWAY_KEY}', where ${NAME} is a secret in the environment")
	o.trust.add(cmd, "targets", "")
	f.StringVar(&o.falseAlarms, "false-alarms", "", "how often a candidate that is as good may be said to have a regression; default 1%")
	f.StringArrayVar(&o.gates, "gate", []string{"mismatch <= 0.1%"}, "what must hold: a `GATE`")
	f.BoolVar(&o.print, "print", false, "print the plan, and run nothing")
	f.StringVar(&o.run.out, "out", "", "write every report and the record into this `DIR`")
	f.Int64Var(&o.run.seed, "seed", 0, "seed of everything random; by default (0) a new one, which is recorded")
	f.BoolVar(&o.run.quiet, "quiet", false, "print nothing but the verdict")
	return cmd
}

// replayRecording runs the plan that the command line stands for, or prints it.
func replayRecording(cmd *cobra.Command, s *streams, recording string, o replayOptions) error {
	text, err := o.plan(recording)
	if err != nil {
		return err
	}
	if o.print {
		_, err := io.WriteString(s.out, text)
		return err
	}
	p, err := plan.Parse([]byte(text), plan.Options{Getenv: os.LookupEnv, Scenarios: isScenario, Dir: "."})
	if err != nil {
		return reportRefusal(s, o.run, &usageError{fmt.Sprintf("%v\nthe plan is:\n%s", err, text)})
	}
	o.run.phase = replayed
	return runPlan(cmd.Context(), s, p, o.run)
}

// replayPlan, replayTest and the rest are of the plan what this command writes of it.
type replayPlan struct {
	Name    string                  `yaml:"name"`
	Allow   []string                `yaml:"allow,omitempty"`
	Secrets map[string]plan.Secret  `yaml:"secrets,omitempty"`
	Targets map[string]replayTarget `yaml:"targets"`
	Phases  []replayPhase           `yaml:"phases"`
}

type replayTarget struct {
	URL     string            `yaml:"url"`
	Headers map[string]string `yaml:"headers,omitempty"`
	TLS     *plan.TLS         `yaml:"tls,omitempty"`
}

type replayPhase struct {
	Name      string       `yaml:"name"`
	Candidate string       `yaml:"candidate"`
	Baseline  string       `yaml:"baseline,omitempty"`
	Tests     []replayTest `yaml:"tests"`
	Gates     []string     `yaml:"gates"`
}

type replayTest struct {
	Name   string       `yaml:"name"`
	Shadow replayShadow `yaml:"shadow"`
}

type replayShadow struct {
	Recording string         `yaml:"recording"`
	Baseline  string         `yaml:"baseline,omitempty"`
	Noise     string         `yaml:"noise,omitempty"`
	Speed     string         `yaml:"speed,omitempty"`
	Rate      string         `yaml:"rate,omitempty"`
	Sample    string         `yaml:"sample,omitempty"`
	Duration  string         `yaml:"duration,omitempty"`
	Limit     uint64         `yaml:"limit,omitempty"`
	Routes    []string       `yaml:"routes,omitempty"`
	Hosts     []string       `yaml:"hosts,omitempty"`
	Compare   *replayCompare `yaml:"compare,omitempty"`
	Redact    []string       `yaml:"redact,omitempty"`
}

type replayCompare struct {
	Ignore      []string `yaml:"ignore,omitempty"`
	FalseAlarms string   `yaml:"false_alarms,omitempty"`
}

// plan writes the plan in YAML. That hosts are named here allows them.
func (o replayOptions) plan(recording string) (string, error) {
	if o.candidate == "" {
		return "", &usageError{"resilience shadow replay wants --candidate URL: the version that wants to serve"}
	}
	test := replayShadow{
		Recording: recording, Noise: o.noise, Speed: o.speed, Rate: o.rate, Sample: o.sample, Duration: o.duration, Limit: o.limit, Routes: o.routes, Hosts: o.hosts, Redact: o.redact,
	}
	phase := replayPhase{Name: replayed, Candidate: newVersion, Gates: o.gates}
	urls := map[string]string{newVersion: o.candidate}
	if o.baseline == "" {
		test.Baseline = plan.Recorded
	} else {
		urls[oldVersion], phase.Baseline = o.baseline, oldVersion
	}
	if strings.Contains(o.noise, "://") {
		test.Noise = oldVersion + "-again"
		urls[test.Noise] = o.noise
	}
	if o.falseAlarms != "" || len(o.ignore) > 0 {
		test.Compare = &replayCompare{o.ignore, o.falseAlarms}
	}
	targets, secrets, err := o.targets(urls)
	if err != nil {
		return "", err
	}
	phase.Tests = []replayTest{{"recording", test}}
	text, err := yaml.MarshalWithOptions(replayPlan{replayed, publicHosts(targets), secrets, targets, []replayPhase{phase}}, yaml.IndentSequence(true))
	return string(text), err
}

// targets are those at some URLs, and the secrets in their headers. The plan is shown,
// in reports too, when something is wrong with it: there are none in it.
func (o replayOptions) targets(urls map[string]string) (map[string]replayTarget, map[string]plan.Secret, error) {
	headers, secrets, err := sentHeaders(o.headers)
	if err != nil {
		return nil, nil, err
	}
	if err := bothOrNone("--client-cert", o.trust.clientCert, "--client-key", o.trust.clientKey); err != nil {
		return nil, nil, err
	}
	targets := map[string]replayTarget{}
	for name, address := range urls {
		if u, err := url.Parse(address); err != nil || u.User != nil {
			return nil, nil, &usageError{"the URL of a target can not be read, or has a user or a password in it: leave these out; --header sends credentials, and a plan (--print) has auth: for them"}
		}
		t := replayTarget{URL: address, Headers: headers}
		if tls := o.trust.inPlan(); tls != (plan.TLS{}) && withTLS(address) {
			t.TLS = &tls
		}
		targets[name] = t
	}
	return targets, secrets, o.trust.fits("target", slices.Collect(maps.Values(urls)))
}

// publicHosts are those that a plan has to allow.
func publicHosts(targets map[string]replayTarget) (hosts []string) {
	for _, t := range targets {
		if u, err := url.Parse(t.URL); err == nil && u.Hostname() != "" && !plan.Private(u.Hostname()) {
			hosts = append(hosts, u.Hostname())
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

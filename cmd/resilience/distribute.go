package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"resilience/internal/distribute"
	"resilience/internal/measure"
	"resilience/internal/plan"
	conduct "resilience/internal/run"
	"resilience/internal/store"
	"resilience/internal/traffic"
	"resilience/scenarios"
)

// distributeOptions are the flags of the distribute command, beside those of
// run.
type distributeOptions struct {
	runOptions
	apply      bool
	manifests  string // a folder
	image      string
	namespace  string
	kubeconfig string
}

func distributeCommand(s *streams) *cobra.Command {
	var o distributeOptions
	var announce bool
	cmd := &cobra.Command{
		Use:   "distribute PLAN",
		Short: "Run a phase of a plan with runners on a cluster, and judge it",
		Long: `distribute is run, but the scripts of the plan are k6-operator's to send: each test
becomes a TestRun with as many runners as its parallel: says. They write what they
measure to InfluxDB, from where it is collected while they send; the verdict,
the record and the reports are those of a local run. Without --apply, it writes
the manifests and does nothing else; the Secrets among them hold credentials.`,
		Args: exactly(1, "a plan"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.secret = !announce
			return distributeFile(cmd.Context(), s, args[0], o)
		},
	}
	runFlags(cmd, &o.runOptions, &announce)
	f := cmd.Flags()
	f.BoolVar(&o.apply, "apply", false, "make the runners on the cluster, wait for them, judge, and remove them")
	f.StringVar(&o.manifests, "manifests", "", "without --apply: write the manifests into this `DIR`, not to the standard output")
	f.StringVar(&o.image, "image", "", "of the runners, with this program as k6 in it")
	f.StringVar(&o.namespace, "namespace", "", "where the runners are made")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "`FILE` that says where the cluster is")
	return cmd
}

// distributeFile runs phases of the plan in a file with runners on a cluster, or
// writes what they would be made of.
func distributeFile(ctx context.Context, s *streams, path string, o distributeOptions) error {
	p, err := loadPlan(path, o.vars)
	if err != nil {
		return reportRefusal(s, o.runOptions, err)
	}
	d, err := newDistribution(p, o)
	if err != nil {
		return reportRefusal(s, o.runOptions, err)
	}
	if !o.apply {
		return d.write(ctx, s, o)
	}
	var told sync.Once
	o.traffic = func(stream plan.Stream) (conduct.Traffic, error) {
		if !o.quiet {
			told.Do(func() {
				fmt.Fprintf(s.err, "runners are made in namespace %s; should this process be killed, %s\n", d.on.Namespace, distribute.Removal(d.on.Namespace, stream.Run))
			})
		}
		return distribute.NewRunners(stream, d.on, func(ctx context.Context) (distribute.Job, error) { return d.job(ctx, stream) }, followRunners(d.from))
	}
	return runPlan(ctx, s, p, o.runOptions)
}

// followRunners hears what runners write to an InfluxDB.
func followRunners(from store.Influx) distribute.Follow {
	return func(ctx context.Context, run, prefix string, emit func(measure.Batch) error) error {
		f, err := store.Follow(ctx, from, run, prefix, emit)
		if err != nil {
			return err
		}
		<-f.Done() // when the context has ended, too
		return f.Err()
	}
}

// distribution is a plan that runners on a cluster send.
type distribution struct {
	plan   plan.Plan
	phases []string
	on     plan.Distribute
	from   store.Influx      // as we reach it
	influx distribute.Influx // as runners do
}

// newDistribution finds out, before anything is started, whether a plan can be
// sent from a cluster.
func newDistribution(p plan.Plan, o distributeOptions) (*distribution, error) {
	d := &distribution{plan: p, on: p.Runners()}
	var err error
	if d.phases, err = choosePhases(p, o.phase, o.all); err != nil {
		return nil, err
	}
	for _, phase := range named(p, d.phases) {
		if err := distribute.Check(p, phase); err != nil {
			return nil, &usageError{err.Error()}
		}
	}
	d.on.Image, d.on.Namespace = cmp.Or(o.image, d.on.Image), cmp.Or(o.namespace, d.on.Namespace)
	if o.kubeconfig != "" {
		if d.on.Kubeconfig, err = filepath.Abs(o.kubeconfig); err != nil {
			return nil, err
		}
	}
	switch {
	case d.on.Image == "":
		return nil, &usageError{"there is no image for the runners: write image: under distribute: in the plan, or give --image"}
	case !o.apply && o.out != "":
		return nil, &usageError{"--out wants --apply: without it, there is nothing to report"}
	case o.apply && o.manifests != "":
		return nil, &usageError{"--manifests and --apply exclude each other"}
	}
	if d.from, err = influxFrom(p, o.influx); err != nil {
		return nil, err
	}
	if d.from.URL == "" {
		return nil, &usageError{"runners write what they measure to InfluxDB: write influx: in the plan, or give --influx or INFLUX_URL"}
	}
	d.influx, err = influxOfRunners(p, d.on.Influx, d.from)
	return d, err
}

// influxOfRunners is an InfluxDB as runners on a cluster reach it.
func influxOfRunners(p plan.Plan, in *plan.DistributedInflux, from store.Influx) (to distribute.Influx, err error) {
	if in == nil {
		in = &plan.DistributedInflux{}
	}
	to = distribute.Influx{
		URL: cmp.Or(in.URL, from.URL), Org: from.Org, Bucket: from.Bucket, Token: from.Token, Secret: in.Secret, Insecure: in.Insecure,
	}
	u, err := url.Parse(to.URL)
	if err != nil {
		return to, &usageError{"the URL of InfluxDB is like https://influx.example.com:8086"}
	}
	ip := net.ParseIP(u.Hostname())
	switch {
	case u.Hostname() == "localhost" || ip != nil && ip.IsLoopback():
		return to, &usageError{fmt.Sprintf("runners on a cluster can not reach the InfluxDB at %s of this machine: say where they find it with influx: {url: ...} under distribute: in the plan", u.Host)}
	case u.Scheme == "http" && (to.Token != "" || to.Secret != "") && !to.Insecure:
		return to, &usageError{fmt.Sprintf("the token of the runners would go to %s unencrypted: write it as https://, or influx: {insecure: true} under distribute: in the plan if nobody listens there", u.Host)}
	}
	if p.Influx == nil || p.Influx.TLS == nil {
		return to, nil
	}
	tls := p.Influx.TLS
	if tls.Cert != "" || tls.Insecure || tls.ServerName != "" {
		return to, &usageError{"runners know of influx: tls: only the ca: leave out cert, insecure and server_name"}
	}
	to.CA, err = os.ReadFile(plan.Locate(p.Dir, tls.CA))
	return to, err
}

// job is what a stream is on a cluster, with credentials as they are now.
func (d *distribution) job(ctx context.Context, s plan.Stream) (distribute.Job, error) {
	settings, until, err := traffic.Resolve(ctx, s)
	if err != nil {
		return distribute.Job{}, err
	}
	_, profile := s.Test.Kind()
	if ends := time.Now().Add(profile.Length() + time.Minute); !until.IsZero() && until.Before(ends) {
		return distribute.Job{}, fmt.Errorf("test %s: its token is good until %s and the test would last until %s, and runners can not renew it: have it issued for longer, or shorten the test",
			s.Test.Name, until.Format(time.TimeOnly), ends.Format(time.TimeOnly))
	}
	archive, err := archiveOf(ctx, s)
	if err != nil {
		return distribute.Job{}, err
	}
	for name := range d.plan.Secrets {
		value, err := d.plan.Secret(name, os.LookupEnv)
		if err == nil && len(value) >= leastSecret && bytes.Contains(archive, []byte(value)) {
			return distribute.Job{}, fmt.Errorf("test %s: the secret %s is in its script, or in what that imports or opens, which a ConfigMap would show: take it from __ENV inside of functions", s.Test.Name, name)
		}
	}
	return distribute.Job{Settings: settings, Archive: archive, Env: traffic.Environment(s), Influx: d.influx, On: d.on}, nil
}

// leastSecret is how long a secret must be for its text not to be anywhere by
// chance.
const leastSecret = 6

// archiveOf makes the archive of a stream's script.
func archiveOf(ctx context.Context, s plan.Stream) ([]byte, error) {
	_, profile := s.Test.Kind()
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, to run k6 with: %w", err)
	}
	script := plan.Locate(s.Dir, profile.Script)
	if embedded, ok := scenarios.Open(profile.Script); ok {
		dir, err := os.MkdirTemp("", "resilience-script-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		script = filepath.Join(dir, filepath.Base(profile.Script))
		if err := os.WriteFile(script, embedded, 0o600); err != nil {
			return nil, err
		}
	}
	return traffic.Archive(ctx, s, []string{self, "k6"}, script)
}

// write writes what a run would make on the cluster.
func (d *distribution) write(ctx context.Context, s *streams, o distributeOptions) error {
	info := newRun(d.plan, o.seed)
	conductor := &conduct.Conductor{Plan: d.plan, ID: info.ID, Seed: info.Seed, Getenv: os.LookupEnv}
	var all []distribute.Manifest
	for _, phase := range d.phases {
		streams, err := conductor.Streams(phase)
		if err != nil {
			return err
		}
		for _, stream := range streams {
			job, err := d.job(ctx, stream)
			if err != nil {
				return err
			}
			manifests, err := job.Manifests()
			if err != nil {
				return err
			}
			all = append(all, manifests...)
		}
	}
	fmt.Fprintln(s.err, "! the Secrets among the manifests hold credentials")
	if o.manifests == "" {
		return distribute.WriteYAML(s.out, all...)
	}
	if err := os.MkdirAll(o.manifests, 0o700); err != nil {
		return &usageError{fmt.Sprintf("--manifests: %v", err)}
	}
	var problems []error
	for i, m := range all {
		name := fmt.Sprintf("%02d-%s-%s.yaml", i+1, strings.ToLower(m.Kind), m.Name())
		problems = append(problems, writeManifest(filepath.Join(o.manifests, name), m))
	}
	return errors.Join(problems...)
}

func writeManifest(path string, m distribute.Manifest) error {
	var text bytes.Buffer
	if err := distribute.WriteYAML(&text, m); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o600)
}

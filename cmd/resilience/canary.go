package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"resilience/canary"
	"resilience/internal/measure"
	"resilience/internal/plan"
	"resilience/internal/store"
)

// canaryDir is where the states of canaries are kept, below the working
// directory.
const canaryDir = ".resilience/canary"

// canaryOptions are the flags of the canary command.
type canaryOptions struct {
	listen string
	state  string
	influx string
	vars   []string
}

func canaryCommand(s *streams) *cobra.Command {
	var o canaryOptions
	cmd := &cobra.Command{
		Use:   "canary PLAN",
		Short: "Try what customers do, around the clock, and tell people when it fails",
		Long: `canary has the tenants of the plan try its transactions on their schedule until
it is stopped, opens and closes incidents, and tells the receivers of the plan.
What it knows is kept under ` + canaryDir + `, so that it goes on where it ended
when it is started again. With --listen it serves a status page, an API and
metrics. The first interrupt lets what is under way finish, the second does not.`,
		Args: exactly(1, "a plan"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := loadPlan(args[0], o.vars)
			if err != nil {
				return err
			}
			if p.Canary == nil {
				return &usageError{args[0] + " has no canary: section; see docs/canary.md"}
			}
			return runCanary(cmd.Context(), s, p, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "", "serve the status page, the API and the metrics at this `ADDRESS`, such as 127.0.0.1:8080")
	f.StringVar(&o.state, "state", "", "keep what is known in this `FILE`; by default "+canaryDir+"/NAME.db")
	influxFlag(cmd, &o.influx)
	varFlag(cmd, &o.vars)
	return cmd
}

// watching is everything that a canary is made of.
type watching struct {
	plan   plan.Plan
	canary plan.Canary // with secrets filled in
	stream plan.Stream
	tasks  []canary.Task
	state  *store.State
	mailer *canary.Mailer
	peers  *canary.Peers
	prober canary.Prober
	daemon *canary.Daemon
	influx *streaming
	log    *canaryLog
}

// runCanary runs the canary of a plan until it is interrupted.
func runCanary(ctx context.Context, s *streams, p plan.Plan, o canaryOptions) (err error) {
	if o.state == "" {
		o.state = filepath.Join(canaryDir, p.Name+store.Extension)
	}
	w := &watching{plan: p, log: &canaryLog{out: s.err}}
	if err := w.bind(); err != nil {
		return err
	}
	if w.state, err = openCanaryState(o.state, w.canary.Keep); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.state.Close()) }()
	if w.influx, err = newStreaming(ctx, s, p, newRun(p, 0), o.influx); err != nil {
		return err
	}
	done, err := w.assemble()
	if err != nil {
		return err
	}
	defer done()
	deaf, err := w.hearAcks(socketOfCanary(o.state))
	if err != nil {
		return err
	}
	unseen, err := w.serve(o.listen)
	if err != nil {
		return errors.Join(err, deaf())
	}
	ctx, hurry, end := interruptible(ctx)
	defer end()
	w.log.say("canary %s: %s; state in %s", p.Name, w.schedule(), o.state)
	err = errors.Join(w.run(ctx, hurry), unseen(), deaf(), w.ended(s))
	w.log.say("stopped")
	return err
}

func openCanaryState(path string, k plan.CanaryKeep) (*store.State, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, &usageError{fmt.Sprintf("--state: %v", err)}
	}
	return store.OpenState(path, store.Keep{
		Attempts: time.Duration(k.Attempts), Minutes: time.Duration(k.Minutes), Hours: time.Duration(k.Hours),
	})
}

// bind fills in what the plan leaves to the environment.
func (w *watching) bind() (err error) {
	if target := w.plan.Canary.Target; strings.Contains(w.plan.Targets[target].URL, "${services.") {
		return &usageError{fmt.Sprintf("canary: the target %s is a service of the plan, and only runs start those: name one that is there already", target)}
	}
	if w.canary, err = w.plan.BindCanary(os.LookupEnv); err != nil {
		return err
	}
	if w.stream, err = w.plan.CanaryStream(os.LookupEnv, nil); err != nil {
		return err
	}
	w.tasks = canaryTasks(w.stream)
	return nil
}

// canaryTasks are the transactions of a stream's schedule. What is tried as
// nobody is tried by one without a name.
func canaryTasks(s plan.Stream) []canary.Task {
	var tasks []canary.Task
	for _, t := range s.Schedule {
		as := t.As
		if len(as) == 0 {
			as = []plan.Identity{{}}
		}
		tasks = append(tasks, canary.Task{Name: t.Name, Plan: t.CanaryTask, Tenants: as})
	}
	return tasks
}

// schedule says in words how much is tried.
func (w *watching) schedule() string {
	probes, rate := 0, 0.0
	for _, t := range w.tasks {
		probes += len(t.Tenants)
		rate += float64(len(t.Tenants)) / time.Duration(t.Plan.Every).Minutes()
	}
	return fmt.Sprintf("%d transactions, %d tenants, %.4g tries a minute", len(w.tasks), max(1, len(w.stream.Tenants)), rate)
}

// assemble makes the parts. Done lets go of what they hold on disk.
func (w *watching) assemble() (done func(), err error) {
	if w.mailer, err = canary.NewMailer(w.state, w.canary.Receivers, w.plan.Dir, func(canary.Notice, int64) {}, w.log.warn); err != nil {
		return nil, &usageError{"canary: " + err.Error()}
	}
	if w.prober, done, err = newProber(w.stream, w.emit); err != nil {
		return nil, err
	}
	o := canary.Options{
		Plan: w.plan.Name, Canary: w.canary, Tasks: w.tasks, Prober: w.prober, State: w.state,
		Objectives: objectives(w.plan), Wake: w.mailer.Wake, Event: w.happened, Warn: w.log.warn,
	}
	if l := w.canary.Location; l != nil {
		clients, err := w.clients(*l)
		if err != nil {
			done()
			return nil, err
		}
		w.peers = canary.NewPeers(*l, clients)
		o.Peers = w.peers
	}
	if w.canary.Health != nil {
		if o.Health, err = w.health(); err != nil {
			done()
			return nil, err
		}
	}
	w.daemon, err = canary.New(o)
	return done, err
}

// clients are what the other locations are asked with.
func (w *watching) clients(l plan.Location) (map[string]*http.Client, error) {
	clients := map[string]*http.Client{}
	for name, peer := range l.Peers {
		tls, err := peer.TLS.Config(w.plan.Dir)
		if err != nil {
			return nil, fmt.Errorf("location %s: %w", name, err)
		}
		clients[name] = &http.Client{Transport: &http.Transport{TLSClientConfig: tls}}
	}
	return clients, nil
}

// healthTimeout is how long a health endpoint may take.
const healthTimeout = 10 * time.Second

// health makes what asks the target's health endpoint.
func (w *watching) health() (func(context.Context) error, error) {
	tls, err := w.stream.Target.TLS.Config(w.plan.Dir)
	if err != nil {
		return nil, fmt.Errorf("health of the target: %w", err)
	}
	client := &http.Client{
		Timeout: healthTimeout, Transport: &http.Transport{TLSClientConfig: tls},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.stream.Target.URL+w.canary.Health.Path, http.NoBody)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return errors.Unwrap(err) // without the URL
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
		if response.StatusCode < 200 || response.StatusCode > 299 {
			return fmt.Errorf("status %d", response.StatusCode)
		}
		return nil
	}, nil
}

// emit hands on what the engine measured.
func (w *watching) emit(batch measure.Batch) error {
	for _, e := range batch.Events {
		if e.Kind == measure.EventGenerator {
			w.log.warn("the load generator: " + e.Name + ": " + e.Attrs["detail"])
		}
	}
	if w.influx != nil {
		_ = w.influx.Append(batch) // what can not be written is counted there
	}
	return nil
}

// happened shows an event and hands it on.
func (w *watching) happened(e measure.Event) {
	w.log.incident(e)
	if w.influx != nil {
		_ = w.influx.Append(measure.Batch{Events: []measure.Event{e}})
	}
}

// pruneEvery is how often history that is older than the plan wants it is
// removed.
const pruneEvery = 10 * time.Minute

// run has all parts work until the context ends, and the engine has finished
// what was under way.
func (w *watching) run(ctx context.Context, hurry <-chan struct{}) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx)) // goes on a little longer
	var parts sync.WaitGroup
	parts.Go(func() { w.mailer.Run(work) })
	parts.Go(func() { w.prune(work) })
	if w.peers != nil {
		parts.Go(func() { w.peers.Run(work) })
	}
	ended := make(chan error, 1)
	go func() { ended <- w.daemon.Run(ctx) }()
	var err error
	select {
	case err = <-ended:
	case <-hurry:
		err = &exitError{130}
	}
	stop()
	parts.Wait()
	return err
}

// prune removes old history from time to time.
func (w *watching) prune(ctx context.Context) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		if err := w.state.Prune(time.Now().UnixNano()); err != nil {
			w.log.warn("old history can not be removed: " + err.Error())
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// ended tells what came of writing to InfluxDB.
func (w *watching) ended(s *streams) error {
	if w.influx == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), influxEnd)
	defer cancel()
	sent, err := w.influx.Close(ctx)
	fmt.Fprintf(s.err, "InfluxDB %s: %s\n", w.influx.url, sent)
	return err
}

// figures is what is computed of the history.
func (w *watching) figures(from, to int64) (any, error) {
	return canary.ComputeFigures(w.state, w.canary, objectives(w.plan), from, to)
}

// canaryLog is what a canary says while it works: a line for each thing that
// matters.
type canaryLog struct {
	mu  sync.Mutex
	out io.Writer
}

func (l *canaryLog) say(format string, values ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, "%s %s\n", time.Now().UTC().Format(time.RFC3339), fmt.Sprintf(format, values...))
}

func (l *canaryLog) warn(text string) { l.say("! %s", text) }

// incident shows what became of an incident.
func (l *canaryLog) incident(e measure.Event) {
	mark := map[string]string{canary.Opened: "✗", canary.Acknowledged: "·", canary.Closed: "✓"}[e.Attrs["state"]]
	text := fmt.Sprintf("%s %s %s: %s", mark, e.Name, e.Attrs["state"], e.Attrs["evidence"])
	for _, name := range slices.Sorted(maps.Keys(e.Attrs)) {
		if name == "start" || name == "end" {
			text += ", " + name + " " + e.Attrs[name]
		}
	}
	l.say("%s", text)
}

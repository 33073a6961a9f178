package canary

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Options are what a [Daemon] is made of.
type Options struct {
	Plan   string      // its name
	Canary plan.Canary // with its placeholders replaced
	Tasks  []Task
	Prober Prober
	State  State

	Objectives []gates.Objective               // of the plan
	Peers      *Peers                          // nil without other locations
	Health     func(ctx context.Context) error // asks the health endpoint; nil without one
	Wake       func()                          // there are new notices in the state
	Event      func(measure.Event)             // something happened that a board should show
	Warn       func(string)                    // something that an operator should know
}

// healthName is the name under which answers of the health endpoint are kept.
const healthName = "(health)"

// Daemon is the loop that joins scheduler, prober, watcher and state. All of its
// state is touched by that loop alone; what others want of it is done there.
type Daemon struct {
	o        Options
	schedule *Scheduler
	watch    *Watcher
	since    int64
	series   map[string]map[string]measure.Series // by transaction and tenant
	beats    map[string]*beat

	answers  chan measure.Probed
	requests chan func()
	closed   chan struct{} // the loop has ended

	attempts  []measure.Attempt // that are still to be committed
	documents map[string][]byte
	failing   error // of the last commit
	probes    Probes
	shown     map[string]string // by incident: its state in the last event
	seq       uint64            // of events
}

// New makes a daemon that goes on where the last one with the same state ended.
func New(o Options) (*Daemon, error) {
	d := &Daemon{
		o: o, since: time.Now().UnixNano(), series: map[string]map[string]measure.Series{},
		answers: make(chan measure.Probed), requests: make(chan func()), closed: make(chan struct{}),
		documents: map[string][]byte{}, shown: map[string]string{},
	}
	for _, task := range o.Tasks {
		d.series[task.Name] = map[string]measure.Series{}
		for _, t := range task.Tenants {
			d.series[task.Name][t.Name] = measure.Series{
				Metric: measure.MetricTransaction, Test: "canary", Arm: measure.Candidate,
				Transaction: task.Name, Tenant: t.Name, Class: t.Class, Cell: t.Cell, Region: t.Region,
			}
		}
	}
	burns, err := Burns(o.Objectives, o.State, d.since)
	if err != nil {
		return nil, err
	}
	watch := WatchOptions{Plan: o.Plan, Canary: o.Canary, Burn: burns, Known: d.known}
	if o.Peers != nil {
		watch.Agree = o.Peers.Agree
	}
	d.watch = NewWatcher(watch)
	return d, d.restore()
}

// known reports whether anything that is asked is evidence for a unit.
func (d *Daemon) known(u Unit) bool {
	if _, is := d.o.Canary.Heartbeats[u.Transaction]; is {
		return u.Value == ""
	}
	for _, s := range d.series[u.Transaction] {
		switch {
		case u.Key == "", map[string]string{"tenant": s.Tenant, "class": s.Class, "cell": s.Cell, "region": s.Region}[u.Key] == u.Value:
			return true
		}
	}
	return false
}

// restore brings back what the last daemon knew.
func (d *Daemon) restore() error {
	incidents, err := Incidents(d.o.State)
	if err != nil {
		return err
	}
	switch at, err := began(d.o.State); {
	case err != nil:
		return err
	case at == 0:
		d.document(beganDocument, d.since)
	}
	d.watch.Restore(incidents, nil)
	for _, i := range incidents {
		if i.Open() {
			d.shown[i.ID] = stage(i)
		}
	}
	last := map[[2]string]int64{}
	err = d.recall(func(attempts []measure.Attempt) {
		d.watch.Restore(nil, attempts)
		for _, a := range attempts {
			key := [2]string{a.Series.Transaction, a.Series.Tenant}
			last[key] = max(last[key], a.At)
		}
	})
	if err != nil {
		return fmt.Errorf("the history of the canary: %w", err)
	}
	d.schedule = NewScheduler(d.o.Tasks, d.o.Plan, d.since, func(transaction, tenant string) int64 {
		return last[[2]string{transaction, tenant}]
	})
	return d.restoreBeats()
}

// Incidents gives all incidents that a state holds, the oldest first.
func Incidents(s State) ([]Incident, error) {
	documents, err := s.Documents(incidentPrefix)
	if err != nil {
		return nil, fmt.Errorf("the incidents of the canary: %w", err)
	}
	all := make([]Incident, 0, len(documents))
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		var i Incident
		if err := json.Unmarshal(documents[name], &i); err != nil {
			return nil, fmt.Errorf("the document %s of the canary is damaged: %w", name, err)
		}
		all = append(all, i)
	}
	slices.SortStableFunc(all, func(a, b Incident) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// tickEvery is how often the daemon does what only time brings about.
const tickEvery = time.Second

// Run works until the context ends; what is under way is finished then. An error
// is one that more time would not mend.
func (d *Daemon) Run(ctx context.Context) error {
	defer close(d.closed)
	due, ended := make(chan measure.Probe), make(chan error, 1)
	go func() {
		ended <- d.o.Prober.Run(ctx, due, func(p measure.Probed) { d.answers <- p })
	}()
	healthy := d.askHealth(ctx)
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	d.o.Wake() // of notices that the last daemon left
	stop := ctx.Done()
	for stopped := false; ; {
		probe, out, wait := next(d.schedule, due, stopped)
		select {
		case out <- probe:
			d.schedule.Begin(time.Now().UnixNano())
		case p := <-d.answers:
			d.take(p)
		case a := <-healthy:
			d.observe(a)
		case f := <-d.requests:
			f()
		case now := <-ticker.C:
			d.tick(now.UnixNano())
		case <-wait:
		case <-stop:
			stopped, stop = true, nil // the prober ends what is under way, then itself
		case err := <-ended:
			d.commit()
			return errors.Join(err, d.failing)
		}
	}
}

// maxBatch bounds how many attempts wait for the next tick to be committed.
const maxBatch = 1000

// take takes in an answer. What people must be told is committed at once, what is
// only history together with that of the same second.
func (d *Daemon) take(p measure.Probed) {
	d.answer(p)
	if d.watch.urgent || len(d.attempts) >= maxBatch && d.failing == nil {
		d.commit()
	}
}

func (d *Daemon) answer(p measure.Probed) {
	now := time.Now().UnixNano()
	if p.Lost != "" {
		d.probes.Lost++
		d.schedule.Lost(p.Seq, now)
		return
	}
	task, asked := d.schedule.Done(p.Seq)
	if !asked {
		return
	}
	d.probes.Done++
	a := p.Attempt
	if series, known := d.series[a.Series.Transaction][a.Series.Tenant]; known {
		a.Series = series
	}
	if slow := time.Duration(task.Slow); slow > 0 && a.Took > float64(slow)/float64(time.Millisecond) {
		a.Found |= measure.Slow
		if a.Message == "" {
			a.Message = fmt.Sprintf("took %.0f ms, which is more than %s", a.Took, slow)
		}
	}
	d.keep(a, now)
}

// keep gives an attempt to the watcher and to the next commit.
func (d *Daemon) keep(a measure.Attempt, now int64) {
	a.Planned = d.maintained(a.Series.Transaction, a.Series.Cell, a.At) != ""
	d.watch.Observe(a, now)
	d.attempts = append(d.attempts, a)
}

// observe is keep for what does not come from a probe.
func (d *Daemon) observe(a measure.Attempt) {
	d.keep(a, time.Now().UnixNano())
	d.commit()
}

// maintained gives the reason of the planned maintenance in which a transaction
// is at a moment; "" for none. What is said of no cell holds for all.
func (d *Daemon) maintained(transaction, cell string, at int64) string {
	for _, m := range d.o.Canary.Maintenance {
		within := at >= time.Time(m.From).UnixNano() && at < time.Time(m.To).UnixNano()
		if within && (len(m.Of) == 0 || slices.Contains(m.Of, transaction)) && (m.Cell == "" || m.Cell == cell) {
			return m.Reason
		}
	}
	return ""
}

// tick does what only time brings about.
func (d *Daemon) tick(now int64) {
	d.watch.Plan(func(u Unit) string { return d.maintained(u.Transaction, u.Value, now) })
	d.missed(now)
	d.watch.Tick(now)
	d.commit()
}

// maxKept bounds the attempts that are kept in memory while the state can not be
// written; beyond that the oldest are given up.
const maxKept = 100_000

// commit writes what has changed. What can not be written is tried again at the
// next tick.
func (d *Daemon) commit() {
	incidents, notices := d.watch.Take()
	for id, i := range incidents {
		d.document(incidentPrefix+id, i)
		d.happened(i)
	}
	for _, n := range notices {
		d.document(noticePrefix+n.ID, Mail{Notice: n})
	}
	if len(d.attempts)+len(d.documents) == 0 {
		return
	}
	err := d.o.State.Commit(d.attempts, d.documents)
	if err != nil {
		if d.failing == nil {
			d.o.Warn(fmt.Sprintf("the canary's state can not be written, which is tried again: %v", err))
		}
		d.failing = fmt.Errorf("the canary's state can not be written: %w", err)
		d.attempts = d.attempts[max(0, len(d.attempts)-maxKept):]
		return
	}
	d.failing, d.attempts = nil, d.attempts[:0]
	told := false
	for name := range d.documents {
		told = told || strings.HasPrefix(name, noticePrefix)
	}
	clear(d.documents)
	if told {
		d.o.Wake()
	}
}

func (d *Daemon) document(name string, content any) {
	text, err := json.Marshal(content)
	if err != nil {
		panic(err) // no type of ours can fail
	}
	d.documents[name] = text
}

// ask has the loop do something, and waits for it.
func (d *Daemon) ask(do func()) error {
	done := make(chan struct{})
	select {
	case d.requests <- func() { do(); close(done) }:
		<-done
		return nil
	case <-d.closed:
		return errors.New("the canary has stopped")
	}
}

// Ack notes that somebody has acknowledged an incident that is open.
func (d *Daemon) Ack(id, by string) error {
	var refused error
	err := d.ask(func() {
		_, refused = d.watch.Ack(id, by, time.Now().UnixNano())
		d.commit()
	})
	return errors.Join(err, refused)
}

// Status is what is known now; the error says that the daemon does not work as
// it should.
func (d *Daemon) Status() (Status, error) {
	s := Status{Since: d.since, Plan: d.o.Plan}
	var failing error
	err := d.ask(func() {
		d.probes.Late, d.probes.Skipped = d.schedule.late, d.schedule.skipped
		s.Units, s.Open, s.Probes, failing = d.watch.Units(), d.watch.Open(), d.probes, d.failing
	})
	s.At = time.Now().UnixNano()
	if l := d.o.Canary.Location; l != nil {
		s.Location = l.Name
	}
	return s, errors.Join(err, failing)
}

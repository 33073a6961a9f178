package traffic

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Prober carries out the probes of a canary in one k6 process that goes on for as
// long as the canary does. Each of its VUs waits for a probe, acts as the tenant
// of that, calls the function of the script, and waits for the next. When the
// process ends, whatever ended it, another takes its place.
type Prober struct {
	k6       *K6
	execs    []string
	vus      int
	emit     func(measure.Batch) error
	patience time.Duration // for answers, after the time of a probe was over
	since    string        // when it began to run: keeps what it measures apart from what the one before did

	seq uint64 // of its own events
}

// How soon a process is started again when it ended within earlyEnd of its start:
// twice as late each time. One that lasted longer is replaced at once.
const (
	earlyEnd      = 10 * time.Second
	firstInterval = 100 * time.Millisecond
	lastInterval  = 30 * time.Second
)

// endless is longer than any process lives.
const endless = 10 * 365 * 24 * time.Hour

// NewProber prepares for probes that name tenants of the stream and functions of
// its script (execs), as many at a time as there are VUs. The rest is as for
// [NewK6]. What is measured is handed to emit, as windows, events and examples;
// that emit fails ends [Prober.Run].
func NewProber(stream plan.Stream, execs []string, vus int, command []string, script string, emit func(measure.Batch) error) (*Prober, error) {
	if vus < 1 || len(execs) == 0 {
		return nil, fmt.Errorf("test %s: a canary needs VUs and functions to call; got %d and %d", stream.Test.Name, vus, len(execs))
	}
	k, err := NewK6(stream, command, script)
	if err != nil {
		return nil, err
	}
	return &Prober{k6: k, execs: execs, vus: vus, emit: emit, patience: answerGrace}, nil
}

// Run carries out what is due until the context ends or nothing is due any more;
// then it takes no more, and lets what is under way end within the grace of the
// stream's profile. It takes a probe only when a VU is free for it, and calls done
// once for each that it took, from any goroutine. The error is a [*PlanError] where
// the plan and the script do not fit, or the script does not load to begin with. It
// is a [*TokenError] where there are no credentials to begin with: when they can not
// be renewed later, requests will tell.
func (p *Prober) Run(ctx context.Context, due <-chan measure.Probe, done func(measure.Probed)) error {
	stream := p.k6.stream
	credentials, err := NewAuthorizer(stream.Target, stream.Hosts, stream.Dir)
	if err != nil {
		return err
	}
	defer credentials.Close()
	headers, err := credentials.Headers(ctx)
	if err != nil {
		return err
	}
	p.since = strconv.FormatInt(time.Now().UnixMilli(), 36)
	wait := time.Duration(0)
	for n := 1; ; n++ {
		if renewed, err := credentials.Headers(ctx); err == nil {
			headers = renewed
		}
		began := time.Now()
		over, err := p.shift(ctx, n, credentials, merged(stream.Target.Headers, headers), due, done)
		if over || err != nil {
			return err
		}
		if wait = min(2*max(wait, firstInterval/2), lastInterval); time.Since(began) >= earlyEnd {
			wait = 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// shift runs one process to its end; over says that no other shall follow.
func (p *Prober) shift(ctx context.Context, n int, credentials *Authorizer, headers map[string]string, due <-chan measure.Probe, done func(measure.Probed)) (over bool, err error) {
	stream := p.k6.stream
	settings := plan.Settings{
		Source: fmt.Sprintf("%s/%s/%d", sourceOf("k6", stream), p.since, n), Stream: stream, Headers: headers,
	}
	s := &shift{
		done: done, patience: p.patience, changed: make(chan struct{}, 1), under: map[uint64]taken{}, quietSince: time.Now(),
		talk: &conversation{settings: settings, emit: p.emit, credentials: credentials},
	}
	s.talk.hear = s.hear
	entry, err := p.entry()
	if err != nil {
		return true, err
	}
	exited := make(chan error, 1)
	if s.child, err = p.k6.launchGuarded(entry, exited); err != nil {
		return ctx.Err() != nil, p.ended(settings, err.Error()) // such as when there is no memory
	}
	s.talk.conn = s.child.conn
	_, profile := stream.Test.Kind()
	over = s.work(ctx, exited, due, time.Duration(profile.Grace))
	reason := s.reason()
	s.loseAll(reason)
	switch message := s.child.log.lastError(); {
	case s.wrong != "":
		return true, &PlanError{Test: stream.Test.Name, Message: s.wrong}
	case s.talk.failed != nil:
		return true, s.talk.failed
	case n == 1 && !over && s.exit != nil && !s.talk.greeted.Load() && !s.killed() && message != "":
		return true, &PlanError{Test: stream.Test.Name, Message: "k6: " + message} // the script does not load
	case over:
		return true, nil
	}
	return false, p.ended(settings, reason)
}

// ended tells that a process ended that should have gone on.
func (p *Prober) ended(settings plan.Settings, reason string) error {
	p.seq++
	s := settings.Stream
	return p.emit(measure.Batch{Events: []measure.Event{{
		Source: settings.Source + "/harness", Seq: p.seq, At: time.Now().UnixNano(), Kind: measure.EventGenerator,
		Phase: s.Phase, Test: s.Test.Name, Arm: s.Arm, Name: "ended", Attrs: map[string]string{"detail": reason},
	}}})
}

// entry is the module that k6 runs instead of the script: see probes in
// xk6-resilience. A VU opens its connections anew for each probe, unless the
// script says otherwise: so do the customers that a canary stands for, and the one
// before may have been another.
func (p *Prober) entry() (string, error) {
	options, err := tlsOptions(p.k6.stream)
	if err != nil {
		return "", err
	}
	options["scenarios"] = map[string]any{scenarioName: map[string]any{
		"executor": "constant-vus", "vus": p.vus, "duration": strconv.FormatInt(int64(math.Round(endless.Hours())), 10) + "h", "gracefulStop": "0s",
	}}
	profile, err := json.Marshal(options)
	if err != nil {
		return "", err
	}
	var parts []any
	for _, part := range []any{p.k6.script, string(profile), p.execs} {
		text, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		parts = append(parts, text)
	}
	return fmt.Sprintf(probeEntryText, parts...), nil
}

// probeEntryText is to probes what entryText is to iterations.
const probeEntryText = `const resilience = require("k6/x/resilience");
resilience.watchGRPC(require("k6/net/grpc"));
module.exports = resilience.probes(require(%s), %s, %s);
`

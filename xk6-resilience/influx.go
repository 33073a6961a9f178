package xk6resilience

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"go.k6.io/k6/v2/output"

	"resilience/internal/measure"
	"resilience/internal/plan"
	"resilience/internal/store"
)

const (
	influxBegin = 10 * time.Second // for InfluxDB to take the first event
	influxEnd   = 30 * time.Second // for it to take the rest
)

// settingsFile names the environment variable with the path of the settings.
const settingsFile = "RESILIENCE_SETTINGS"

// influxSink writes to InfluxDB: this k6 is one of several runners, perhaps on a
// machine of its own, and sends its part of a test's traffic. What can not be
// written yet waits in a spool on disk, so that k6 is never held up. The first
// event says that it is there; the last, written when InfluxDB has all else,
// says how it ended and how much that was. Examples of failures are dropped.
type influxSink struct {
	runner  measure.Runner
	parts   int // how many runners there are; 0 when k6 was not told
	warn    func(args ...any)
	dir     string // of the spool
	to      store.Influx
	run     plan.Stream
	stream  *store.Stream
	written measure.RunnerEnd // how much was handed to the stream
}

// newInfluxSink finds out which runner this is: k6-operator gives each a tag
// instance_id.
func newInfluxSink(p output.Params) (*influxSink, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("the name of this host: %w", err)
	}
	s := &influxSink{runner: measure.Runner{Host: host, Number: cmp.Or(p.ScriptOptions.RunTags["instance_id"], host)}, warn: p.Logger.Warn}
	if segment := p.ScriptOptions.ExecutionSegment; segment != nil {
		s.runner.Segment = segment.String()
	}
	if all := p.ScriptOptions.ExecutionSegmentSequence; all != nil {
		s.parts = len(*all)
	}
	return s, nil
}

func (s *influxSink) describe() string { return "InfluxDB" }

// start takes the settings, and tells InfluxDB that this runner is there. One
// whose token or bucket InfluxDB refuses sends no traffic: nobody would hear of
// it. One that InfluxDB does not answer goes on.
func (s *influxSink) start(o *Output) error {
	settings, err := readSettings(os.Getenv(settingsFile))
	if err != nil {
		return err
	}
	if s.to, err = influxFrom(os.LookupEnv); err != nil {
		return err
	}
	settings.Source += "/" + s.runner.Number
	s.run, s.runner.Source = settings.Stream, settings.Source
	if s.dir, err = os.MkdirTemp("", "resilience-spool-"); err != nil {
		return err
	}
	if s.stream, err = store.NewRunnerStream(s.to, s.dir, s.run.Run, s.run.Plan); err != nil {
		return errors.Join(err, os.RemoveAll(s.dir))
	}
	o.session.apply(settings)
	o.session.note(measure.Event{Kind: measure.EventRunner, Attrs: s.began()})
	return s.begin(o.session.take())
}

// began are the attributes of the first event.
func (s *influxSink) began() map[string]string {
	attrs := map[string]string{"runner": s.runner.Number, "host": s.runner.Host, "segment": s.runner.Segment}
	if s.parts > 0 {
		attrs["of"] = strconv.Itoa(s.parts)
	}
	return attrs
}

func (s *influxSink) begin(batch measure.Batch) error {
	ctx, cancel := context.WithTimeout(context.Background(), influxBegin)
	defer cancel()
	misfit, err := s.stream.Begin(ctx, batch)
	if misfit {
		stopped, stop := context.WithCancel(context.Background())
		stop()
		_, _ = s.stream.Close(stopped) // nothing was written
		return errors.Join(err, os.RemoveAll(s.dir))
	}
	if err != nil {
		s.warn("resilience: what is measured waits on disk: ", err)
	}
	s.count(batch)
	return nil
}

func (s *influxSink) count(batch measure.Batch) {
	s.written.Windows += uint64(len(batch.Windows))
	s.written.Events += uint64(len(batch.Events))
}

func (s *influxSink) send(o *Output) { s.append(o.session.takeOver()) }

// append hands a batch to the stream, which counts what it loses of it.
func (s *influxSink) append(batch measure.Batch) {
	s.count(batch)
	if err := s.stream.Append(batch); err != nil {
		s.warn("resilience: something of what was measured is lost: ", err)
	}
}

// close waits until InfluxDB has the rest, and only then says that it was all. An
// end that is not there means that not all is.
func (s *influxSink) close(o *Output, testErr error) error {
	defer func() { _ = os.RemoveAll(s.dir) }() // nobody sends what is left in there
	ctx, cancel := context.WithTimeout(context.Background(), influxEnd)
	defer cancel()
	s.append(o.session.take())
	sent, err := s.stream.Close(ctx)
	if err != nil || sent.Spooled > 0 {
		return errors.Join(fmt.Errorf("InfluxDB does not have all that runner %s measured: %s", s.runner.Number, sent), err)
	}
	return s.end(ctx, o, sent, testErr)
}

// end writes the last event.
func (s *influxSink) end(ctx context.Context, o *Output, sent store.Sent, testErr error) error {
	end := s.written
	end.Runner, end.Lost = s.runner.Number, uint64(sent.Lost)
	switch {
	case testErr != nil:
		end.Reason = o.session.around.Load().said(testErr.Error())
	case sent.Lost > 0:
		end.Reason = o.session.around.Load().said(sent.String())
	}
	end.Complete = testErr == nil && sent.Lost == 0
	o.session.note(measure.Event{Kind: measure.EventRunnerEnd, Attrs: end.Attrs()})
	stream, err := store.NewRunnerStream(s.to, s.dir, s.run.Run, s.run.Plan)
	if err != nil {
		return err
	}
	err = stream.Append(o.session.take())
	last, closeErr := stream.Close(ctx)
	if !last.Complete() {
		err = errors.Join(err, fmt.Errorf("InfluxDB does not know that runner %s ended: %s", s.runner.Number, last))
	}
	return errors.Join(err, closeErr)
}

// readSettings reads what the harness would say over a socket. They carry
// credentials, of which no error tells.
func readSettings(path string) (settings plan.Settings, err error) {
	if path == "" {
		return settings, errors.New("the output resilience=influx needs the settings of the test: name their file in " + settingsFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return settings, fmt.Errorf("%s: %w", settingsFile, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&settings) != nil {
		return settings, fmt.Errorf("%s: %s are no settings of this version: give all runners the image of the version that distributes them", settingsFile, path)
	}
	for name, value := range map[string]string{"Source": settings.Source, "Stream.Run": settings.Stream.Run, "Stream.Test.Name": settings.Stream.Test.Name} {
		if value == "" {
			return settings, fmt.Errorf("%s: %s lacks %s", settingsFile, path, name)
		}
	}
	return settings, nil
}

// influxFrom is the InfluxDB of the environment.
func influxFrom(getenv func(string) (string, bool)) (to store.Influx, err error) {
	for name, into := range map[string]*string{"INFLUX_URL": &to.URL, "INFLUX_ORG": &to.Org, "INFLUX_BUCKET": &to.Bucket} {
		*into, _ = getenv(name)
	}
	if to.Token, to.Insecure, err = plan.InfluxAccess(getenv); err != nil {
		return to, err
	}
	if to.URL == "" {
		return to, errors.New("the output resilience=influx needs an InfluxDB: set INFLUX_URL, INFLUX_TOKEN or INFLUX_TOKEN_FILE, INFLUX_ORG and INFLUX_BUCKET")
	}
	return to, to.Validate()
}

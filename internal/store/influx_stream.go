package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/influxdata/influxdb-client-go/v2/api/write"

	"resilience/gates"
	"resilience/internal/measure"
)

// spoolLimit is the most that a spool holds on disk, in bytes.
const spoolLimit = 1 << 30

// linesLimit is the size of lines, in bytes, at which a batch is cut.
const linesLimit = 256 << 10

// Stream writes a run to InfluxDB as it goes on. What is appended is put into a
// spool on disk and sent from there, by a goroutine that tries again until it
// was acknowledged: memory stays bounded, and neither an outage of InfluxDB nor
// a kill loses or doubles anything. Points that are sent twice are the same
// points. It is safe for concurrent use.
type Stream struct {
	run    gates.Run
	spool  *spool
	writer *influxWriter

	cancel  context.CancelFunc // ends sending at once
	closing chan struct{}      // closed: end when the spool is empty
	done    chan struct{}      // closed: sending has ended
	once    sync.Once

	mu   sync.Mutex
	sent Sent
}

// Sent is what became of the points of a stream.
type Sent struct {
	Written int64  // acknowledged by InfluxDB
	Spooled int64  // on disk still
	Lost    int64  // neither: refused by InfluxDB, or no room in the spool or on the disk
	Reason  string // the last thing that kept points waiting; "" when nothing did
	Loss    string // the last thing that points were lost to; "" when none were
}

// Complete reports whether all is in InfluxDB.
func (s Sent) Complete() bool { return s.Spooled == 0 && s.Lost == 0 }

// String says it in a line.
func (s Sent) String() string {
	text := fmt.Sprintf("%d points written", s.Written)
	if s.Lost > 0 {
		text += fmt.Sprintf(", %d lost (%s)", s.Lost, s.Loss)
	}
	if s.Spooled > 0 {
		text += fmt.Sprintf(", %d wait on disk", s.Spooled)
		if s.Reason != "" {
			text += ": " + s.Reason
		}
	}
	return text
}

// NewStream begins to write a run to InfluxDB, by way of a spool in the folder
// dir; what an earlier process left there is sent first. A folder that another
// process uses is an error, and so is an Influx that is not valid.
func NewStream(to Influx, dir string, run gates.Run) (*Stream, error) {
	return newStream(to, dir, run, spoolLimit)
}

// NewRunnerStream is NewStream for a process that writes its part of a run, of
// which it knows the id and the name of its plan.
func NewRunnerStream(to Influx, dir, run, plan string) (*Stream, error) {
	return NewStream(to, dir, gates.Run{ID: run, Plan: plan})
}

func newStream(to Influx, dir string, run gates.Run, limit int64) (*Stream, error) {
	if err := to.Validate(); err != nil {
		return nil, err
	}
	spool, err := openSpool(dir, limit)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Stream{run: run, spool: spool, writer: newInfluxWriter(to), cancel: cancel, closing: make(chan struct{}), done: make(chan struct{})}
	go s.send(ctx)
	return s, nil
}

// Check writes the description of the run, to find out before any traffic
// whether InfluxDB takes points. Misfit is set when it will not before the
// token, the bucket or the URL is changed.
func (s *Stream) Check(ctx context.Context) (misfit bool, err error) {
	points, err := s.describe()
	if err != nil {
		return false, err
	}
	return s.try(ctx, points)
}

// Begin writes the first windows and events at once, to find out before any
// traffic whether InfluxDB takes them. Misfit is set as for Check; what can not
// be written because InfluxDB does not answer is spooled.
func (s *Stream) Begin(ctx context.Context, batch measure.Batch) (misfit bool, err error) {
	points, err := s.points(batch)
	if err != nil {
		return false, err
	}
	if misfit, err = s.try(ctx, points); misfit {
		return true, err
	}
	if err != nil {
		return false, errors.Join(err, s.put(points))
	}
	s.settle(int64(len(points)), nil)
	return false, nil
}

// points are those of a batch; one that can not be made is an error.
func (s *Stream) points(batch measure.Batch) (points []*write.Point, err error) {
	var errs []error
	add := func(p *write.Point, err error) { points, errs = append(points, p), append(errs, err) }
	for i := range batch.Windows {
		add(windowPoint(s.run, "", &batch.Windows[i]))
	}
	for _, e := range batch.Events {
		add(eventPoint(s.run, "", e))
	}
	return points, errors.Join(errs...)
}

func (s *Stream) try(ctx context.Context, points []*write.Point) (misfit bool, err error) {
	err = s.writer.write(ctx, encode(points))
	var why *refusal
	return errors.As(err, &why) && (why.settings() || why.points()), err
}

// Append puts the windows and events of a batch into the spool; it never waits
// for InfluxDB. Examples of failures stay in the record. An error says what
// is lost; it is counted too.
func (s *Stream) Append(batch measure.Batch) error { return s.append("", batch.Windows, batch.Events) }

func (s *Stream) append(origin string, windows []measure.Window, events []measure.Event) error {
	l := lines{of: s}
	for i := range windows {
		p, err := windowPoint(s.run, origin, &windows[i])
		l.add(p, err)
	}
	for _, e := range events {
		p, err := eventPoint(s.run, origin, e)
		l.add(p, err)
	}
	return l.end()
}

// Verdict writes a verdict and its checks; at, in Unix nanoseconds, is when the
// phase was over.
func (s *Stream) Verdict(v gates.Verdict, at int64) error { return s.put(verdictPoints(s.run, v, at)) }

// put spools points.
func (s *Stream) put(points []*write.Point) error {
	l := lines{of: s}
	for _, p := range points {
		l.add(p, nil)
	}
	return l.end()
}

// lines are points on their way into the spool: they are encoded one by one, so
// that few live at a time, and go there in batches.
type lines struct {
	of     *Stream
	text   strings.Builder
	points int64
	errs   []error
}

// add takes a point, unless there is a reason that it could not be made.
func (l *lines) add(p *write.Point, err error) {
	if err != nil {
		l.lost(1, err)
		return
	}
	write.PointToLineProtocolBuffer(p, &l.text, time.Nanosecond)
	if l.points++; l.text.Len() >= linesLimit {
		l.flush()
	}
}

func (l *lines) flush() {
	if l.points > 0 {
		if err := l.of.spool.append([]byte(l.text.String()), l.points); err != nil {
			l.lost(l.points, err)
		}
	}
	l.text.Reset()
	l.points = 0
}

func (l *lines) lost(points int64, why error) {
	l.of.lose(points, why)
	l.errs = append(l.errs, why)
}

// end spools what is left, and gives what was lost.
func (l *lines) end() error {
	l.flush()
	return errors.Join(l.errs...)
}

func encode(points []*write.Point) (lines []byte) {
	for _, p := range points {
		lines = append(lines, write.PointToLineProtocol(p, time.Nanosecond)...)
	}
	return lines
}

func (s *Stream) lose(points int64, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent.Lost += points
	s.sent.Loss = why.Error()
}

// Close waits until all was sent, or until the context ends, and tells what
// became of it. What is spooled stays there for the next stream.
func (s *Stream) Close(ctx context.Context) (Sent, error) {
	var err error
	s.once.Do(func() {
		close(s.closing)
		select {
		case <-s.done:
		case <-ctx.Done():
		}
		s.cancel()
		<-s.done
		s.writer.close()
		err = s.spool.close()
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent.Spooled = s.spool.waiting()
	return s.sent, err
}

// send sends segment after segment until the stream is closed and the spool
// empty, or the context ends.
func (s *Stream) send(ctx context.Context) {
	defer close(s.done)
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // spreads attempts
	for ctx.Err() == nil {
		next, batches, damaged, ok, err := s.spool.oldest()
		switch {
		case err != nil:
			s.lose(next.points, fmt.Errorf("spool: %w", err))
			ok = s.spool.remove(next) == nil
		case ok:
			ok = s.segment(ctx, next, batches, damaged, random)
		case s.isClosing():
			return
		default:
			ok = s.wait(ctx)
		}
		if !ok {
			return
		}
	}
}

func (s *Stream) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// wait waits until there may be something to send.
func (s *Stream) wait(ctx context.Context) bool {
	select {
	case <-s.spool.more:
	case <-s.closing:
	case <-ctx.Done():
		return false
	}
	return true
}

// segment sends one, as often as it takes. It gives false when no more can be
// sent.
func (s *Stream) segment(ctx context.Context, next segment, b batches, damaged int, random *rand.Rand) bool {
	if damaged > 0 {
		s.lose(max(next.points-b.points, 1), fmt.Errorf("%d bytes of the spool are damaged", damaged))
	}
	if len(b.lines) > 0 {
		refused, ok := s.deliver(ctx, b.lines, random)
		if !ok {
			return false
		}
		s.settle(b.points, refused)
	}
	if err := s.spool.remove(next); err != nil {
		s.failed(err)
		return false // it would be sent again and again
	}
	return true
}

// deliver sends lines until they are acknowledged, or refused for what they are.
// Ok is false when no more can be sent.
func (s *Stream) deliver(ctx context.Context, lines []byte, random *rand.Rand) (refused *refusal, ok bool) {
	for attempt := 0; ; attempt++ {
		var why *refusal
		err := s.writer.write(ctx, lines)
		switch {
		case ctx.Err() != nil:
			return nil, false
		case !errors.As(err, &why):
			return nil, true
		case why.points():
			return why, true
		}
		s.failed(why)
		if why.settings() && s.isClosing() {
			return nil, false // nobody will change them in the seconds that are left
		}
		if !s.rest(ctx, backoff(attempt, why.after, random), why.after > 0) {
			return nil, false
		}
	}
}

func (s *Stream) failed(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent.Reason = why.Error()
}

// settle counts points as written, or as lost if they were refused.
func (s *Stream) settle(points int64, refused *refusal) {
	if refused != nil {
		s.lose(points, refused)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent.Written += points
}

// rest waits before the next attempt. That the stream is being closed ends it,
// because little time is left then, unless InfluxDB asked to wait.
func (s *Stream) rest(ctx context.Context, d time.Duration, asked bool) bool {
	closing := s.closing
	if asked || s.isClosing() {
		closing = nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-closing:
	case <-ctx.Done():
		return false
	}
	return true
}

package canary

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// heldState is a State in memory that can break.
type heldState struct {
	State
	mu        sync.Mutex
	documents map[string][]byte
	broken    error
}

func newHeldState() *heldState { return &heldState{documents: map[string][]byte{}} }

func (s *heldState) Documents(prefix string) (map[string][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string][]byte{}
	for name, body := range s.documents {
		if strings.HasPrefix(name, prefix) {
			found[name] = slices.Clone(body)
		}
	}
	return found, s.broken
}

func (s *heldState) Commit(_ []measure.Attempt, documents map[string][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	for name, body := range documents {
		if s.documents[name] = body; body == nil {
			delete(s.documents, name)
		}
	}
	return nil
}

func (s *heldState) breaks(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
}

func (s *heldState) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.documents))
}

// put commits notices, and their incidents.
func (s *heldState) put(t *testing.T, notices ...Notice) {
	t.Helper()
	for _, n := range notices {
		name, body, err := NoticeDocument(n)
		require.NoError(t, err)
		incident, err := json.Marshal(n.Incident)
		require.NoError(t, err)
		require.NoError(t, s.Commit(nil, map[string][]byte{name: body, incidentPrefix + n.Incident.ID: incident}))
	}
}

// far is what is at the other end: it says when it was asked what, and answers as
// it is told to.
type far struct {
	begun  time.Time
	answer func(count int, at time.Duration) (status int, header http.Header, err error)

	mu    sync.Mutex
	asked []asked
}

type asked struct {
	at   time.Duration
	body string
}

func (f *far) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.asked = append(f.asked, asked{time.Since(f.begun), string(body)})
	count, at := len(f.asked), time.Since(f.begun)
	f.mu.Unlock()
	status, header, err := http.StatusOK, http.Header(nil), error(nil)
	if f.answer != nil {
		status, header, err = f.answer(count, at)
	}
	if status == 0 { // hangs
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader("")), Request: req}, nil
}

func (f *far) bodies() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, a := range f.asked {
		all = append(all, a.body)
	}
	return all
}

func (f *far) times() []float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []float64
	for _, a := range f.asked {
		all = append(all, a.at.Seconds())
	}
	return all
}

func status(code int) func(int, time.Duration) (int, http.Header, error) {
	return func(int, time.Duration) (int, http.Header, error) { return code, nil, nil }
}

// office is a mailer on virtual time, whose receivers are webhooks that are told
// kind and incident, and an Alertmanager; waits have no jitter.
type office struct {
	*Mailer
	state *heldState
	stop  func()

	mu   sync.Mutex
	told []string // what was handed over
	said []string // warnings
}

func (o *office) handed() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.told)
}

func (o *office) warnings() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.said)
}

func open(t *testing.T, state *heldState, ends map[string]*far) *office {
	t.Helper()
	o := &office{state: state}
	receivers := map[string]plan.Receiver{}
	for name := range ends {
		receivers[name] = plan.Receiver{Webhook: &plan.Webhook{URL: "http://" + name + ".test/", Body: "{{.Kind}} {{.Incident.Rule}} {{.Key}}"}}
		if name == "am" {
			receivers[name] = plan.Receiver{Alertmanager: &plan.Alertmanager{URL: "http://am.test"}}
		}
	}
	var err error
	o.Mailer, err = NewMailer(state, receivers, "", func(n Notice, at int64) {
		o.mu.Lock()
		defer o.mu.Unlock()
		require.Equal(t, time.Now().UnixNano(), at)
		o.told = append(o.told, n.ID)
	}, func(text string) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.said = append(o.said, text)
	})
	require.NoError(t, err)
	o.jitter = func(most time.Duration) time.Duration { return most }
	for name, end := range ends {
		end.begun = time.Now()
		o.boxes[name].to.http.Transport = end
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		o.Run(ctx)
	}()
	o.stop = func() {
		cancel()
		<-ended
	}
	synctest.Wait() // until it has read the state: what is put there next is read together, when it is woken
	return o
}

// of makes a notice of an incident of a rule, for a receiver.
func of(rule, kind, receiver string) Notice {
	n := aNotice(kind)
	n.Receiver = receiver
	n.Incident.Rule = rule
	n.Incident.ID = "20260102T150405Z-" + rule
	n.Key = "shop/" + n.Incident.ID
	n.ID = n.Incident.ID + "-" + kind + "-" + receiver
	return n
}

func TestDeliversOnceInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := &far{}
		o := open(t, newHeldState(), map[string]*far{"ops": end})
		defer o.stop()
		o.state.put(t, of("a", Closed, "ops"), of("a", Acknowledged, "ops"), of("a", Opened, "ops"))
		o.Wake()
		o.Wake()
		synctest.Wait()
		key := " a shop/20260102T150405Z-a"
		require.Equal(t, []string{"opened" + key, "acknowledged" + key, "closed" + key}, end.bodies())
		require.Equal(t, []string{"incident/20260102T150405Z-a"}, o.state.names())
		require.Equal(t, []ReceiverStatus{{Receiver: "ops", Delivered: 3}}, o.Receivers())
		require.Len(t, o.handed(), 3)
		require.Empty(t, o.warnings())
	})
}

// TestWaitsLonger doubles its waits up to five minutes, and keeps what it could
// not deliver.
func TestWaitsLonger(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(count int, at time.Duration) (int, http.Header, error)
		times  []float64
		error  string
	}{
		"500": {status(500), []float64{0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811}, "answers 500"},
		"408": {status(408), []float64{0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811}, "answers 408"},
		"refused": {func(int, time.Duration) (int, http.Header, error) {
			return 1, nil, errors.New("connection refused")
		}, []float64{0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811}, "can not be reached: connection refused"},
		"hangs": {status(0), []float64{0, 11, 23, 37, 55, 81, 123, 197, 335, 601, 911}, "can not be reached: no answer within 10s"},
		"429": {func(int, time.Duration) (int, http.Header, error) {
			return 429, http.Header{"Retry-After": {"100"}}, nil
		}, []float64{0, 101, 203, 307, 415, 531, 663, 827}, "answers 429"},
		"far off": {func(int, time.Duration) (int, http.Header, error) {
			return 503, http.Header{"Retry-After": {"99999999"}}, nil
		}, []float64{0}, "answers 503"},
		"404":      {status(404), []float64{0, 900}, "answers 404"},
		"400":      {status(400), []float64{0, 900}, "answers 400"},
		"redirect": {status(302), []float64{0, 900}, "answers 302, a redirect, which is not followed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				end := &far{answer: c.answer}
				o := open(t, newHeldState(), map[string]*far{"ops": end})
				defer o.stop()
				n := of("a", Opened, "ops")
				o.state.put(t, n)
				o.Wake()
				time.Sleep(925 * time.Second)
				synctest.Wait()
				require.Equal(t, c.times, end.times())
				got := o.Receivers()[0]
				require.Equal(t, ReceiverStatus{Receiver: "ops", Failed: uint64(len(c.times)), Waiting: 1, Oldest: n.At, Error: c.error}, got)
				require.Empty(t, o.handed())
				require.NotEmpty(t, o.warnings())
				require.Contains(t, o.warnings()[0], c.error)
				var mail Mail
				require.NoError(t, json.Unmarshal(o.state.documents["notice/"+n.ID], &mail))
				require.Equal(t, n, mail.Notice)
				require.Equal(t, len(c.times), mail.Attempts)
				require.Greater(t, mail.Next, time.Now().UnixNano())
				require.Equal(t, c.error, mail.Error)
			})
		})
	}
}

// TestComesBack delivers, in order, all that had to wait, and is then as good as
// new.
func TestComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := &far{answer: func(_ int, at time.Duration) (int, http.Header, error) {
			if at < 10*time.Second || at > 100*time.Second && at < 102*time.Second {
				return 503, nil, nil
			}
			return 200, nil, nil
		}}
		o := open(t, newHeldState(), map[string]*far{"ops": end})
		defer o.stop()
		o.state.put(t, of("a", Opened, "ops"), of("a", Closed, "ops"), of("b", Opened, "ops"))
		o.Wake()
		time.Sleep(101 * time.Second)
		require.Equal(t, []float64{0, 1, 3, 7, 15, 15, 15}, end.times())
		require.Equal(t, "opened a", end.bodies()[4][:8])
		require.Equal(t, []string{"closed a", "opened b"}, slices.Sorted(slices.Values([]string{end.bodies()[5][:8], end.bodies()[6][:8]})))
		require.Equal(t, ReceiverStatus{Receiver: "ops", Delivered: 3, Failed: 4}, o.Receivers()[0])
		o.state.put(t, of("c", Opened, "ops"))
		o.Wake()
		time.Sleep(time.Minute)
		require.Equal(t, []float64{101, 102}, end.times()[7:], "waits begin anew")
	})
}

// TestNewNoticeIsTriedAtOnce though another is kept for a quarter of an hour, and
// takes that along when the receiver was mended; one that asked for a pause gets it.
func TestNewNoticeIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := &far{answer: func(count int, _ time.Duration) (int, http.Header, error) {
			if count == 1 {
				return 404, nil, nil
			}
			return 200, nil, nil
		}}
		busy := &far{answer: func(count int, _ time.Duration) (int, http.Header, error) {
			return 429, http.Header{"Retry-After": {"1000"}}, nil
		}}
		o := open(t, newHeldState(), map[string]*far{"gone": gone, "busy": busy})
		defer o.stop()
		o.state.put(t, of("a", Opened, "gone"), of("a", Opened, "busy"))
		o.Wake()
		time.Sleep(time.Minute)
		o.state.put(t, of("b", Opened, "gone"), of("b", Opened, "busy"))
		o.Wake()
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		require.Equal(t, []float64{0, 60, 900}, gone.times())
		require.Equal(t, []float64{0}, busy.times())
	})
}

// TestOneRefusedNotice does not hold up others of its receiver, but what comes
// after it in its incident.
func TestOneRefusedNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := &far{answer: func(count int, _ time.Duration) (int, http.Header, error) {
			if count == 1 {
				return 400, nil, nil
			}
			return 200, nil, nil
		}}
		o := open(t, newHeldState(), map[string]*far{"ops": end})
		defer o.stop()
		o.state.put(t, of("a", Opened, "ops"), of("a", Closed, "ops"), of("b", Opened, "ops"))
		o.Wake()
		synctest.Wait()
		require.Len(t, end.bodies(), 2)
		require.Contains(t, end.bodies()[1], "opened b")
		require.Equal(t, "answers 400", o.Receivers()[0].Error, "that one got through is no reason to hide it")
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		require.Contains(t, end.bodies()[2], "opened a")
		require.Contains(t, end.bodies()[3], "closed a")
		require.Empty(t, o.Receivers()[0].Error)
	})
}

func TestSlowReceiverHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, quick := &far{answer: status(0)}, &far{}
		o := open(t, newHeldState(), map[string]*far{"slow": slow, "quick": quick})
		for _, rule := range []string{"a", "b", "c"} {
			o.state.put(t, of(rule, Opened, "slow"), of(rule, Opened, "quick"))
		}
		o.Wake()
		synctest.Wait()
		require.Equal(t, []float64{0, 0, 0}, quick.times())
		begun := time.Now()
		o.stop()
		require.Equal(t, lastMoment, time.Since(begun), "what is under way gets a moment")
		require.Equal(t, ReceiverStatus{Receiver: "slow", Waiting: 3, Oldest: of("a", Opened, "slow").At}, o.Receivers()[1])
	})
}

func TestPointlessReminders(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*Incident)
		pending string
		dropped uint64
	}{
		"open":                 {func(*Incident) {}, "", 0},
		"acknowledged":         {func(i *Incident) { i.Acked = i.Detected + 1 }, "", 1},
		"closed":               {func(i *Incident) { i.Closed = i.Detected + 1 }, "", 1},
		"about to be told":     {func(*Incident) {}, Closed, 1},
		"another was, not its": {func(i *Incident) { i.ID += "-too"; i.Closed = 1 }, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				end := &far{}
				state := newHeldState()
				reminder := of("a", Reminder, "ops")
				state.put(t, reminder)
				now := reminder.Incident
				c.change(&now)
				body, err := json.Marshal(now)
				require.NoError(t, err)
				require.NoError(t, state.Commit(nil, map[string][]byte{incidentPrefix + now.ID: body}))
				if c.pending != "" {
					state.put(t, of("a", c.pending, "ops"))
				}
				o := open(t, state, map[string]*far{"ops": end})
				defer o.stop()
				synctest.Wait()
				require.Equal(t, c.dropped, o.Receivers()[0].Dropped)
				require.Equal(t, c.dropped == 0, strings.Contains(strings.Join(end.bodies(), "\n"), Reminder))
				require.Zero(t, o.Receivers()[0].Waiting)
			})
		})
	}
}

// TestEndsBetweenDeliveryAndRemoval delivers again with the same key.
func TestEndsBetweenDeliveryAndRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := newHeldState()
		first := &far{answer: func(int, time.Duration) (int, http.Header, error) {
			state.breaks(errors.New("disk full"))
			return 200, nil, nil
		}}
		state.put(t, of("a", Opened, "ops"), of("b", Opened, "ops"))
		o := open(t, state, map[string]*far{"ops": {answer: status(503)}})
		synctest.Wait()
		o.stop()

		o = open(t, state, map[string]*far{"ops": first})
		time.Sleep(time.Hour)
		require.Len(t, first.bodies(), 1, "nothing is sent while it can not be noted")
		require.Contains(t, o.warnings()[0], "disk full")
		o.stop()
		require.Len(t, state.names(), 4)
		state.breaks(nil)

		again := &far{}
		o = open(t, state, map[string]*far{"ops": again})
		synctest.Wait()
		o.stop()
		require.Equal(t, "opened a shop/20260102T150405Z-a", first.bodies()[0])
		require.Equal(t, []string{first.bodies()[0], "opened b shop/20260102T150405Z-b"}, again.bodies())
		require.Len(t, state.names(), 2)
	})
}

// TestStateComesBack: what can not be read or written is, later.
func TestStateComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := &far{}
		o := open(t, newHeldState(), map[string]*far{"ops": end})
		defer o.stop()
		o.state.put(t, of("a", Opened, "ops"))
		o.state.breaks(errors.New("busy"))
		o.Wake()
		time.Sleep(1500 * time.Millisecond)
		require.Contains(t, o.warnings(), "notices can not be read: busy")
		o.state.breaks(nil)
		time.Sleep(10 * time.Second)
		require.Len(t, end.bodies(), 1)
		require.Equal(t, []string{"incident/20260102T150405Z-a"}, o.state.names())
	})
}

func TestOddDocuments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := newHeldState()
		state.put(t, of("a", Opened, "gone"), of("a", Opened, "ops"))
		state.documents["notice/torn"] = []byte(`{"notice":`)
		state.documents["notice/other"] = []byte(`{"notice":{"id":"x","receiver":"ops"}}`)
		state.documents["firing/torn"] = []byte(`[]`)
		end := &far{}
		o := open(t, state, map[string]*far{"ops": end})
		defer o.stop()
		o.Wake()
		synctest.Wait()
		o.Wake()
		synctest.Wait()
		require.Len(t, end.bodies(), 1)
		require.Equal(t, []string{"incident/20260102T150405Z-a", "notice/other", "notice/torn"}, state.names())
		require.Equal(t, []string{
			"the document notice/other is no notice, and is left as it is",
			"the document notice/torn is no notice, and is left as it is",
			"the notice 20260102T150405Z-a-opened-gone is dropped: the plan has no receiver gone any more",
		}, slices.Sorted(slices.Values(o.warnings())))
	})
}

// TestAlertmanagerHearsEachMinute of what is open, also from the next daemon, and
// of what was closed without a notice that it is over.
func TestAlertmanagerHearsEachMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := newHeldState()
		end := &far{}
		o := open(t, state, map[string]*far{"am": end})
		state.put(t, of("a", Opened, "am"), of("b", Opened, "am"))
		o.Wake()
		time.Sleep(150 * time.Second)
		require.Equal(t, []float64{0, 0, 60, 120}, end.times())
		require.Equal(t, 2, strings.Count(end.bodies()[2], "startsAt"), "both at once")
		require.Equal(t, uint64(2), o.Receivers()[0].Delivered)
		state.put(t, of("a", Closed, "am"))
		o.Wake()
		time.Sleep(100 * time.Second)
		require.Equal(t, []float64{150, 180, 240}, end.times()[4:])
		require.Equal(t, 1, strings.Count(end.bodies()[5], "startsAt"))
		o.stop()
		require.Equal(t, []string{"firing/am/20260102T150405Z-b", "incident/20260102T150405Z-a", "incident/20260102T150405Z-b"}, state.names())

		next := &far{answer: func(count int, _ time.Duration) (int, http.Header, error) {
			if count == 1 {
				return 502, nil, nil
			}
			return 200, nil, nil
		}}
		o = open(t, state, map[string]*far{"am": next})
		time.Sleep(65 * time.Second)
		require.Equal(t, []float64{0, 1, 61}, next.times())
		closed := of("b", Closed, "am").Incident
		body, err := json.Marshal(closed)
		require.NoError(t, err)
		require.NoError(t, state.Commit(nil, map[string][]byte{incidentPrefix + closed.ID: body}))
		time.Sleep(time.Hour)
		require.Equal(t, []float64{121}, next.times()[3:])
		var alerts []alert
		require.NoError(t, json.Unmarshal([]byte(next.bodies()[3]), &alerts))
		require.Equal(t, rfc3339(next.begun.Add(121*time.Second)), alerts[0].EndsAt)
		require.Zero(t, o.Receivers()[0].Delivered)
		o.stop()
		require.NotContains(t, state.names(), "firing/am/20260102T150405Z-b")
	})
}

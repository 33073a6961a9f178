package canary

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"resilience/internal/plan"
)

// Names of the documents that the mailer lives by. Notices are put there by
// whoever has something to say; what fires is the mailer's own.
const (
	noticePrefix   = "notice/"   // ID: a [Mail]
	firingPrefix   = "firing/"   // receiver/incident: the last [Notice] of one that has to be said again and again
	incidentPrefix = "incident/" // ID: an [Incident], which the mailer only reads
)

// Mail is a notice that a receiver does not have yet.
type Mail struct {
	Notice   Notice `json:"notice"`
	Attempts int    `json:"attempts"`        // so many failed
	Next     int64  `json:"next"`            // when it is tried again
	Error    string `json:"error,omitempty"` // why the last one failed, without secrets
}

// NoticeDocument is what has to be committed to a [State] for a notice to be
// delivered: together with what it is about, and before [Mailer.Wake].
func NoticeDocument(n Notice) (name string, body []byte, err error) {
	body, err = json.Marshal(Mail{Notice: n})
	return noticePrefix + n.ID, body, err
}

// Mailer delivers the notices that a State holds, at least once each: a notice is
// removed only after its receiver said that it has it. What was not delivered when
// the daemon ended is delivered by the next. A receiver is told of an incident in
// the order in which things happened; receivers do not wait for one another.
//
// What fails is tried again after 1 s, doubled up to 5 min, with jitter, or when
// the receiver says (Retry-After). What a receiver refuses for good, such as an
// unknown key, is kept, shown by [Mailer.Receivers] and tried again each 15 min,
// for a human may mend it there; a restart tries all at once. Only reminders
// of what was acknowledged or closed meanwhile are dropped.
type Mailer struct {
	state     State
	delivered func(n Notice, at int64)
	warn      func(text string)
	jitter    func(most time.Duration) time.Duration
	wake      chan struct{}

	mu       sync.Mutex // over what boxes hold, and over reading and removing notices, so that none that was removed comes back
	boxes    map[string]*box
	odd      map[string]bool // documents that were warned of
	recalled bool            // what the daemon before said again and again
}

// NewMailer makes a mailer for the receivers of a plan, with their secrets
// filled in; dir is where their files are looked for. delivered is called after
// each delivery, before the notice is removed, from any goroutine; warn is told
// what a human should see, without secrets.
func NewMailer(state State, receivers map[string]plan.Receiver, dir string, delivered func(n Notice, at int64), warn func(text string)) (*Mailer, error) {
	m := &Mailer{
		state: state, delivered: delivered, warn: warn,
		jitter: func(most time.Duration) time.Duration { return rand.N(most + 1) },
		wake:   make(chan struct{}, 1), boxes: map[string]*box{}, odd: map[string]bool{},
	}
	for name, r := range receivers {
		to, err := newPost(r, dir)
		if err != nil {
			return nil, fmt.Errorf("receiver %s: %w", name, err)
		}
		m.boxes[name] = newBox(name, to)
	}
	return m, nil
}

// Wake says that there are new notices in the state. It never blocks.
func (m *Mailer) Wake() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run delivers until the context ends. What is under way then gets a moment to
// end; all else stays in the state.
func (m *Mailer) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for _, b := range m.boxes {
		workers.Go(func() { m.work(ctx, b) })
	}
	for failures := 0; ctx.Err() == nil; {
		retry := time.Duration(1<<63 - 1)
		if err := m.read(); err != nil {
			failures++
			retry = (&refusal{}).wait(failures, m.jitter)
			m.warn("notices can not be read: " + err.Error())
		} else {
			failures = 0
		}
		timer := time.NewTimer(retry)
		select {
		case <-ctx.Done():
		case <-m.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	workers.Wait()
}

// read puts notices of the state that are new into the boxes of their receivers.
func (m *Mailer) read() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.recall(); err != nil {
		return err
	}
	documents, err := m.state.Documents(noticePrefix)
	if err != nil {
		return err
	}
	gone := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		var mail Mail
		if err := json.Unmarshal(documents[name], &mail); err != nil || noticePrefix+mail.Notice.ID != name {
			m.warnOnce(name, "the document "+name+" is no notice, and is left as it is")
			continue
		}
		if b, known := m.boxes[mail.Notice.Receiver]; known {
			b.add(name, mail)
			continue
		}
		gone[name] = nil
		m.warn(fmt.Sprintf("the notice %s is dropped: the plan has no receiver %s any more", mail.Notice.ID, mail.Notice.Receiver))
	}
	if len(gone) > 0 {
		return m.state.Commit(nil, gone)
	}
	return nil
}

func (m *Mailer) warnOnce(about, text string) {
	if !m.odd[about] {
		m.odd[about] = true
		m.warn(text)
	}
}

// recall reads, once, what the daemon before said again and again, and forgets
// that of receivers that are gone.
func (m *Mailer) recall() error {
	if m.recalled {
		return nil
	}
	documents, err := m.state.Documents(firingPrefix)
	if err != nil {
		return err
	}
	gone := map[string][]byte{}
	for name, body := range documents {
		var n Notice
		b := (*box)(nil)
		if json.Unmarshal(body, &n) == nil && firingName(n) == name {
			b = m.boxes[n.Receiver]
		}
		if b == nil || b.repeats() == nil {
			gone[name] = nil
			continue
		}
		b.firing[n.Incident.ID] = n
		b.nudge()
	}
	if len(gone) > 0 {
		err = m.state.Commit(nil, gone)
	}
	m.recalled = err == nil
	return err
}

func firingName(n Notice) string { return firingPrefix + n.Receiver + "/" + n.Incident.ID }

// incident reads what is known of an incident now.
func (m *Mailer) incident(id string) (i Incident, ok bool, err error) {
	documents, err := m.state.Documents(incidentPrefix + id)
	if err != nil {
		return i, false, err
	}
	body, ok := documents[incidentPrefix+id]
	if !ok {
		return i, false, nil
	}
	err = json.Unmarshal(body, &i)
	return i, err == nil, err
}

// ReceiverStatus is how deliveries to a receiver go.
type ReceiverStatus struct {
	Receiver  string `json:"receiver"`
	Delivered uint64 `json:"delivered"`        // notices, since the daemon began
	Failed    uint64 `json:"failed"`           // tries, alike
	Dropped   uint64 `json:"dropped"`          // reminders that had become pointless, alike
	Waiting   int    `json:"waiting"`          // notices
	Oldest    int64  `json:"oldest,omitempty"` // when the oldest of them was made; 0 when none waits
	Error     string `json:"error,omitempty"`  // why the last try failed, without secrets; "" when it did not
}

// Receivers tells how deliveries go, sorted by receiver.
func (m *Mailer) Receivers() []ReceiverStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []ReceiverStatus
	for _, b := range m.boxes {
		s := b.status
		s.Waiting = len(b.waiting)
		for _, mail := range b.waiting {
			if s.Oldest == 0 || mail.Notice.At < s.Oldest {
				s.Oldest = mail.Notice.At
			}
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b ReceiverStatus) int { return cmp.Compare(a.Receiver, b.Receiver) })
	return all
}

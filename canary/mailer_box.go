package canary

import (
	"cmp"
	"slices"
	"time"
)

// kept is a notice that waits in a box.
type kept struct {
	Mail
	due time.Time // Next, unless the clock is set
}

// box holds what one receiver has to be told. The mailer's mutex guards it.
type box struct {
	to       *post
	status   ReceiverStatus
	wake     chan struct{}
	waiting  map[string]*kept  // by the name of its document
	firing   map[string]Notice // by incident: what has to be said again
	again    time.Time         // when it is
	failures int               // of the receiver, one after the other
	pause    time.Time         // nothing is sent before
	asked    bool              // the receiver itself asked for that pause, so that new notices wait, too
}

func newBox(name string, to *post) *box {
	return &box{
		to: to, status: ReceiverStatus{Receiver: name}, wake: make(chan struct{}, 1),
		waiting: map[string]*kept{}, firing: map[string]Notice{},
	}
}

// repeats is the receiver, if it forgets what is open; else nil.
func (b *box) repeats() repeater {
	r, _ := b.to.receiver.(repeater)
	return r
}

// add takes in a notice that is new. It is tried at once: what failed for good may
// have been mended, and whoever waits for a page should not wait for a pause of
// another's making.
func (b *box) add(name string, mail Mail) {
	if b.waiting[name] != nil {
		return
	}
	b.waiting[name] = &kept{Mail: mail}
	if !b.asked {
		b.pause = time.Time{}
	}
	b.nudge()
}

// nudge says that there is something to do.
func (b *box) nudge() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// errand is what to do next: deliver a notice, or say again what fires.
type errand struct {
	name string
	mail Mail
	fire []Notice
}

// next gives what is due, or how long to wait for it.
func (b *box) next(now time.Time) (*errand, time.Duration) {
	const forever = 24 * time.Hour // until woken
	if wait := b.pause.Sub(now); wait > 0 {
		return nil, wait
	}
	wait := time.Duration(forever)
	for _, name := range b.heads() {
		mail := b.waiting[name]
		due := mail.due.Sub(now)
		if due <= 0 {
			return &errand{name: name, mail: mail.Mail}, 0
		}
		wait = min(wait, due)
	}
	if len(b.firing) == 0 {
		return nil, wait
	}
	if due := b.again.Sub(now); due > 0 {
		return nil, min(wait, due)
	}
	e := &errand{}
	for _, n := range b.firing {
		e.fire = append(e.fire, n)
	}
	slices.SortFunc(e.fire, func(x, y Notice) int { return cmp.Compare(x.Incident.ID, y.Incident.ID) })
	return e, 0
}

// heads gives the first notice of each incident, the oldest first: what comes
// after it waits for it.
func (b *box) heads() []string {
	first := map[string]string{}
	for name, mail := range b.waiting {
		id := mail.Notice.Incident.ID
		if other, ok := first[id]; !ok || before(mail.Notice, b.waiting[other].Notice) < 0 {
			first[id] = name
		}
	}
	var heads []string
	for _, name := range first {
		heads = append(heads, name)
	}
	slices.SortFunc(heads, func(x, y string) int { return before(b.waiting[x].Notice, b.waiting[y].Notice) })
	return heads
}

// stages is the order in which things happen to an incident.
var stages = map[string]int{Opened: 0, Reminder: 1, Acknowledged: 1, Closed: 2}

// before orders notices as they are told; those of one incident by what happened,
// should a clock have been set back.
func before(x, y Notice) int {
	if x.Incident.ID == y.Incident.ID {
		return cmp.Or(cmp.Compare(stages[x.Kind], stages[y.Kind]), cmp.Compare(x.At, y.At), cmp.Compare(x.ID, y.ID))
	}
	return cmp.Or(cmp.Compare(x.At, y.At), cmp.Compare(x.ID, y.ID))
}

// over reports whether a notice waits that makes a reminder pointless.
func (b *box) over(incident string) bool {
	for _, mail := range b.waiting {
		kind := mail.Notice.Kind
		if mail.Notice.Incident.ID == incident && (kind == Acknowledged || kind == Closed) {
			return true
		}
	}
	return false
}

// failed notes why a try failed, and when the next one is.
func (b *box) failed(e *errand, why *refusal, now time.Time, jitter func(time.Duration) time.Duration) {
	b.status.Failed++
	b.status.Error = why.says
	mail := b.waiting[e.name]
	if mail != nil {
		mail.Attempts++
		mail.Error = why.says
	}
	if why.ofOne && mail != nil {
		mail.later(now.Add(why.wait(mail.Attempts, jitter)))
		return
	}
	b.failures++
	b.pause, b.asked = now.Add(why.wait(b.failures, jitter)), why.after > 0
	if mail != nil {
		mail.later(b.pause)
	}
}

func (k *kept) later(due time.Time) { k.due, k.Next = due, due.UnixNano() }

// works notes that the receiver takes what it is sent.
func (b *box) works() {
	b.failures, b.pause, b.asked = 0, time.Time{}, false
	b.status.Error = ""
	for _, mail := range b.waiting {
		if mail.Error != "" {
			b.status.Error = mail.Error // of one that it refused
		}
	}
}

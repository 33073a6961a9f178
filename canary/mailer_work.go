package canary

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// lastMoment is how long a delivery that is under way when the mailer has to end
// may still take.
const lastMoment = 3 * time.Second

// work tells one receiver what it has to be told, one thing at a time.
func (m *Mailer) work(ctx context.Context, b *box) {
	defer b.to.http.CloseIdleConnections()
	for ctx.Err() == nil {
		m.mu.Lock()
		e, wait := b.next(time.Now())
		m.mu.Unlock()
		switch {
		case e == nil:
			m.rest(ctx, b, wait)
		case e.fire != nil:
			m.fireAgain(ctx, b, e)
		case m.pointless(b, e.mail.Notice):
			m.removed(ctx, b, e, false)
		default:
			m.deliver(ctx, b, e)
		}
	}
}

// rest waits until something may be due.
func (m *Mailer) rest(ctx context.Context, b *box, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-b.wake:
	case <-timer.C:
	}
}

// deliver sends one notice.
func (m *Mailer) deliver(ctx context.Context, b *box, e *errand) {
	l, err := b.to.request(e.mail.Notice, time.Now())
	if err != nil {
		err = &refusal{says: b.to.hide.Replace(plain(err.Error())), lasting: true, ofOne: true}
	} else {
		err = m.send(ctx, b, l)
	}
	if err != nil {
		m.failed(ctx, b, e, err)
		return
	}
	m.delivered(e.mail.Notice, time.Now().UnixNano())
	m.removed(ctx, b, e, true)
}

// send posts a letter. One that is under way when the context ends may take a
// moment longer, as it may have been understood already.
func (m *Mailer) send(ctx context.Context, b *box, l letter) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(lastMoment, cancel)
		context.AfterFunc(sending, func() { timer.Stop() })
	})
	defer stop()
	return b.to.send(sending, l)
}

// failed keeps what failed for later, and for whoever looks.
func (m *Mailer) failed(ctx context.Context, b *box, e *errand, err error) {
	var why *refusal
	if !errors.As(err, &why) {
		why = &refusal{says: b.to.hide.Replace(plain(err.Error()))}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return // that it was cut off says nothing
	}
	b.failed(e, why, time.Now(), m.jitter)
	mail := b.waiting[e.name]
	if mail == nil {
		if b.failures == 1 {
			m.warn(fmt.Sprintf("receiver %s: %s; what is open is told again later", b.status.Receiver, why.says))
		}
		return
	}
	if mail.Attempts == 1 || why.lasting {
		m.warn(fmt.Sprintf("receiver %s: %s; the notice %s is tried again", b.status.Receiver, why.says, mail.Notice.ID))
	}
	if body, err := json.Marshal(mail.Mail); err == nil {
		err = m.state.Commit(nil, map[string][]byte{e.name: body})
		if err != nil { // nothing is lost: it only counts anew after a restart
			m.warn("the state can not be written: " + err.Error())
		}
	}
}

// removed takes a notice out of the state and then out of the box. As long as the
// state can not be written it is neither sent again nor is another, so that it is
// told twice only if the daemon ends before. What was not sent is dropped.
func (m *Mailer) removed(ctx context.Context, b *box, e *errand, sent bool) {
	for failures := 1; ; failures++ {
		err := m.remove(b, e, sent)
		if err == nil {
			return
		}
		m.warn(fmt.Sprintf("receiver %s has the notice %s, but the state can not be written: %s", b.status.Receiver, e.mail.Notice.ID, err))
		timer := time.NewTimer((&refusal{}).wait(failures, m.jitter))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

func (m *Mailer) remove(b *box, e *errand, sent bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := e.mail.Notice
	documents := map[string][]byte{e.name: nil}
	fires := sent && b.repeats() != nil
	if fires {
		documents[firingName(n)] = nil
		if n.Kind != Closed {
			body, err := json.Marshal(n)
			if err != nil {
				return err
			}
			documents[firingName(n)] = body
		}
	}
	if err := m.state.Commit(nil, documents); err != nil {
		return err
	}
	delete(b.waiting, e.name)
	if fires {
		b.fires(n)
	}
	if !sent {
		b.status.Dropped++
		return nil
	}
	b.status.Delivered++
	b.works()
	return nil
}

// fires notes what has to be said again from now on, or not any more.
func (b *box) fires(n Notice) {
	if n.Kind == Closed {
		delete(b.firing, n.Incident.ID)
		return
	}
	if len(b.firing) == 0 {
		b.again = time.Now().Add(alertAgain)
	}
	b.firing[n.Incident.ID] = n
}

// pointless reports whether a notice is a reminder of what was acknowledged or
// closed meanwhile. When nobody knows, it is not.
func (m *Mailer) pointless(b *box, n Notice) bool {
	if n.Kind != Reminder {
		return false
	}
	m.mu.Lock()
	over := b.over(n.Incident.ID)
	m.mu.Unlock()
	if over {
		return true
	}
	i, ok, err := m.incident(n.Incident.ID)
	return err == nil && ok && (!i.Open() || i.Acked != 0)
}

// fireAgain says again what fires, all at once, as it is now. What has been closed
// without a notice, because the plan has changed, is said to be over.
func (m *Mailer) fireAgain(ctx context.Context, b *box, e *errand) {
	now := time.Now()
	gone := map[string][]byte{}
	var say []Notice
	for _, n := range e.fire {
		i, ok, err := m.incident(n.Incident.ID)
		if err == nil && !ok {
			gone[firingName(n)] = nil // nobody knows of it
			continue
		}
		if err == nil {
			n.Incident = i
		}
		if !n.Incident.Open() {
			n.Kind, n.At = Closed, n.Incident.Closed
			gone[firingName(n)] = nil
		}
		say = append(say, n)
	}
	if len(say) > 0 {
		l, err := b.to.receiver.(repeater).again(say, now)
		if err == nil {
			err = m.send(ctx, b, l)
		}
		if err != nil {
			m.failed(ctx, b, e, err)
			return
		}
	}
	m.firedAgain(b, now, gone, e.fire)
}

func (m *Mailer) firedAgain(b *box, now time.Time, gone map[string][]byte, fired []Notice) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b.again = now.Add(alertAgain)
	b.works()
	if len(gone) == 0 {
		return
	}
	if err := m.state.Commit(nil, gone); err != nil {
		m.warn("the state can not be written: " + err.Error()) // said once more in a minute
		return
	}
	for _, n := range fired {
		if _, over := gone[firingName(n)]; over {
			delete(b.firing, n.Incident.ID)
		}
	}
}

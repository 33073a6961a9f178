package run

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"mime"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Limits of what is taken from outside.
const (
	maxWebhook    = 1 << 20 // bytes of one POST
	maxAlerts     = 1000    // in one POST
	maxAlertNames = 1000    // different ones in a phase
	maxAlertName  = 200     // bytes
)

// alertsVariable tells services and hooks where to send alerts.
const alertsVariable = "RESILIENCE_ALERTS_URL"

// ear listens for what the world says about the system while a phase runs:
// alerts of its monitoring, and people who acknowledge.
type ear struct {
	c     *Conductor
	phase plan.Phase

	mu     sync.Mutex
	alerts map[string]bool // names heard
}

// hear listens until the phase is over: on the plan's address for alerts, where
// it has one, and on a socket beside the record for acknowledgements.
func (c *Conductor) hear(b *bound, undo *undoing) error {
	e := &ear{c: c, phase: b.phase, alerts: map[string]bool{}}
	b.ear = e
	if c.Socket != "" {
		if err := e.listenSocket(undo); err != nil {
			return c.event(measure.Event{Kind: measure.EventWarning, Phase: b.phase.Name, Name: "ack", Attrs: map[string]string{
				"detail": "resilience ack can not reach this run: " + err.Error(),
			}})
		}
		if err := e.heeds(measure.ListensAcks, nil); err != nil {
			return err
		}
	}
	if c.Plan.Alerts == nil || !c.Plan.Alerts.Sent() {
		return nil
	}
	alerts, err := plan.Bind(*c.Plan.Alerts, b.lookup)
	if err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	at := alerts.Listen
	if at == "" {
		at = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", at)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("alerts: another process listens on %s: stop it, or leave out listen to get a free port", at)
	}
	if err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	b.alerts = "http://" + reachable(l.Addr()) + "/alerts"
	e.serve(l, alerts.Token, undo)
	return e.heeds(measure.ListensAlerts, map[string]string{"url": b.alerts})
}

// reachable is how this machine calls an address that is listened on.
func reachable(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr.String()
}

func (e *ear) listenSocket(undo *undoing) error {
	if err := os.Remove(e.c.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := net.Listen("unix", e.c.Socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(e.c.Socket, 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	e.serve(l, "", undo) // only who may write to the file can call
	return nil
}

// heeds records that something is listened for from now on.
func (e *ear) heeds(what string, attrs map[string]string) error {
	return e.c.event(measure.Event{Kind: measure.EventListening, Phase: e.phase.Name, Name: what, Attrs: attrs})
}

// serve answers until the phase is undone. A token that is not "" is wanted as
// a bearer token.
func (e *ear) serve(l net.Listener, token string, undo *undoing) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /alerts", answer(token, e.alert))
	mux.HandleFunc("POST /ack", answer(token, e.ack))
	server := &http.Server{
		Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0),
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) }) // ends when it is closed
	undo.add(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := server.Shutdown(ctx) // what was taken is recorded first
		if err != nil {
			err = server.Close()
		}
		serving.Wait()
		return err
	})
}

// rejection is why something from outside was not taken.
type rejection struct {
	status int
	text   string
}

func (r *rejection) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &rejection{status, fmt.Sprintf(format, args...)}
}

// answer reads a bounded body, hands it on, and says what came of it: 204 once
// it is in the record.
func answer(token string, take func(body []byte) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := admit(r, token)
		if err == nil {
			var body []byte
			if body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhook)); err == nil {
				err = take(body)
			} else {
				err = refuse(http.StatusRequestEntityTooLarge, "the body can not be read, or is over 1 MiB")
			}
		}
		var no *rejection
		switch {
		case err == nil:
			w.WriteHeader(http.StatusNoContent)
		case errors.As(err, &no):
			http.Error(w, no.text, no.status)
		default:
			http.Error(w, "it could not be recorded", http.StatusInternalServerError)
		}
	}
}

func admit(r *http.Request, token string) error {
	given, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case token != "" && (!bearer || subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1):
		return refuse(http.StatusUnauthorized, "the bearer token of alerts: is wanted")
	case token == "" && ofWebPage(r):
		return refuse(http.StatusForbidden, "this takes nothing from web pages: call it from elsewhere, or set a token of alerts:")
	}
	return nil
}

// ofWebPage reports whether a web page may have made a request: any page that
// somebody looks at on this machine could call what listens there. Browsers
// tell where a request comes from, all of today's; of an older one a page can
// send these types only, unless it is allowed more.
func ofWebPage(r *http.Request) bool {
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		return true
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	simple := err != nil || kind == "text/plain" || kind == "application/x-www-form-urlencoded" || kind == "multipart/form-data"
	return simple && strings.HasPrefix(r.UserAgent(), "Mozilla/")
}

// webhook is what Alertmanager posts (its webhook, version 4), or one alert in
// a form that anything can post.
type webhook struct {
	Receiver string `json:"receiver"`
	Alerts   []struct {
		Status      string            `json:"status"`
		Labels      map[string]string `json:"labels"`
		StartsAt    string            `json:"startsAt"`
		Fingerprint string            `json:"fingerprint"`
	} `json:"alerts"`

	Name  string `json:"name"`
	State string `json:"state"`
	By    string `json:"by"`
	ID    string `json:"id"`
	Since string `json:"since"`
}

// alert records alerts. All of a POST are looked at before any is recorded.
func (e *ear) alert(body []byte) error {
	var w webhook
	if err := json.Unmarshal(body, &w); err != nil {
		return refuse(http.StatusBadRequest, "the body is no JSON that is understood: %v", err)
	}
	var events []measure.Event
	add := func(name, state, by, id, since string) {
		attrs := map[string]string{"state": state, "by": by}
		for key, value := range map[string]string{"id": id, "since": since} {
			if value != "" {
				attrs[key] = value
			}
		}
		events = append(events, measure.Event{Kind: measure.EventAlert, Phase: e.phase.Name, Name: name, Attrs: attrs})
	}
	for _, a := range w.Alerts {
		add(a.Labels["alertname"], a.Status, w.Receiver, a.Fingerprint, a.StartsAt)
	}
	if w.Alerts == nil {
		add(w.Name, w.State, w.By, w.ID, w.Since)
	}
	if len(events) > maxAlerts {
		return refuse(http.StatusRequestEntityTooLarge, "more than %d alerts at a time", maxAlerts)
	}
	for _, one := range events {
		if err := takable(one); err != nil {
			return err
		}
	}
	return e.record(events)
}

// takable refuses alerts that would be no use to anybody.
func takable(e measure.Event) error {
	switch state := e.Attrs["state"]; {
	case e.Name == "":
		return refuse(http.StatusBadRequest, `an alert wants a name: labels.alertname of Alertmanager, or {"name": ..., "state": ...}`)
	case state != "firing" && state != "resolved":
		return refuse(http.StatusBadRequest, "the state of an alert is firing or resolved; got %.40q", state)
	}
	for _, text := range []string{e.Name, e.Attrs["by"], e.Attrs["id"], e.Attrs["since"]} {
		if len(text) > maxAlertName {
			return refuse(http.StatusBadRequest, "a name is longer than %d bytes", maxAlertName)
		}
	}
	return nil
}

func (e *ear) record(events []measure.Event) error {
	if err := e.remember(events); err != nil {
		return err
	}
	for _, one := range events {
		if err := e.c.event(one); err != nil {
			return err
		}
	}
	return nil
}

// remember takes note of the names of alerts, unless they are too many.
func (e *ear) remember(events []measure.Event) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	unknown := map[string]bool{}
	for _, one := range events {
		if !e.alerts[one.Name] {
			unknown[one.Name] = true
		}
	}
	if len(e.alerts)+len(unknown) > maxAlertNames {
		return refuse(http.StatusTooManyRequests, "more than %d different alerts in one phase", maxAlertNames)
	}
	maps.Copy(e.alerts, unknown)
	return nil
}

// ack records that somebody knows: of a disruption, of an alert, or of
// whatever there is.
func (e *ear) ack(body []byte) error {
	var a struct{ Name, By string }
	if err := json.Unmarshal(body, &a); err != nil {
		return refuse(http.StatusBadRequest, `the body is no JSON such as {"name": "", "by": "me"}: %v`, err)
	}
	if len(a.Name) > maxAlertName || len(a.By) > maxAlertName {
		return refuse(http.StatusBadRequest, "a name is longer than %d bytes", maxAlertName)
	}
	if a.Name != "" && !e.knows(a.Name) {
		return refuse(http.StatusNotFound, "phase %s has no disruption, and heard no alert, called %q", e.phase.Name, a.Name)
	}
	return e.c.event(measure.Event{Kind: measure.EventAck, Phase: e.phase.Name, Name: a.Name, Attrs: map[string]string{"by": a.By}})
}

// knows reports whether a name is that of a disruption, of a part of a sweep,
// or of an alert that was heard.
func (e *ear) knows(name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.alerts[name] || slices.Contains(e.phase.DisruptionNames(), name) ||
		slices.ContainsFunc(e.phase.Disruptions, func(d plan.Disruption) bool { return d.Sweep && strings.HasPrefix(name, d.Name+".") })
}

package canary

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"resilience/internal/plan"
)

// Faces is how a canary shows itself: a status page, an API, metrics. Who may see
// and do what is said in docs/status-page.md.
type Faces struct {
	Canary    plan.Canary            // with its placeholders replaced
	State     State                  // history and incidents are read from it
	Status    func() (Status, error) // what is known now; an error says that the daemon does not work as it should
	Ack       func(id, by string) error
	Beat      func(job string) error
	Receivers func() []ReceiverStatus
	Figures   func(from, to int64) (any, error) // what is computed of a span of history, for the API; nil for nothing
	Now       func() time.Time                  // nil for the clock
}

// access is what a route asks of who calls it.
type access int

const (
	anybody access = iota
	reader         // the token, unless the plan lets anybody read
	peer           // a reader, or another location
	writer         // the token
)

// route answers one path: by method.
type route struct {
	path    string
	methods map[string]handling
}

// handling is who may do something, and what is done. An error becomes an answer.
type handling struct {
	access access
	do     func(w http.ResponseWriter, r *http.Request) error
}

// face is a handler at work.
type face struct {
	Faces
	page      *page
	incidents *incidentList
	days      *dayHistory
	metrics   http.Handler
	asking    chan struct{} // bounds those who wait for the daemon
	reading   chan struct{} // is held by who reads history
	crossSite *http.CrossOriginProtection
}

// Handler serves all of it. It trusts nothing that it is sent.
func (f Faces) Handler() http.Handler {
	if f.Now == nil {
		f.Now = time.Now
	}
	s := &face{
		Faces: f, page: newPage(), incidents: newIncidentList(f.State, f.Now), days: newDayHistory(f.State, f.Now),
		asking: make(chan struct{}, maxAsking), reading: make(chan struct{}, 1), crossSite: http.NewCrossOriginProtection(),
	}
	s.metrics = s.newMetrics()
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.HandleFunc(r.path, func(w http.ResponseWriter, req *http.Request) { s.answer(w, req, r) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.secure(w.Header())
		if r.RequestURI == "*" { // about the server itself, which the mux answers without a word
			fail(w, answered(http.StatusBadRequest, "this asks for no page"))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// routes is all that is served.
func (s *face) routes() []route {
	get := func(who access, do func(http.ResponseWriter, *http.Request) error) map[string]handling {
		return map[string]handling{http.MethodGet: {who, do}}
	}
	return []route{
		{"/{$}", get(reader, s.showPage)},
		{"/api/v1/status", get(peer, s.showStatus)},
		{"/api/v1/incidents", get(reader, s.showIncidents)},
		{"/api/v1/incidents/{id}", get(reader, s.showIncident)},
		{"/api/v1/incidents/{id}/ack", map[string]handling{http.MethodPost: {writer, s.takeAck}}},
		{"/api/v1/history", get(reader, s.showHistory)},
		{"/api/v1/figures", get(reader, s.showFigures)},
		{"/heartbeat/{job}", map[string]handling{http.MethodGet: {reader, s.showBeat}, http.MethodPost: {writer, s.takeBeat}}},
		{"/metrics", get(reader, func(w http.ResponseWriter, r *http.Request) error {
			s.metrics.ServeHTTP(w, r)
			return nil
		})},
		{"/healthz", get(anybody, s.showHealth)},
		{"/", get(anybody, func(http.ResponseWriter, *http.Request) error {
			return answered(http.StatusNotFound, "there is no such page")
		})},
	}
}

// Limits of what a caller can use up.
const (
	maxBody    = 16 << 10 // bytes
	maxAsking  = 16       // who wait for the daemon at a time
	askTimeout = 5 * time.Second
)

// NewServer serves a handler with the limits that a server wants which anybody
// can reach.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: maxBody,
	}
}

// answer does what a route does, if the method and the caller are right.
func (s *face) answer(w http.ResponseWriter, r *http.Request, to route) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // the server leaves the body out
	}
	h, known := to.methods[method]
	err := error(nil)
	switch {
	case !known:
		w.Header().Set("Allow", allowed(to.methods))
		err = answered(http.StatusMethodNotAllowed, "this path takes "+allowed(to.methods))
	case !s.may(h.access, w, r, &err):
	case h.access == writer && s.crossSite.Check(r) != nil:
		err = answered(http.StatusForbidden, "this comes from the page of another site")
	default:
		err = h.do(w, r)
	}
	if err != nil {
		fail(w, err)
	}
}

// secure sets what keeps a browser from doing more than it should.
func (s *face) secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src '"+s.page.styleHash+"'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

func allowed(methods map[string]handling) string {
	_, get := methods[http.MethodGet]
	_, post := methods[http.MethodPost]
	switch {
	case get && post:
		return "GET, HEAD, POST"
	case post:
		return "POST"
	}
	return "GET, HEAD"
}

// may tells whether somebody may do something; if not, why.
func (s *face) may(want access, w http.ResponseWriter, r *http.Request, why *error) bool {
	token := s.serving().Token
	switch {
	case want == anybody, want != writer && s.serving().Public, s.holds(r, token):
		return true
	case want == peer && s.Canary.Location != nil && s.holds(r, s.Canary.Location.Token):
		return true
	case token == "" && want == writer:
		*why = answered(http.StatusForbidden, "nobody can write here: the plan gives no token (canary: serve: token)")
	case token == "":
		*why = answered(http.StatusForbidden, "nobody can read here: the plan gives no token and is not public (canary: serve)")
	default:
		w.Header().Add("WWW-Authenticate", `Bearer realm="resilience"`)
		w.Header().Add("WWW-Authenticate", `Basic realm="resilience: any name, and the token as the password", charset="UTF-8"`)
		*why = answered(http.StatusUnauthorized, "this wants the token of the plan: as a bearer token, or as the password")
	}
	return false
}

func (s *face) serving() plan.CanaryServe {
	if s.Canary.Serve == nil {
		return plan.CanaryServe{}
	}
	return *s.Canary.Serve
}

// holds reports whether a request shows a token, in a time that tells nothing
// about it.
func (s *face) holds(r *http.Request, token string) bool {
	if token == "" {
		return false
	}
	shown := ""
	if _, password, ok := r.BasicAuth(); ok {
		shown = password
	} else if scheme, credentials, found := strings.Cut(r.Header.Get("Authorization"), " "); found && strings.EqualFold(scheme, "Bearer") {
		shown = strings.TrimSpace(credentials)
	}
	a, b := sha256.Sum256([]byte(shown)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// trusted reports whether a request comes from who may write.
func (s *face) trusted(r *http.Request) bool { return s.holds(r, s.serving().Token) }

// refusedRequest is an error that the caller is told.
type refusedRequest struct {
	status int
	says   string
}

func (r *refusedRequest) Error() string { return r.says }

func answered(status int, says string) error { return &refusedRequest{status, says} }

// fail answers with an error. What is the canary's own trouble is not told to
// strangers: an operator reads the log.
func fail(w http.ResponseWriter, err error) {
	var refused *refusedRequest
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &refused):
	case errors.As(err, &large):
		refused = &refusedRequest{http.StatusRequestEntityTooLarge, "this is more than 16 KiB"}
	default:
		refused = &refusedRequest{http.StatusServiceUnavailable, "the canary can not answer this now"}
	}
	answerJSON(w, refused.status, map[string]string{"error": refused.says})
}

// answerJSON answers with a value that can be written as JSON.
func answerJSON(w http.ResponseWriter, status int, value any) {
	text, err := json.Marshal(value)
	if err != nil { // such as a number that JSON does not have
		status, text = http.StatusInternalServerError, []byte(`{"error":"this can not be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // whoever went away does not want it
}

// ask asks the daemon, which may hang.
func (s *face) ask(ctx context.Context) (Status, error) {
	type said struct {
		status Status
		err    error
	}
	select {
	case s.asking <- struct{}{}:
	default:
		return Status{}, errors.New("too many ask at a time")
	}
	answer := make(chan said, 1)
	go func() {
		defer func() { <-s.asking }()
		status, err := s.Status()
		answer <- said{status, err}
	}()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	select {
	case a := <-answer:
		return a.status, a.err
	case <-ctx.Done():
		return Status{}, ctx.Err()
	}
}

// known is ask for those who can do with what is known, even if the state can not
// be written now.
func (s *face) known(ctx context.Context) (Status, error) {
	status, err := s.ask(ctx)
	if status.At != 0 {
		return status, nil
	}
	return status, err
}

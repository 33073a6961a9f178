package shadow

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// job is one exchange on its way to all lanes.
type job struct {
	Exchange
	replaying *replaying
	rung      rung
	due       time.Time // when it was to be sent
	readied   time.Time // when the last answer came that it waited for; zero if it waited for none
	session   *session  // nil where nobody knows whose it is
	origin    string    // the session that this one goes on; "" for none

	waits      int // for so many answers; see replayLine
	successors []*job
	delayed    bool    // there was no worker for it
	blamed     []*lane // that held the workers then

	once    sync.Once
	headers http.Header // that can be sent as they are
	secrets http.Header // that can be sent with other values only

	conditions conditions
	kept       []string // cookies that are sent as they were

	left    countdown
	answers []answer // by lane
}

// answer is what one lane got.
type answer struct {
	Response
	sent  Request   // what was sent, with credentials
	at    time.Time // when it was sent
	trace string
	err   string // the word for why there is none; "" when there is one
}

func newJob(p *replaying, e Exchange, rung rung, due time.Time) *job {
	j := &job{Exchange: e, replaying: p, rung: rung, due: due, answers: make([]answer, len(p.lanes))}
	j.left.left = len(p.lanes)
	if e.Session != "" {
		var parent *session
		if j.origin = p.origins.known[e.Session].parent; j.origin != "" {
			parent = p.sessions.of(j.origin)
		}
		j.session = p.sessions.of(e.Session)
		j.session.comesFrom(parent)
	}
	p.busiest.see(j.session)
	return j
}

// header gives the headers to send, and those that hold secrets. All lanes have the
// same ones: who wants others clones them.
func (j *job) header() (headers, secrets http.Header) {
	j.once.Do(func() {
		j.headers, j.secrets = sendable(j.Request.Header, j.replaying.ladder.writes.Idempotency)
		maps.Copy(j.headers, j.replaying.marks)
		if j.kept = keptOf(j.replaying.kept, j.Request.Header); len(j.kept) > 0 {
			j.headers["Cookie"] = []string{strings.Join(j.kept, "; ")}
		}
		j.conditions.recorded = takeConditions(j.headers)
	})
	return j.headers, j.secrets
}

// recorded is the recorded answer, with when that was.
func (j *job) recorded() Response { return j.Response.during(j.At, j.recordedEnd()) }

// recordedEnd is when the answer was known in the recording.
func (j *job) recordedEnd() time.Time { return j.At.Add(j.Took) }

// size is what the job holds of memory, nearly.
func (j *job) size() int { return len(j.Request.Body.Data) + len(j.Response.Body.Data) + 1024 }

// from is when it could have been asked: what waits for an answer of its session
// could not be asked before, and that is not its own latency.
func (j *job) from() time.Time {
	if j.readied.After(j.due) {
		return j.readied
	}
	return j.due
}

// send hands the job to the lanes of both arms at the same moment. Which comes first is
// random: the one behind would find caches warm. The line is locked.
//
// The one that tells noise is asked when both have answered: so its answer is at least as
// far in time from the baseline's as the candidate's is, also where the candidate is
// slower, and what changes with time differs there no less often. Asked at the same
// moment, two answers of one process would be more alike than those of two.
func (j *job) send() {
	p := j.replaying
	p.tally.sent.Add(1)
	arms := p.arms()
	first := p.shift(len(arms))
	for i := range arms {
		arms[(i+first)%len(arms)].take(j)
	}
}

// arms are the lanes without the one that tells noise.
func (p *replaying) arms() []*lane {
	if p.second == nil {
		return p.lanes
	}
	return p.lanes[:p.second.number]
}

// answered is called by a lane that has its answer; the last one goes on.
func (j *job) answered() {
	p := j.replaying
	switch left := j.left.done(); {
	case left == 1 && p.second != nil:
		p.second.take(j)
		return
	case left > 0:
		return
	}
	if j.conditions.withheld {
		p.tally.sent.Add(^uint64(0))
		p.ladder.withhold(j.Route, unmetReason)
		p.line.done(j)
		return
	}
	j.share()
	if j.session != nil {
		p.sessions.learn(j)
	}
	p.ladder.keep(j)
	p.compared.add(j)
	j.unshare()
	p.line.done(j)
}

// share parses the answers once for all who look at them, unless they are the same.
func (j *job) share() {
	was := j.Response.Body.Data
	if !slices.ContainsFunc(j.answers, func(a answer) bool { return !bytes.Equal(a.Body.Data, was) }) {
		return
	}
	j.Response.Body.share()
	for i := range j.answers {
		j.answers[i].Body.share()
	}
}

// unshare releases what share parsed.
func (j *job) unshare() {
	j.Response.Body.unshare()
	for i := range j.answers {
		j.answers[i].Body.unshare()
	}
}

// shift gives which lane is the first; the line is locked.
func (p *replaying) shift(lanes int) int { return p.random.IntN(lanes) }

// waitedFor are the lanes that hold up the others: those with at least half of
// the requests that the slowest one has under way. They are the ones of which an
// exchange that could not be sent is the failure.
func (p *replaying) waitedFor() (slow []*lane) {
	var most int64
	for _, l := range p.lanes {
		most = max(most, l.underway.Load())
	}
	for _, l := range p.lanes {
		if l.arm != "" && 2*l.underway.Load() >= most {
			slow = append(slow, l)
		}
	}
	return slow
}

// drop counts an exchange that could not be sent.
func (p *replaying) drop(j *job) {
	p.tally.dropped.Add(1)
	switch {
	case j.waits > 0:
		p.dropBySession(j, "an answer of its session did not come in time")
	case j.delayed:
		p.failDropped(j, j.blamed, "as many exchanges as may be (max_vus) were waiting for their answers")
	default:
		p.dropBySession(j, "too many exchanges waited already, as each does for the answers of its session")
	}
}

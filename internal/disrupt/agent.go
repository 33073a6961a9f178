package disrupt

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sync"
	"time"
)

// Agent is this program inside a pod: it runs in the network namespace of the
// pod, takes orders for faults as lines of JSON, and ends by itself. A fault
// lives as long as its lease is renewed; the rules that send traffic to the
// agent's proxy live as long as its process, however that ends.
type Agent struct {
	Name    string        // of the container; names the tables of nftables
	Address string        // of the pod: where the system listens
	Idle    time.Duration // ends after so long without a fault and without an order

	limits podLimits // zero: the usual ones
}

// Operations that an agent knows.
const (
	agentCheck  = "check"  // whether faults could be injected here
	agentInject = "inject" // an order
	agentRenew  = "renew"
	agentLift   = "lift"
	agentStatus = "status"
	agentEnd    = "end" // unless a fault is in effect
)

// agentRequest is one line for an agent.
type agentRequest struct {
	Seq   string `json:"seq"` // given back in the answer: others may listen as well
	Op    string `json:"op"`
	ID    string `json:"id,omitempty"` // of the fault
	Order *Order `json:"order,omitempty"`
}

// agentAnswer is one line of an agent.
type agentAnswer struct {
	Seq    string  `json:"seq"`
	Lease  Lease   `json:"lease"`
	Leases []Lease `json:"leases,omitempty"` // of status
	Ended  bool    `json:"ended,omitempty"`  // no rule and no proxy is left, and the process ends now
	Gone   bool    `json:"gone,omitempty"`   // the fault is not in effect
	Error  string  `json:"error,omitempty"`
}

// err is the error that an answer tells.
func (a agentAnswer) err() error {
	switch {
	case a.Gone:
		return fmt.Errorf("%w: %s", ErrGone, a.Error)
	case a.Error != "":
		return errors.New(a.Error)
	}
	return nil
}

// agentName is what the name of an agent looks like: that of a container.
var agentName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// podProxy is the name that the one proxy of an agent goes by.
const podProxy = "pod"

// agentEnding is how long ending the last fault may take.
const agentEnding = 4 * time.Second

// serving is an agent at work.
type serving struct {
	Agent
	pod    *pod
	leases *Leases
	done   chan struct{} // closed when the agent shall end
	once   sync.Once

	mu    sync.Mutex
	out   io.Writer
	heard time.Time // when the last order came
}

// Run reads orders from in and writes an answer to each to out, until it is
// told to end, has been idle for too long, or the context ends. The end of in
// changes nothing: whoever gave orders may come back. When it returns, no rule
// and no proxy is left; an error says that this is not sure.
func (a Agent) Run(ctx context.Context, in io.Reader, out io.Writer) error {
	switch {
	case !agentName.MatchString(a.Name):
		return fmt.Errorf("the name of an agent has lower case letters, digits and -; got %.80q", a.Name)
	case a.Idle <= 0:
		return fmt.Errorf("an agent needs a time after which it ends; got %s", a.Idle)
	}
	s := &serving{Agent: a, pod: newPod(a.Name, a.Address, cmp.Or(a.limits, usualLimits)), done: make(chan struct{}), out: out, heard: time.Now()}
	s.leases = NewLeases(map[string]Dependency{podProxy: s.pod}, 0)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.read(ctx, in)
	s.wait(ctx)
	return s.shut(context.WithoutCancel(ctx))
}

// wait returns when the agent shall end.
func (s *serving) wait(ctx context.Context) {
	tick := time.NewTicker(min(time.Second, s.Idle))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.done:
			return
		case now := <-tick.C:
			s.mu.Lock()
			idle := now.Sub(s.heard)
			s.mu.Unlock()
			if idle >= s.idleLimit() && !s.busy() {
				return
			}
		}
	}
}

// idleLimit is short once there was a fault: then nobody is coming any more.
func (s *serving) idleLimit() time.Duration {
	if len(s.leases.Status()) > 0 {
		return min(s.Idle, DefaultTTL)
	}
	return s.Idle
}

// busy reports whether a fault may be in effect.
func (s *serving) busy() bool {
	for _, l := range s.leases.Status() {
		if !l.Over() {
			return true
		}
	}
	return false
}

// shut leaves nothing behind.
func (s *serving) shut(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, agentEnding)
	defer cancel()
	return errors.Join(s.leases.Close(ctx), s.pod.Close())
}

// read takes orders. Each is done by itself: one that takes long holds up no
// other.
func (s *serving) read(ctx context.Context, in io.Reader) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 {
			continue // begins a line after one that was cut off
		}
		var r agentRequest
		if err := strictly(line, &r); err != nil {
			s.answer(agentAnswer{Seq: r.Seq, Error: err.Error()})
			continue
		}
		s.mu.Lock()
		s.heard = time.Now()
		s.mu.Unlock()
		go func() {
			answer := s.obey(ctx, r)
			s.answer(answer)
			if answer.Ended {
				s.once.Do(func() { close(s.done) })
			}
		}()
	}
}

func (s *serving) answer(a agentAnswer) {
	line, err := json.Marshal(a)
	if err != nil {
		line, _ = json.Marshal(agentAnswer{Seq: a.Seq, Error: err.Error()}) // strings only
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.out.Write(append(line, '\n')) // nobody may listen; leases need nobody
}

// obey does what an order says.
func (s *serving) obey(ctx context.Context, r agentRequest) agentAnswer {
	a := agentAnswer{Seq: r.Seq}
	var err error
	switch r.Op {
	case agentCheck:
		err = s.pod.check()
	case agentInject:
		if r.Order == nil {
			return agentAnswer{Seq: r.Seq, Error: "inject wants an order"}
		}
		a.Lease, err = s.leases.Inject(ctx, *r.Order)
	case agentRenew:
		a.Lease, err = s.leases.Renew(r.ID)
	case agentLift:
		a.Lease, err = s.leases.Lift(ctx, r.ID)
	case agentStatus:
		a.Leases = s.leases.Status()
	case agentEnd:
		a.Ended, err = s.end(ctx)
	default:
		err = fmt.Errorf("there is no operation %.40q", r.Op)
	}
	if err != nil {
		a.Error, a.Gone = err.Error(), errors.Is(err, ErrGone)
	}
	return a
}

// end ends the agent unless a fault is in effect.
func (s *serving) end(ctx context.Context) (bool, error) {
	if s.busy() {
		return false, nil
	}
	if err := s.shut(ctx); err != nil {
		return false, err
	}
	return true, s.pod.clean()
}

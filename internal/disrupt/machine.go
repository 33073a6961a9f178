package disrupt

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// pressure burdens this machine through a child process. It needs nothing to be
// undone: the child ends when its input does, when this process does and when
// its time is over, and with it everything that it held.
type pressure struct {
	d     plan.Disruption
	site  Site
	order stressOrder
	unit  string
}

// onMachine makes disruptions of the machine that the harness runs on.
func onMachine(d plan.Disruption, s Site) (Disruption, error) {
	p := &pressure{d: d, site: s, order: stressOrder{Limit: time.Duration(d.For) + stressSpare}}
	switch {
	case d.CPU != nil:
		p.unit, p.order.Kind, p.order.Load, p.order.Cores = "cpus", "cpu", float64(d.CPU.Load), d.CPU.Cores
		if p.order.Load == 0 {
			p.order.Load = 1
		}
		if p.order.Cores == 0 {
			p.order.Cores = runtime.NumCPU()
		}
	case d.Memory != nil:
		p.unit, p.order.Kind, p.order.Size, p.order.Fill = "bytes", "memory", uint64(d.Memory.Size), float64(d.Memory.Fill)
	case d.Disk != nil:
		p.unit, p.order.Kind, p.order.Dir, p.order.Leave = "bytes", "disk", plan.Locate(s.Dir, d.Disk.Dir), uint64(d.Disk.Leave)
	default:
		fault, _ := d.Fault()
		return nil, fmt.Errorf("disruption %q: %s can not act on a machine", d.Name, fault)
	}
	return p, nil
}

// stressSpare is how much longer than planned a child may live.
const stressSpare = 30 * time.Second

// Prepare implements Disruption.
func (p *pressure) Prepare(context.Context) (measure.Reach, error) {
	if err := p.possible(); err != nil {
		return measure.Reach{}, fmt.Errorf("disruption %q: %w", p.d.Name, err)
	}
	return measure.Reach{Unit: p.unit}, nil
}

func (p *pressure) possible() error {
	switch p.order.Kind {
	case "cpu":
		if have := runtime.NumCPU(); p.order.Cores > have {
			return plan.Misfitf("cpu: cores is %d, but this machine has %d", p.order.Cores, have)
		}
	case "memory":
		_, err := memoryToTake(p.order.Size, p.order.Fill)
		return err
	case "disk":
		if err := spareDisk(p.order.Dir, plan.Size(p.order.Leave), p.site); err != nil {
			return err
		}
		return spareMemory(p.order.Dir, p.order.Leave)
	}
	return nil
}

// Inject implements Disruption.
func (p *pressure) Inject(ctx context.Context, _ func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	err := errors.Join(ctx.Err(), p.possible())
	var c *child
	if err == nil {
		c, err = startChild(ctx, p.order)
	}
	if err != nil {
		return nil, fmt.Errorf("disruption %q: not injected: %w", p.d.Name, err)
	}
	var once sync.Mutex
	var touch *measure.Touch
	return func(ctx context.Context) (measure.Touch, error) {
		once.Lock()
		defer once.Unlock()
		if touch == nil {
			t := p.end(ctx, c)
			touch = &t
		}
		return *touch, nil
	}, nil
}

// end ends the child, and with it the burden. When a child that ended before did
// so is known.
func (p *pressure) end(ctx context.Context, c *child) measure.Touch {
	last, early, err := c.end(ctx)
	touch := measure.Touch{Unit: p.unit, Matched: c.first.Matched, Touched: min(last.Touched, c.first.Matched)}
	if !early.IsZero() {
		touch.Gone = early.UnixNano()
		p.warn("the process that burdened this machine ended early, %s before it was lifted", time.Since(early).Round(time.Millisecond))
	}
	if err != nil { // it is gone all the same
		touch.Doubt = "the process that burdened this machine did not end well, and what it took is not known: " + err.Error()
		touch.Touched = 0
	}
	if asked := time.Since(c.begun).Seconds() * p.order.Load * float64(p.order.Cores); p.order.Kind == "cpu" && err == nil && early.IsZero() && c.used().Seconds() < asked/2 {
		p.warn("it got only %.1f of the %.1f s of processor time that it asked for: the processors were busy with other things", c.used().Seconds(), asked)
	}
	return touch
}

func (p *pressure) warn(format string, args ...any) {
	p.site.Note(measure.EventWarning, p.d.Name, map[string]string{"detail": fmt.Sprintf(format, args...)})
}

// child is a process of this program that burdens the machine.
type child struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	first stressReport
	begun time.Time

	said chan struct{} // closed once it has said its last, or ended without
	at   time.Time     // when that was; this and the following are valid then
	last stressReport
	err  error
}

// StressEnv is set for a child that shall burden the machine, so that programs
// without a command `stress` can tell one.
const StressEnv = "RESILIENCE_STRESS"

// startChild starts a child and returns when the burden is there.
func startChild(ctx context.Context, o stressOrder) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(self, "stress") //nolint:gosec // this program
	cmd.Env = slices.Concat(os.Environ(), []string{StressEnv + "=1"})
	cmd.SysProcAttr = childAttributes()
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a process that burdens this machine: %w", err)
	}
	c := &child{cmd: cmd, in: in, out: bufio.NewReader(out), begun: time.Now(), said: make(chan struct{})}
	defer context.AfterFunc(ctx, c.kill)()
	err = json.NewEncoder(in).Encode(o)
	if err == nil {
		c.first, err = c.hear()
	}
	go c.listen()
	if err != nil {
		c.kill()
		_, _, _ = c.end(ctx) // what it says now is of no interest
		return nil, errors.Join(err, ctx.Err())
	}
	return c, nil
}

// listen waits for the last thing that the child says, which is when the burden
// is put down.
func (c *child) listen() {
	defer close(c.said)
	c.last, c.err = c.hear()
	c.at = time.Now()
}

// hear reads the next thing that the child says.
func (c *child) hear() (stressReport, error) {
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return stressReport{}, fmt.Errorf("it said nothing: %w", err)
	}
	var a stressReport
	if err := json.Unmarshal(line, &a); err != nil {
		return stressReport{}, fmt.Errorf("it said %.80q: %w", line, err)
	}
	if a.Error != "" {
		return stressReport{}, errors.New(a.Error)
	}
	return a, nil
}

// end asks the child to end, kills it when the context ends first, and returns
// when it is gone. Early is when it ended if that was not because of this.
func (c *child) end(ctx context.Context) (last stressReport, early time.Time, err error) {
	defer context.AfterFunc(ctx, c.kill)()
	asked := time.Now()
	closed := c.in.Close()
	<-c.said
	if c.at.Before(asked) || c.last.Expired || c.err != nil && ctx.Err() == nil {
		early = c.at
	}
	ended := c.cmd.Wait()
	return c.last, early, errors.Join(c.err, ended, closed)
}

func (c *child) kill() { _ = c.cmd.Process.Kill() }

// used is the processor time that the child has used; known when it has ended.
func (c *child) used() time.Duration {
	return c.cmd.ProcessState.UserTime() + c.cmd.ProcessState.SystemTime()
}

package traffic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// K6 runs a k6 script as a child process in a process group of its own, or as
// several that share the traffic: see [K6.share]. The script is wrapped by a generated entry module that k6 reads from its standard
// input, so nothing is written beside it. What is measured comes back over a
// socket pair that the child inherits.
type K6 struct {
	stream  plan.Stream
	command []string // how to start k6
	script  string   // absolute path
	grace   time.Duration
}

// stopGrace is how long a stopped child may take before it is killed.
const stopGrace = 5 * time.Second

// NewK6 prepares a run of the stream's script. Command is what starts k6, such
// as this program and "k6"; script is the path of the script.
func NewK6(stream plan.Stream, command []string, script string) (*K6, error) {
	absolute, err := filepath.Abs(script)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(absolute); err != nil {
		return nil, fmt.Errorf("test %s: script: %w", stream.Test.Name, err)
	}
	return &K6{stream: stream, command: command, script: absolute, grace: stopGrace}, nil
}

// Run implements the conductor's Traffic.
func (k *K6) Run(ctx context.Context, emit func(measure.Batch) error) error {
	credentials, err := NewAuthorizer(k.stream.Target, k.stream.Hosts, k.stream.Dir)
	if err != nil {
		return err
	}
	defer credentials.Close()
	headers, err := credentials.Headers(ctx)
	if err != nil {
		return err
	}
	settings := plan.Settings{Source: sourceOf("k6", k.stream), Stream: k.stream, Headers: merged(k.stream.Target.Headers, headers)}
	return k.share(ctx, func(ctx context.Context, r runner) error {
		child, err := k.start(r)
		if err != nil {
			return err
		}
		settings := settings
		settings.Source += r.suffix()
		talk := &conversation{conn: child.conn, settings: settings, emit: emit, credentials: credentials}
		return child.finish(ctx, talk, k.stream)
	})
}

// merged are the target's own headers and those of its credentials.
func merged(own, credentials map[string]string) map[string]string {
	headers := maps.Clone(own)
	if headers == nil {
		headers = map[string]string{}
	}
	maps.Copy(headers, credentials)
	return headers
}

// child is a k6 process.
type child struct {
	cmd   *exec.Cmd
	of    runner
	conn  net.Conn // our end of the socket pair
	log   *k6Log
	grace time.Duration
}

// start launches k6 with its end of a socket pair as file descriptor 3.
func (k *K6) start(r runner) (*child, error) {
	entry, err := entryModule(k.stream, k.script)
	if err != nil {
		return nil, err
	}
	return k.launch(entry, r, &syscall.SysProcAttr{Setpgid: true})
}

// launchGuarded starts a k6 that ends when this process does. The thread that
// started it waits for its end, and says how it ended.
func (k *K6) launchGuarded(entry string, exited chan<- error) (c *child, err error) {
	started := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		c, err = k.launch(entry, runner{1, 1}, guardedAttributes())
		close(started)
		if err == nil {
			exited <- c.cmd.Wait()
		}
	}()
	<-started
	return c, err
}

// launch starts a k6 with an entry module.
func (k *K6) launch(entry string, r runner, attributes *syscall.SysProcAttr) (*child, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	args := append(k.command[1:len(k.command):len(k.command)],
		"run", "--quiet", "--no-usage-report", "--summary-mode=disabled", "--no-thresholds", "--no-color",
		"--log-format=json", "--out", "resilience=fd:3")
	args = append(append(args, r.arguments()...), "-")
	cmd := exec.Command(k.command[0], args...) //nolint:gosec // our own program
	cmd.Dir = filepath.Dir(k.script)
	cmd.Env = k6Environment(k.stream)
	cmd.Stdin = strings.NewReader(entry)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = attributes
	log := &k6Log{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, fmt.Errorf("start k6: %w", err)
	}
	return &child{cmd: cmd, of: r, conn: ours, log: log, grace: k.grace}, nil
}

// finish talks with the child until it has ended, and stops it when the
// context ends first. Nothing of its process group is left afterwards.
func (c *child) finish(ctx context.Context, talk *conversation, stream plan.Stream) error {
	ended := make(chan error, 1)
	go func() { ended <- talk.run(ctx) }()
	exited := make(chan error, 1)
	go func() { exited <- c.cmd.Wait() }()

	var exit error
	select {
	case exit = <-exited:
	case <-ctx.Done():
		talk.stop("the run was stopped")
		exit = c.await(exited)
	}
	c.kill() // what the script's process left in its group
	talked := c.drain(ended)
	return c.report(talk, talked, exit, ctx.Err() != nil, stream)
}

// await gives a stopped child its grace, then kills it.
func (c *child) await(exited chan error) error {
	select {
	case err := <-exited:
		return err
	case <-time.After(c.grace):
		c.kill()
		return <-exited
	}
}

// drain waits until everything the child wrote has been read.
func (c *child) drain(ended chan error) error {
	select {
	case err := <-ended:
		c.conn.Close()
		return err
	case <-time.After(c.grace): // a grandchild holds the socket open
		c.conn.Close()
		return <-ended
	}
}

func (c *child) kill() { _ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) } // usually nobody is left

// report turns the end of a child into events, or an error where the plan is
// wrong.
func (c *child) report(talk *conversation, talked, exit error, stopped bool, stream plan.Stream) error {
	if message, wrong := c.log.planError(); wrong {
		return &PlanError{Test: stream.Test.Name, Message: message}
	}
	complete, reason := talk.ended && talk.end.Complete && !stopped, ""
	var events []measure.Event
	now := time.Now().UnixNano()
	event := func(at int64, kind, name string, attrs map[string]string) {
		events = append(events, measure.Event{
			Source: talk.settings.Source + "/harness", Seq: uint64(len(events) + 1), At: at,
			Kind: kind, Phase: stream.Phase, Test: stream.Test.Name, Arm: stream.Arm, Name: name, Attrs: attrs,
		})
	}
	if !complete {
		reason = c.of.named(c.reason(talk, talked, exit, stopped))
	}
	if !complete && !stopped {
		event(now, measure.EventGenerator, "ended", map[string]string{"detail": reason})
	}
	if talk.end.Lost > 0 {
		event(now, measure.EventGenerator, "lost", map[string]string{"detail": c.of.named(fmt.Sprintf("%d samples were dropped on the way from k6", talk.end.Lost))})
	}
	end := now
	if complete {
		end = talk.stoppedSending(now)
	}
	event(end, measure.EventTestEnd, "", map[string]string{"complete": fmt.Sprint(complete), "reason": reason})
	return errors.Join(talk.emit(measure.Batch{Events: events}), talk.failed)
}

// reason says why a test is incomplete, the most telling first.
func (c *child) reason(talk *conversation, talked, exit error, stopped bool) string {
	switch message := c.log.lastError(); {
	case stopped:
		return "interrupted"
	case message != "":
		return "k6: " + message
	case talk.ended && talk.end.Reason != "":
		return "k6: " + talk.end.Reason
	case exit != nil:
		return "k6 ended early: " + exit.Error()
	case talked != nil:
		return talked.Error()
	}
	return "k6 ended without saying so"
}

// PlanError says that a plan and a script do not fit; more traffic would not
// help.
type PlanError struct{ Test, Message string }

func (e *PlanError) Error() string { return "test " + e.Test + ": " + e.Message }

// k6Environment is what the script's process sees: this process's environment
// without k6's own variables, and what the plan gives.
func k6Environment(s plan.Stream) []string {
	env := append(ownEnvironment(), pairs(Environment(s))...)
	if s.Target.TLS != nil && s.Target.TLS.CA != "" {
		env = append(env, "SSL_CERT_FILE="+plan.Locate(s.Dir, s.Target.TLS.CA))
	}
	return env
}

// ownEnvironment is that of this process without k6's own variables.
func ownEnvironment() []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "K6_") {
			env = append(env, pair)
		}
	}
	return env
}

// Environment is what a plan gives to the script of a stream; secrets may be
// among it.
func Environment(s plan.Stream) map[string]string {
	env := map[string]string{
		"K6_AUTO_EXTENSION_RESOLUTION": "false", "K6_NO_USAGE_REPORT": "true",
		"TARGET_URL": s.Target.URL, "RESILIENCE_ARM": s.Arm, "RESILIENCE_SEED": strconv.FormatInt(s.Seed, 10),
	}
	maps.Copy(env, s.Env)
	return env
}

// pairs are variables as processes get them.
func pairs(env map[string]string) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		all = append(all, name+"="+env[name])
	}
	return all
}

// socketPair makes a connection to ourselves, one end of it to be inherited.
func socketPair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socket pair: %w", err)
	}
	file := os.NewFile(uintptr(fds[0]), "k6")
	theirs = os.NewFile(uintptr(fds[1]), "harness")
	defer file.Close()
	ours, err = net.FileConn(file)
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("socket pair: %w", err)
	}
	return ours, theirs, nil
}

// entryModule is the module that k6 runs instead of the script: the script,
// with all its functions wrapped and the plan's profile in its options.
func entryModule(s plan.Stream, script string) (string, error) {
	options, err := k6Options(s)
	if err != nil {
		return "", err
	}
	profile, err := json.Marshal(options)
	if err != nil {
		return "", err
	}
	path, err := json.Marshal(script)
	if err != nil {
		return "", err
	}
	argument, err := json.Marshal(string(profile))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(entryText, path, argument), nil
}

// entryText loads k6/net/grpc before the script does, so that its calls can be
// watched.
const entryText = `const resilience = require("k6/x/resilience");
resilience.watchGRPC(require("k6/net/grpc"));
module.exports = resilience.entry(require(%s), %s);
`

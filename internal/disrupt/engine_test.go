package disrupt

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/fixtures/containers"
	"resilience/internal/plan"
)

func TestNoEngine(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		named string
		env   []string
		want  []string
	}{
		{named: "unix://" + dir + "/none.sock", want: []string{dir + "/none.sock: connect: no such file or directory"}},
		{env: []string{"DOCKER_HOST=tcp://127.0.0.1:2375"}, want: []string{"tcp://127.0.0.1:2375: only unix:// sockets can be used"}},
		{env: []string{"DOCKER_HOST=", "CONTAINER_HOST=unix://" + dir + "/p.sock"}, want: []string{dir + "/p.sock"}},
	} {
		made, err := New(plan.Disruption{Name: "d", Container: &plan.Container{Name: "a", Engine: test.named}, Pause: &plan.Pause{}}, Site{Env: test.env, Note: quiet})
		require.NoError(t, err)
		_, err = made.Prepare(t.Context())
		require.ErrorContains(t, err, "no container engine answers: ")
		for _, want := range test.want {
			require.ErrorContains(t, err, want)
		}
	}
	none := func(string) string { return "" }
	require.Subset(t, engineAddresses("", none), []string{"unix:///var/run/docker.sock", "unix:///run/podman/podman.sock"})
	own := func(name string) string { return map[string]string{"XDG_RUNTIME_DIR": "/run/user/7"}[name] }
	require.Contains(t, engineAddresses("", own), "unix:///run/user/7/podman/podman.sock")
}

// eachEngine runs a test on every engine that this machine can have.
func eachEngine(t *testing.T, test func(t *testing.T, e *containers.Engine)) {
	for _, name := range containers.Names {
		t.Run(name, func(t *testing.T) {
			test(t, containers.Open(t, name))
			require.Empty(t, grips.of)
		})
	}
}

// onEngine is a disruption of containers of an engine.
func onEngine(e *containers.Engine, c plan.Container, fault string) plan.Disruption {
	c.Engine = "unix://" + e.Socket
	d := plan.Disruption{Name: "d", Container: &c}
	lifeFaults[fault](&d)
	return d
}

func TestTheEngineOfTheEnvironmentIsUsed(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *containers.Engine) {
		e.Run(t, containers.Container{Name: "one"})
		d := onEngine(e, plan.Container{Name: "one"}, "pause")
		d.Container.Engine = ""
		lift, _ := put(t, d, Site{Env: []string{"DOCKER_HOST=unix:///none", "DOCKER_HOST=unix://" + e.Socket}, Note: quiet})
		require.True(t, e.State(t, "one").Paused)
		lift()
		require.False(t, e.State(t, "one").Paused)
	})
}

func TestContainersAreBounded(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *containers.Engine) {
		for _, name := range []string{"shop-1", "shop-2", "shop-3", "shop-4", "web"} {
			label := "shop"
			if name == "web" {
				label = name
			}
			e.Run(t, containers.Container{Name: name, Labels: map[string]string{"app": label, label: "yes"}})
		}
		e.Do(t, "shop-4", "kill?signal=SIGKILL")
		for _, test := range []struct {
			name   string
			on     plan.Container
			fault  string
			atMost *plan.Amount
			want   int
		}{
			{"label", plan.Container{Label: "app=shop"}, "kill", nil, 2},
			{"key of a label", plan.Container{Label: "shop"}, "pause", nil, 2},
			{"pattern", plan.Container{Name: "shop-*"}, "kill", nil, 2},
			{"at most", plan.Container{Name: "shop-*"}, "pause", &plan.Amount{Number: 1}, 1},
			{"all", plan.Container{Label: "app=shop"}, "kill", &plan.Amount{Share: 1}, 3},
		} {
			t.Run(test.name, func(t *testing.T) {
				d := onEngine(e, test.on, test.fault)
				d.AtMost = test.atMost
				lift, _ := put(t, d, Site{Note: quiet})
				harmed := 0
				for _, name := range []string{"shop-1", "shop-2", "shop-3"} {
					if !e.Answers(t, name) {
						harmed++
					}
				}
				require.Equal(t, test.want, harmed)
				require.True(t, e.Answers(t, "web"))
				require.EqualValues(t, test.want, lift().Touched)
				require.False(t, e.State(t, "shop-4").Running, "what did not run before does not now")
			})
		}
	})
}

func TestContainersAreRestartedOneByOne(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *containers.Engine) {
		before := map[string]string{}
		for _, name := range []string{"shop-1", "shop-2"} {
			e.Run(t, containers.Container{Name: name})
			before[name] = e.State(t, name).StartedAt
		}
		lift, _ := put(t, onEngine(e, plan.Container{Name: "shop-*"}, "rolling"), Site{Note: quiet})
		require.Eventually(t, func() bool {
			one, two := e.State(t, "shop-1"), e.State(t, "shop-2")
			meanwhile := e.State(t, "shop-1") == one
			require.False(t, !one.Running && meanwhile && !two.Running, "both are down")
			return one.Running && one.StartedAt != before["shop-1"] && two.Running && two.StartedAt != before["shop-2"]
		}, patience, time.Millisecond)
		require.EqualValues(t, 2, lift().Touched)
	})
}

func TestContainersThatAreRefused(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *containers.Engine) {
		e.Run(t, containers.Container{Name: "one"})
		e.Run(t, containers.Container{Name: "passing", AutoRemove: true})
		for name, want := range map[string]string{
			"none":    "no container that runs has the name or label none",
			"passing": "is removed when it ends",
		} {
			made, err := New(onEngine(e, plan.Container{Name: name}, "kill"), Site{Note: quiet})
			require.NoError(t, err)
			_, err = made.Prepare(t.Context())
			require.ErrorContains(t, err, want)
		}
	})
}

func TestOwnContainer(t *testing.T) {
	host, err := os.Hostname()
	require.NoError(t, err)
	is := ownContainer()
	require.False(t, is(strings.Repeat("a", 64)))
	require.Equal(t, len(host) == 12, is(host+strings.Repeat("0", 52)))

	id := strings.Repeat("0123456789abcdef", 4)
	for mount, want := range map[string][]string{
		"660 642 254:1 /var/lib/docker/containers/" + id + "/hostname /etc/hostname rw - ext4 /dev/vda rw":                               {id},
		"97 80 0:24 /run/containers/storage/overlay-containers/" + id + "/userdata/.containerenv /run/.containerenv rw - tmpfs tmpfs rw": {id},
		"31 20 0:30 / /var/lib/containers/storage/overlay-containers/" + id + "/userdata/shm rw - tmpfs shm rw":                          nil, // of another, seen from outside
		"garbage " + id: nil,
	} {
		require.Equal(t, want, idsAmongMounts(mount+"\n"), mount)
	}
}

// Inside of a container its mounts name it alone; outside, where an engine may
// mount something for each, they name none.
func TestMountsTellTheOwnContainer(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *containers.Engine) {
		id := e.Run(t, containers.Container{Name: "one"})
		e.Run(t, containers.Container{Name: "two"})
		outside, err := os.ReadFile("/proc/self/mountinfo")
		require.NoError(t, err)
		require.NotContains(t, idsAmongMounts(string(outside)), id)
		if inside := e.Mounts(t, "one"); inside != "" {
			ids := idsAmongMounts(inside)
			require.NotEmpty(t, ids)
			require.Equal(t, []string{id}, slices.Compact(ids))
		}
	})
}

// A container that is gone can not be paused any more, and can not be started
// again: that is for somebody to know, until it was made anew.
func TestAContainerThatWasRemovedMeanwhile(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *containers.Engine) {
		for fault, want := range map[string]string{"kill": "the container one was removed meanwhile", "pause": ""} {
			t.Run(fault, func(t *testing.T) {
				e.Run(t, containers.Container{Name: "one"})
				d := onEngine(e, plan.Container{Name: "one"}, fault)
				lift, undo := injected(t, d)
				e.Remove(t, "one")
				for _, lifting := range []func(context.Context) error{lift, func(ctx context.Context) error { return Undo(ctx, d, *undo, Site{Note: quiet}) }} {
					if want == "" {
						require.NoError(t, lifting(t.Context()))
						continue
					}
					require.ErrorContains(t, lifting(t.Context()), want)
				}
				e.Run(t, containers.Container{Name: "one"})
				require.NoError(t, lift(t.Context()))
				require.NoError(t, Undo(t.Context(), d, *undo, Site{Note: quiet}))
				require.True(t, e.Answers(t, "one"))
			})
		}
	})
}

// injected injects a disruption and gives how to try to lift it.
func injected(t *testing.T, d plan.Disruption) (lift func(context.Context) error, undo *json.RawMessage) {
	t.Helper()
	made, err := New(d, Site{Note: quiet})
	require.NoError(t, err)
	undo = &json.RawMessage{}
	l, err := made.Inject(t.Context(), func(kept json.RawMessage) error { *undo = kept; return nil })
	require.NoError(t, err)
	return func(ctx context.Context) error { _, err := l(ctx); return err }, undo
}

// A program that died may have told the engine something that is done only
// after somebody began to undo it.
func TestAContainerThatEndsWhileItIsUndone(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *containers.Engine) {
		id := e.Run(t, containers.Container{Name: "one"})
		d := onEngine(e, plan.Container{Name: "one"}, "term")
		one := &containerLife{engine: newEngine(e.Socket), id: id, named: "one"}
		undo, err := traces(t.Context(), "kill", []life{one})
		require.NoError(t, err)
		before := now(t, one)
		undone := make(chan error, 1)
		go func() { undone <- Undo(context.Background(), d, undo, Site{Note: quiet}) }()
		_ = e.Order("one", "stop?t=1") // an error to Podman, if it runs again before all of the stop was tidied up
		require.NoError(t, <-undone)
		after := now(t, one)
		require.True(t, after.running)
		require.NotEqual(t, before.id, after.id)
	})
}

// An engine carries out what it was told although the run that told it is over,
// whether it answers late or not at all: lifting waits for that.
func TestAnOrderThatIsCarriedOutLate(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *containers.Engine) {
		for _, fault := range []string{"kill", "pause"} {
			for _, answers := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, answered %t", fault, answers), func(t *testing.T) {
					id := e.Run(t, containers.Container{Name: "one"})
					one := &containerLife{engine: newEngine(e.Socket), id: id, named: "one"}
					before := now(t, one)
					ctx, cancel := context.WithCancel(t.Context())
					slow, done := slowEngine(t, e, fault, answers, cancel)
					d := onEngine(slow, plan.Container{Name: "one"}, fault)
					made, err := New(d, Site{Note: quiet})
					require.NoError(t, err)
					lift, err := made.Inject(ctx, func(json.RawMessage) error { return nil })
					require.True(t, err != nil || lift != nil)
					if lift != nil { // it was not yet what it was before
						_, err = lift(t.Context())
						require.NoError(t, err)
					}
					<-done
					after := now(t, one)
					require.Equal(t, []bool{true, false}, []bool{after.running, after.paused})
					require.Equal(t, fault == "kill", before.id != after.id)
				})
			}
		}
	})
}

// slowEngine stands before an engine. It carries the order out a while after it
// cancelled who gave it, and then answers or has hung up already.
func slowEngine(t *testing.T, e *containers.Engine, order string, answers bool, cancel func()) (slow *containers.Engine, carriedOut <-chan struct{}) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "slow.sock")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	relay := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "engine" },
		Transport: newEngine(e.Socket).client.Transport,
	}
	done := make(chan struct{})
	carryOut := func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		<-time.After(300 * time.Millisecond) // as long as a busy engine may take; any time must do
		relay.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.HasSuffix(r.URL.Path, "/"+order):
			relay.ServeHTTP(w, r)
		case answers:
			cancel()
			carryOut(w, r)
		default:
			cancel()
			go carryOut(httptest.NewRecorder(), r.Clone(context.WithoutCancel(r.Context())))
			panic(http.ErrAbortHandler)
		}
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return &containers.Engine{Socket: socket}, done
}

// What two undo at the same time is undone once, and both say so.
func TestAContainerThatTwoUndo(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *containers.Engine) {
		id := e.Run(t, containers.Container{Name: "one"})
		one := &containerLife{engine: newEngine(e.Socket), id: id, named: "one"}
		for fault, harm := range map[string]string{"pause": "pause", "kill": "kill?signal=SIGKILL"} {
			d := onEngine(e, plan.Container{Name: "one"}, fault)
			undo, err := traces(t.Context(), fault, []life{one})
			require.NoError(t, err)
			e.Do(t, "one", harm)
			require.NoError(t, together([]int{1, 2, 3}, func(int) error { return Undo(context.Background(), d, undo, Site{Note: quiet}) }))
			require.Equal(t, []bool{true, false}, []bool{now(t, one).running, now(t, one).paused})
		}
	})
}

// An engine that is stopped meanwhile takes its containers along, or not. When
// it runs again, what was harmed runs again.
func TestAnEngineThatIsStoppedMeanwhile(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *containers.Engine) {
		for _, fault := range []string{"kill", "pause"} {
			t.Run(fault, func(t *testing.T) {
				e.Run(t, containers.Container{Name: "one"})
				d := onEngine(e, plan.Container{Name: "one"}, fault)
				lift, undo := injected(t, d)
				e.Stop(t)
				for _, lifting := range []func(context.Context) error{lift, func(ctx context.Context) error { return Undo(ctx, d, *undo, Site{Note: quiet}) }} {
					err := lifting(t.Context())
					require.ErrorContains(t, err, "call the container engine")
				}
				e.Start(t)
				require.NoError(t, lift(t.Context()))
				require.NoError(t, Undo(t.Context(), d, *undo, Site{Note: quiet}))
				is := e.State(t, "one")
				require.False(t, is.Paused)
				require.True(t, is.Running || fault == "pause", "it ended with its engine, not by the fault")
			})
		}
	})
}

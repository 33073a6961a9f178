package disrupt

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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

func TestTheEngineOfTheEnvironmentIsUsed(t *testing.T) {
	e := newFakeEngine(t, "a")
	s := Site{Env: []string{"DOCKER_HOST=unix:///none", "DOCKER_HOST=unix://" + e.socket}, Note: quiet}
	lift, _ := put(t, plan.Disruption{Name: "d", Container: &plan.Container{Name: "a"}, Pause: &plan.Pause{}}, s)
	require.True(t, e.containers["a"].paused)
	lift()
	require.Equal(t, []string{"pause", "unpause"}, e.calls)
}

func TestContainersAreBounded(t *testing.T) {
	for name, c := range map[string]plan.Container{"label": {Label: "app=shop"}, "pattern": {Name: "shop-*"}} {
		t.Run(name, func(t *testing.T) {
			e := newFakeEngine(t, "shop-1", "shop-2", "shop-3", "web")
			e.containers["web"].label = "app=web"
			e.containers["shop-3"].running = false
			c.Engine = "unix://" + e.socket
			lift, _ := put(t, plan.Disruption{Name: "d", Container: &c, Kill: &plan.Kill{}}, Site{Note: quiet})
			running := 0
			for _, name := range []string{"shop-1", "shop-2"} {
				if e.containers[name].running {
					running++
				}
			}
			require.Equal(t, 1, running, "never all")
			require.True(t, e.containers["web"].running)
			require.EqualValues(t, 1, lift().Touched)
			require.False(t, e.containers["shop-3"].running, "what did not run before does not now")
		})
	}
}

func TestContainersThatAreRefused(t *testing.T) {
	e := newFakeEngine(t, "a", "own", "gone")
	host, err := os.Hostname()
	require.NoError(t, err)
	e.containers["gone"].autoRemove = true
	for name, want := range map[string]string{
		"none": "no container that runs has the name or label none",
		"gone": "is removed when it ends",
	} {
		made, err := New(plan.Disruption{Name: "d", Container: &plan.Container{Name: name, Engine: "unix://" + e.socket}, Kill: &plan.Kill{}}, Site{Note: quiet})
		require.NoError(t, err)
		_, err = made.Prepare(t.Context())
		require.ErrorContains(t, err, want)
	}
	is := ownContainer()
	require.False(t, is(e.containers["a"].id))
	require.Equal(t, len(host) == 12, is(host+strings.Repeat("0", 52)))
}

func TestAContainerThatWasRemovedMeanwhile(t *testing.T) {
	e := newFakeEngine(t, "a")
	made, err := New(plan.Disruption{Name: "d", Container: &plan.Container{Name: "a", Engine: "unix://" + e.socket}, Kill: &plan.Kill{}}, Site{Note: quiet})
	require.NoError(t, err)
	lift, err := made.Inject(t.Context(), func(json.RawMessage) error { return nil })
	require.NoError(t, err)
	e.mu.Lock()
	gone := e.containers["a"]
	delete(e.containers, "a")
	e.mu.Unlock()
	_, err = lift(t.Context())
	require.ErrorContains(t, err, "start: the engine answered 404: No such container")
	e.mu.Lock()
	e.containers["a"] = gone
	e.mu.Unlock()
	_, err = lift(t.Context())
	require.NoError(t, err)
}

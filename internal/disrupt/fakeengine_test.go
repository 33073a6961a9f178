package disrupt

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeEngine answers as the Docker Engine API documents it, for containers that
// are only a state: 204 when it was done, 304 when it was so already, 404 for
// what is not there, 409 for what can not be done now.
type fakeEngine struct {
	socket string

	mu         sync.Mutex
	containers map[string]*fakeContainer // by name
	calls      []string
}

type fakeContainer struct {
	id              string
	label           string
	running, paused bool
	starts          int
	autoRemove      bool
}

func newFakeEngine(t *testing.T, names ...string) *fakeEngine {
	t.Helper()
	e := &fakeEngine{socket: filepath.Join(t.TempDir(), "e.sock"), containers: map[string]*fakeContainer{}}
	for i, name := range names {
		e.containers[name] = &fakeContainer{id: strings.Repeat(fmt.Sprint(i), 64), label: "app=shop", running: true, starts: 1}
	}
	l, err := net.Listen("unix", e.socket)
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(e.routes())
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return e
}

func (e *fakeEngine) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_ping", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "OK") })
	mux.HandleFunc("GET /containers/json", e.list)
	mux.HandleFunc("GET /containers/{id}/json", e.on(func(c *fakeContainer, w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"Id":         c.id,
			"State":      map[string]any{"Running": c.running, "Paused": c.paused, "Pid": 100 + c.starts, "StartedAt": fmt.Sprintf("2026-01-02T15:04:%02dZ", c.starts)},
			"HostConfig": map[string]any{"AutoRemove": c.autoRemove},
		})
	}))
	for action, do := range actions {
		mux.HandleFunc("POST /containers/{id}/"+action, e.on(func(c *fakeContainer, w http.ResponseWriter, r *http.Request) {
			e.calls = append(e.calls, action)
			status, message := do(c, r)
			w.WriteHeader(status)
			if message != "" {
				_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
			}
		}))
	}
	return mux
}

var actions = map[string]func(c *fakeContainer, r *http.Request) (int, string){
	"kill": func(c *fakeContainer, r *http.Request) (int, string) {
		if !c.running {
			return http.StatusConflict, "container is not running"
		}
		if !strings.HasPrefix(r.URL.Query().Get("signal"), "SIG") {
			return http.StatusBadRequest, "invalid signal"
		}
		c.running, c.paused = false, false
		return http.StatusNoContent, ""
	},
	"stop": func(c *fakeContainer, _ *http.Request) (int, string) {
		if !c.running {
			return http.StatusNotModified, ""
		}
		c.running, c.paused = false, false
		return http.StatusNoContent, ""
	},
	"start": func(c *fakeContainer, _ *http.Request) (int, string) {
		if c.paused {
			return http.StatusConflict, "cannot start a paused container, try unpause instead"
		}
		if c.running {
			return http.StatusNotModified, ""
		}
		c.running = true
		c.starts++
		return http.StatusNoContent, ""
	},
	"pause": func(c *fakeContainer, _ *http.Request) (int, string) {
		if !c.running || c.paused {
			return http.StatusConflict, "container is not running or already paused"
		}
		c.paused = true
		return http.StatusNoContent, ""
	},
	"unpause": func(c *fakeContainer, _ *http.Request) (int, string) {
		if !c.paused {
			return http.StatusInternalServerError, "container is not paused"
		}
		c.paused = false
		return http.StatusNoContent, ""
	},
}

func (e *fakeEngine) list(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var filters map[string][]string
	_ = json.Unmarshal([]byte(r.URL.Query().Get("filters")), &filters)
	all := []map[string]any{}
	for name, c := range e.containers {
		state := map[[2]bool]string{{true, false}: "running", {true, true}: "paused"}[[2]bool{c.running, c.paused}]
		if state == "" {
			state = "exited"
		}
		wanted := c.running || r.URL.Query().Get("all") == "1"
		if wanted && (len(filters["label"]) == 0 || filters["label"][0] == c.label) {
			all = append(all, map[string]any{"Id": c.id, "Names": []string{"/" + name}, "State": state})
		}
	}
	_ = json.NewEncoder(w).Encode(all)
}

func (e *fakeEngine) on(do func(*fakeContainer, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		for name, c := range e.containers {
			if r.PathValue("id") == c.id || r.PathValue("id") == name {
				do(c, w, r)
				return
			}
		}
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": "No such container: " + r.PathValue("id")})
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// notes is an API that is unlike that of the shop: what tenants keep there, of
// which a list shows only a part.
type notes struct {
	mu   sync.Mutex
	kept map[string]note // by uid
}

type note struct {
	UID   string    `json:"uid"`
	Title string    `json:"title"`
	At    time.Time `json:"at"`
}

const notesShown = 5

// routes fills the notes: twelve that tests left behind yesterday, one of theirs
// from just now, and an old one of somebody else.
func (n *notes) routes(mux *http.ServeMux) {
	n.kept = map[string]note{}
	yesterday := time.Now().Add(-24 * time.Hour)
	for i := range 12 {
		n.keep(note{fmt.Sprintf("n%02d", i), "probe-left-behind", yesterday})
	}
	n.keep(note{"n90", "probe-of-now", time.Now()})
	n.keep(note{"n91", "shopping list", yesterday})
	mux.HandleFunc("GET /v2/notes", n.list)
	mux.HandleFunc("PUT /v2/notes/{title}", n.put)
	mux.HandleFunc("DELETE /v2/notes/{uid}/now", n.remove)
	mux.HandleFunc("GET /usage/{tenant}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"billed": {"notes": 0}}`)
	})
}

func (n *notes) keep(one note) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kept[one.UID] = one
}

func (n *notes) list(w http.ResponseWriter, _ *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	shown := []note{}
	for _, uid := range slices.Sorted(maps.Keys(n.kept)) {
		shown = append(shown, n.kept[uid])
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"notes": shown[:min(notesShown, len(shown))]}})
}

// put is only for editors.
func (n *notes) put(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Class") != "editor" {
		http.Error(w, "readers can not do that", http.StatusForbidden)
		return
	}
	n.keep(note{"own-" + r.PathValue("title"), r.PathValue("title"), time.Now()})
	w.WriteHeader(http.StatusNoContent)
}

func (n *notes) remove(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.kept[r.PathValue("uid")]; !ok {
		w.WriteHeader(http.StatusGone)
		return
	}
	delete(n.kept, r.PathValue("uid"))
	w.WriteHeader(http.StatusNoContent)
}

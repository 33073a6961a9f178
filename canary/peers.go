package canary

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"resilience/internal/plan"
)

// Peers are the other locations that look at the same system. Each asks the
// others what incidents they see.
type Peers struct {
	location plan.Location
	clients  map[string]*http.Client // by name
	since    int64

	mu    sync.Mutex
	heard map[string]report
}

// report is what a location said last.
type report struct {
	at   int64
	open map[string]bool // by rule: whether its receivers were told
}

// How often peers are asked, how long they may take, and for how long what they
// said is taken for true.
const (
	peerEvery   = 5 * time.Second
	peerTimeout = 5 * time.Second
	peerStale   = 20 * time.Second
	peerAnswer  = 4 << 20 // bytes
)

// NewPeers makes the peers of a location. Clients are those that trust each
// peer's certificate, by its name.
func NewPeers(l plan.Location, clients map[string]*http.Client) *Peers {
	return &Peers{location: l, clients: clients, since: time.Now().UnixNano(), heard: map[string]report{}}
}

// Run asks the others until the context ends.
func (p *Peers) Run(ctx context.Context) {
	var all sync.WaitGroup
	for name := range p.location.Peers {
		all.Go(func() {
			ticker := time.NewTicker(peerEvery)
			defer ticker.Stop()
			for {
				if r, err := p.ask(ctx, name); err == nil { // who can not be heard has no say
					p.mu.Lock()
					p.heard[name] = r
					p.mu.Unlock()
				}
				select {
				case <-ticker.C:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	all.Wait()
}

// ask asks one of them.
func (p *Peers) ask(ctx context.Context, name string) (report, error) {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	url := strings.TrimSuffix(p.location.Peers[name].URL, "/") + "/api/v1/status"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return report{}, err
	}
	request.Header.Set("Authorization", "Bearer "+p.location.Token)
	response, err := p.clients[name].Do(request)
	if err != nil {
		return report{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return report{}, fmt.Errorf("location %s: status %d", name, response.StatusCode)
	}
	var said Status
	if err := json.NewDecoder(io.LimitReader(response.Body, peerAnswer)).Decode(&said); err != nil {
		return report{}, fmt.Errorf("location %s: %w", name, err)
	}
	if said.Location != name {
		return report{}, fmt.Errorf("location %s calls itself %q", name, said.Location)
	}
	r := report{at: time.Now().UnixNano(), open: map[string]bool{}}
	for _, i := range said.Open {
		r.open[i.Rule] = i.Told > 0
	}
	return r, nil
}

// Agree says what the others that can be heard say of a rule. Where fewer can be
// heard than have to agree, those are enough: a part of the network that is cut
// off is no reason to be silent.
func (p *Peers) Agree(rule string, now int64) Agreement {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := Agreement{Need: p.location.Quorum}
	heard := 1
	for _, name := range slices.Sorted(maps.Keys(p.heard)) {
		r := p.heard[name]
		if now-r.at > int64(peerStale) {
			continue
		}
		heard++
		if told, open := r.open[rule]; open {
			a.Names, a.Told = append(a.Names, name), a.Told || told
		}
	}
	if now-p.since >= int64(peerStale) { // before, they may not have been asked yet
		a.Need = min(a.Need, heard)
	}
	return a
}

package shadow

import (
	"cmp"
	"errors"
	"io"
	"maps"
	"slices"
	"time"
)

// Summary counts what a recording holds.
type Summary struct {
	Size      int64 // of the file, in bytes
	Complete  bool  // it was closed by its writer
	Blocks    int   // that hold something of what is selected
	Exchanges uint64
	First     time.Time      // when its first exchange began
	Last      time.Time      // when its last exchange began
	Tenants   []string       // sorted, at most 10,000; "" is none
	Routes    []RouteSummary // the most frequent first, at most 10,000; the rest is one
	Damage    []*DamageError // what could not be read, at most 100
}

// RouteSummary counts the exchanges of a route.
type RouteSummary struct {
	Route     string
	Exchanges uint64
	Bytes     uint64         // of the bodies that are kept
	Statuses  map[int]uint64 // 0 is no answer
}

// What a summary holds at most, so that no recording can make it grow for ever.
const (
	mostListed   = 10_000 // routes or tenants
	mostDamage   = 100
	restOfRoutes = "(other routes)"
)

// counting makes a summary.
type counting struct {
	Summary
	tenants map[string]bool
	routes  map[string]*RouteSummary
	block   int64 // the last one that was counted
}

// Summarize counts all that is selected, from the beginning to the end. Without a selection the heads of the blocks
// are enough, and nothing is unpacked.
func (r *Reader) Summarize() (Summary, error) {
	r.Select(r.chosen)
	c := &counting{Summary: Summary{Size: r.size, Complete: r.ended}, tenants: map[string]bool{}, routes: map[string]*RouteSummary{}}
	for {
		h, err := r.nextCount()
		var damage *DamageError
		switch {
		case errors.As(err, &damage):
			if len(c.Damage) < mostDamage {
				c.Damage = append(c.Damage, damage)
			}
		case errors.Is(err, io.EOF):
			return c.summary(), nil
		case err != nil:
			return c.summary(), err
		default:
			c.add(h, r.blockAt)
		}
	}
}

// nextCount gives the head of a block, or what it would be of one exchange.
func (r *Reader) nextCount() (head, error) {
	if s := r.chosen; s.From.IsZero() && s.To.IsZero() && len(s.Tenants)+len(s.Routes) == 0 {
		h, _, err := r.nextHead()
		return h, err
	}
	x, err := r.nextInFile()
	if err != nil {
		return head{}, err
	}
	return headOf([]Exchange{x}), nil
}

func (c *counting) add(h head, block int64) {
	first, last := time.Unix(0, h.first).UTC(), time.Unix(0, h.last).UTC()
	if c.Exchanges == 0 || first.Before(c.First) {
		c.First = first
	}
	if c.Exchanges == 0 || last.After(c.Last) {
		c.Last = last
	}
	if c.Exchanges += h.count; c.block != block {
		c.Blocks, c.block = c.Blocks+1, block
	}
	for _, t := range h.tenants {
		if len(c.tenants) < mostListed {
			c.tenants[t] = true
		}
	}
	for _, r := range h.routes {
		c.route(r)
	}
}

func (c *counting) route(r routeHead) {
	to := c.routes[r.route]
	if to == nil && len(c.routes) >= mostListed {
		r.route = restOfRoutes
		to = c.routes[restOfRoutes]
	}
	if to == nil {
		to = &RouteSummary{Route: r.route, Statuses: map[int]uint64{}}
		c.routes[r.route] = to
	}
	to.Bytes += r.bytes
	for status, n := range r.statuses {
		to.Exchanges += n
		to.Statuses[status] += n
	}
}

func (c *counting) summary() Summary {
	c.Tenants = slices.Sorted(maps.Keys(c.tenants))
	for _, r := range c.routes {
		c.Routes = append(c.Routes, *r)
	}
	slices.SortFunc(c.Routes, func(a, b RouteSummary) int {
		return cmp.Or(cmp.Compare(b.Exchanges, a.Exchanges), cmp.Compare(a.Route, b.Route))
	})
	return c.Summary
}

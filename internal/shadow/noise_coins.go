package shadow

import (
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"resilience/gates/evidence"
)

// coins are what was thrown at a field.
type coins struct {
	watch  evidence.PairWatch
	block  evidence.Pairs
	began  time.Time // the block
	blocks uint64    // that had any
}

// thrown is that a session has thrown its coin at a field.
type thrown struct {
	field   *field
	session uint64
}

// throw throws the coins of an exchange at a field.
func (f *Findings) throw(r *routeFields, o Observed, t touched) {
	if o.Paired {
		if t.candidate != t.noise {
			f.coin(t.field, o, t.candidate)
		}
		return
	}
	switch t.key.kind {
	case Missing:
		f.oneOfTwo(r, o, t, Added)
	case Added:
		f.oneOfTwo(r, o, t, Missing)
	case Type, Format, Encoding, Failed, Damaged:
		f.oneWay(o, t)
	case Changed:
		if t.key.place == statusPlace {
			f.oneWay(o, t)
		}
	}
}

// oneOfTwo throws a coin with the kinds missing and added on its sides. The one by
// which a field was found does not count: it could have been no other.
func (f *Findings) oneOfTwo(r *routeFields, o Observed, t touched, opposite Kind) {
	is := func(d Difference) bool { return d.Kind == opposite && d.Place == t.difference.Place }
	if slices.ContainsFunc(o.Candidate, is) {
		return // both at once: items of a list
	}
	if !t.fresh {
		f.coin(t.field, o, true)
	}
	if other := r.fields[fieldKey{t.key.place, opposite, 0}]; other != nil {
		f.coin(other, o, false)
	}
}

// oneWay throws a coin for the way in which a value differs: as at the first time,
// or the other way round.
func (f *Findings) oneWay(o Observed, t touched) {
	way := strings.Compare(t.difference.Baseline, t.difference.Candidate)
	if t.field.direction == 0 {
		t.field.direction = way
		return
	}
	if way != 0 {
		f.coin(t.field, o, way == t.field.direction)
	}
}

// longAgo is how much earlier an exchange that ended late may have begun than the
// block that it is counted in. What is earlier than that is of another clock.
const longAgo = 10 * time.Minute

// sessionSeed is of the hashes of sessions.
var sessionSeed = maphash.MakeSeed()

// coin throws a coin, unless its session has thrown one already.
func (f *Findings) coin(of *field, o Observed, candidate bool) {
	if o.Session != "" && !f.news(of, maphash.String(sessionSeed, o.Session)) {
		return
	}
	if of.number == 0 { // whichever way the coin falls
		f.tested++
		of.number = f.tested
	}
	of.all.add(o.At, candidate, f.options.Block)
	if o.Session == "" && o.Asker != "" {
		f.compareWithFirst(of, o, candidate)
	}
}

func (c *coins) add(at time.Time, candidate bool, block time.Duration) {
	if since := at.Sub(c.began); since >= block || since < -longAgo {
		c.end()
		c.began = at
	}
	c.block.Discordant++
	if candidate {
		c.block.Candidate++
	}
}

// now is what is known with the block that is under way, which goes on.
func (c *coins) now() *evidence.PairWatch { return c.watch.With(c.block) }

// seen is in how many blocks coins were thrown.
func (c *coins) seen() uint64 {
	if c.block.Discordant > 0 {
		return c.blocks + 1
	}
	return c.blocks
}

// end adds the block to what is known.
func (c *coins) end() {
	if c.block.Discordant > 0 {
		c.blocks++
	}
	c.watch.Add(c.block)
	c.block = evidence.Pairs{}
}

// compareWithFirst learns whether the coins of a session at a field all fall alike, as
// they do where each session was dealt something at its beginning, on each lane for
// itself: a variant by the id that it was given.
func (f *Findings) compareWithFirst(of *field, o Observed, candidate bool) {
	key := thrown{of, maphash.String(sessionSeed, o.Asker)}
	switch first, known := f.firsts[key]; {
	case !known:
		if f.firsts == nil || len(f.firsts) >= maxThrown {
			f.firsts = map[thrown]bool{}
		}
		f.firsts[key] = candidate
		of.firsts.add(o.At, candidate, f.options.Block)
	case first:
	case candidate:
		of.against++
	default:
		of.again++
	}
}

// dealtAlike is how many later coins show that those of a session fall alike.
const dealtAlike = 5

// evidence are the coins that count. Of a regression, those of a session whose first one
// was by chance of noise are of the candidate later; where they stay of noise, what
// differs there was dealt to sessions, and each is one cause.
func (of *field) evidence() *coins {
	if of.again >= dealtAlike && of.again >= 10*of.against {
		return &of.firsts
	}
	return &of.all
}

// news tells whether a session throws its first coin at a field. Of very many it is
// forgotten at some time that they did.
func (f *Findings) news(of *field, session uint64) bool {
	key := thrown{of, session}
	if f.thrown[key] {
		return false
	}
	if f.thrown == nil || len(f.thrown) >= maxThrown {
		f.thrown = map[thrown]bool{}
	}
	f.thrown[key] = true
	return true
}

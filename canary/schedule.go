package canary

import (
	"container/heap"
	"encoding/binary"
	"hash/fnv"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Task is one transaction and the tenants that try it.
type Task struct {
	Name    string // of the transaction
	Plan    plan.CanaryTask
	Tenants []plan.Identity // nobody: one that has no name
}

// Scheduler says what is due next. Each tenant tries each transaction once in an
// interval, at an offset that is drawn by its name: probes are spread evenly,
// and whoever looks at the times of one knows when it will be next. The offset
// is that from the Unix epoch, so a daemon that starts again keeps every beat. A
// Scheduler is not safe for concurrent use.
type Scheduler struct {
	slots slots
	under map[uint64]*slot // probes that were handed out, by number
	again []measure.Probe  // lost ones, which are due at once
	seq   uint64

	skipped, late uint64
}

// slot is one tenant's turn at one transaction.
type slot struct {
	task   *Task
	tenant plan.Identity
	beat   int64 // when it is due next on its own grid
	due    int64 // beat, or sooner when one was missed
	busy   bool
}

// catchUp is the time over which what was missed while no daemon ran is spread
// at most, so that a start is slow.
const catchUp = time.Minute

// NewScheduler makes the schedule of some tasks from now on. Seed tells plans
// apart. Last gives when a tenant last tried a transaction, 0 for never: what
// was due since then is tried soon, not a whole interval later.
func NewScheduler(tasks []Task, seed string, now int64, last func(transaction, tenant string) int64) *Scheduler {
	s := &Scheduler{under: map[uint64]*slot{}}
	for i := range tasks {
		task := &tasks[i]
		for _, tenant := range task.Tenants {
			s.slots = append(s.slots, newSlot(task, tenant, seed, now, last(task.Name, tenant.Name)))
		}
	}
	heap.Init(&s.slots)
	return s
}

func newSlot(task *Task, tenant plan.Identity, seed string, now, last int64) *slot {
	every := int64(task.Plan.Every)
	drawn := draw(seed, task.Name, tenant.Name)
	offset := int64(drawn % uint64(every)) //nolint:gosec // an interval is positive
	beat := now - now%every + offset
	if beat <= now {
		beat += every
	}
	s := &slot{task: task, tenant: tenant, beat: beat, due: beat}
	missed := last > 0 && last < beat-every // its last beat went by without it
	if soon := now + int64(drawn>>32)%min(every, int64(catchUp)); missed && soon < beat-every/2 {
		s.due = soon
	}
	return s
}

// draw gives a number that is random but for its names always the same.
func draw(names ...string) uint64 {
	h := fnv.New64a()
	for _, name := range names {
		_, _ = h.Write(append([]byte(name), 0))
	}
	// The last bytes of FNV sums of similar names are similar: mix them
	// (the finalizer of MurmurHash3, by Austin Appleby).
	x := binary.BigEndian.Uint64(h.Sum(nil))
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// Due gives the probe that is due, and whether there is one. It is the same
// until Begin is called.
func (s *Scheduler) Due(now int64) (measure.Probe, bool) {
	if len(s.again) > 0 {
		return s.again[0], true
	}
	for len(s.slots) > 0 && s.slots[0].due <= now {
		first := s.slots[0]
		if !first.busy {
			return first.probe(s.seq + 1), true
		}
		s.skipped++
		s.turn(now)
	}
	return measure.Probe{}, false
}

func (s *slot) probe(seq uint64) measure.Probe {
	p := s.task.Plan
	return measure.Probe{
		Seq: seq, Transaction: s.task.Name, Exec: p.Exec, Tenant: s.tenant.Name, Due: s.due,
		Timeout: time.Duration(p.Timeout), Tries: p.Tries, Wait: time.Duration(p.Wait),
	}
}

// Wait is how long it takes until something is due; false when nothing ever is.
func (s *Scheduler) Wait(now int64) (time.Duration, bool) {
	switch {
	case len(s.again) > 0:
		return 0, true
	case len(s.slots) == 0:
		return 0, false
	}
	return time.Duration(max(0, s.slots[0].due-now)), true
}

// Begin says that the probe that is due was handed out.
func (s *Scheduler) Begin(now int64) {
	if len(s.again) > 0 {
		s.again = s.again[1:]
		return
	}
	first := s.slots[0]
	s.seq++
	s.under[s.seq] = first
	first.busy = true
	if late := now - first.due; late > min(int64(time.Second), int64(first.task.Plan.Every)/2) {
		s.late++
	}
	s.turn(now)
}

// turn gives the slot that is due its next time. What a generator that was late
// has missed altogether is skipped.
func (s *Scheduler) turn(now int64) {
	first, every := s.slots[0], int64(s.slots[0].task.Plan.Every)
	if first.due == first.beat {
		first.beat += every
	}
	if behind := now - first.beat; behind >= every {
		s.skipped += uint64(behind / every) //nolint:gosec // positive
		first.beat += behind / every * every
	}
	first.due = first.beat
	heap.Fix(&s.slots, 0)
}

// Done says that a probe has its answer. A number that is not under way is
// ignored.
func (s *Scheduler) Done(seq uint64) (plan.CanaryTask, bool) {
	done, known := s.under[seq]
	if !known {
		return plan.CanaryTask{}, false
	}
	delete(s.under, seq)
	done.busy = false
	return done.task.Plan, true
}

// Lost says that nobody knows what became of a probe: it is due again at once,
// under the same number.
func (s *Scheduler) Lost(seq uint64, now int64) {
	if lost, known := s.under[seq]; known {
		again := lost.probe(seq)
		again.Due = now
		s.again = append(s.again, again)
	}
}

// slots is a heap, the one that is due first on top.
type slots []*slot

func (s slots) Len() int           { return len(s) }
func (s slots) Less(i, j int) bool { return s[i].due < s[j].due }
func (s slots) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *slots) Push(x any)        { *s = append(*s, x.(*slot)) }
func (s *slots) Pop() any          { panic("slots are never taken away") }

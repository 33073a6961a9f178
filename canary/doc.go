// Package canary is the continuous canary: synthetic tenants that try, around
// the clock, what customers do, and page a human once, when it matters.
//
// A [Scheduler] says which transaction is due next, and as which tenant. An
// engine outside of this package ([Prober]) carries it out and answers with an
// attempt. Every attempt goes to the [Watcher], which gathers evidence for each
// rule of the plan, opens and closes [Incident]s, and decides what people are
// told: [Notice]s. Attempts, incidents and notices that are still to be
// delivered are committed to a [State] together, before anything is delivered,
// so that a daemon that is killed forgets nothing and tells nothing twice. The
// [Mailer] delivers what the state holds, at least once, with a key by which
// receivers know what they have already. What can be computed of it all, such
// as MTBF and budgets, is pure functions over incidents and windows; the status
// page, the API and the metrics show that.
//
// Times are Unix nanoseconds in UTC.
package canary

// Package gates is the language in which a plan says what must hold, and the
// judgement of whether it did. It is pure: gates and a record go in, a verdict
// comes out; no clock, no files, no network. The same record gives the same
// verdict, byte for byte, whenever and wherever it is judged again.
//
// # The language
//
// A gate reads as a sentence ([Parse]): "latency p95 of checkout <= 300ms
// during payments-slow". It names an SLI of one table ([SLIs]), a k6 metric or
// a query to the monitoring, what of it to take, whose traffic, an objective,
// and a period. The objective is a number, another SLI, or the baseline with a
// change. What is wrong with a sentence is said with its place and, where
// something near exists, with what was probably meant.
//
// # Periods
//
// The events of a run say when tests ran and warmed up, and when disruptions
// really were in effect. From them come the periods: steady, during, after,
// overall. An attempt belongs to the second in which it started; a window with
// the edge of a period in it belongs to neither side, and counts only overall.
//
// # What is counted
//
// The attempts of a test are its transactions, or its requests where it has
// none, and the arrivals that could not start because everything was waiting
// for the target: they failed, and took longer than any limit. An attempt that
// never ended took at least as long as it had waited. Each kind of window is
// added up as it comes by, in one pass, in memory bounded by gates, series and
// seconds. Where it is not known whose attempts the arrivals would have been
// that could not start (a gate may look at one route of several), a gate passes
// only if it would pass with all of them against it. What a dependency saw
// counts while tests ran and none was warming up. Recovery slides a pool of three seconds or thirty attempts over the
// seconds after lifting.
//
// # Evidence
//
// A share is judged by the exact binomial interval (Clopper and Pearson 1934).
// A quantile is judged as a share too: p95 <= 300ms says that at most 5 % take
// longer, and the number that did is binomial whatever the distribution (order
// statistics). So both can say how many samples they need and how many
// failures would fail them. Means and rates are judged by the means of whole
// seconds with Student's t, ratios of counts by the conditional binomial; see
// package evidence for the sources.
//
// No number of samples shows that all of them are good: promises of 100 %, of
// no error, and maxima want as many as 99 % does, and the check says what those
// show. Rates want five whole seconds. A baseline wants as many samples as the
// gate, and at least thirty.
//
// With n samples enough to show the objective, a gate passes when its estimate
// meets the objective. It fails, with however few samples, when its one-sided
// interval excludes the objective. Between the two it is inconclusive. A
// strict gate passes only when the interval meets the objective as well. Ten
// gates are ten chances to fail a healthy system, so the allowed error (5 %
// unless a gate says otherwise) is split evenly over the critical gates of a
// phase (Bonferroni); the samples needed are not changed by that. A baseline
// is measured too: to fail, a gate must be beyond the interval of both. Where the
// baseline is an arm of the same phase, a share or a quantile of latencies that
// is compared with it by a margin passes only when it is shown to be within it
// (non-inferiority, by blocks of ten seconds of both arms), and fails only when the
// arms do not vary enough from block to block to explain it. A baseline that was
// interrupted, fell short or was not disrupted as it should have been shows
// nothing. Beside max() and min() a part that is known and met is enough.
//
// Of several records of earlier runs the median counts, with their range as its
// interval. A verdict is about the version that the targets told before and
// after the tests; when they told another one, or none, nothing passes.
//
// # Budgets and models
//
// An [Objective] allows a share of bad events over a window; burn and budget say
// how that share compares with what was seen, and are judged like shares. What
// was seen are the run's own attempts or counts that an event of the record
// tells, over pairs of a long and a short window (The Site Reliability Workbook,
// chapter 5). A model ([Part]) composes availability of parts in series and in
// parallel; composed is judged by the bounds of its measured parts together,
// for it only grows with each of theirs.
//
// # Going on
//
// [Extension] tells whether a phase that is inconclusive only for want of
// evidence should send a while longer. A phase of which that may be asked is
// judged twice, so that each time has half of the allowed error; its record says
// so. A test of it then has two parts, each with its warm-up, and what lies
// between them is no time in which it ran.
//
// # Watching
//
// A [Watch] tests the steady gates of a phase each second while it goes on. Its
// tests are made to be looked at as often as one likes: they bet against the
// candidate, and end the phase once the bet has won so much that it would do so
// over a healthy one in no more than the allowed share of phases (e-processes;
// see package evidence). What it found is an event of the record, and a failed
// check whenever that is judged.
//
// # The verdict
//
// One failed critical gate fails the phase, whatever else went wrong. Without
// one, anything that makes a pass unbelievable makes it inconclusive, and the
// weightiest cause is named: the run was interrupted, the generator did not deliver, a disruption did
// not bite, there is not enough evidence. No gates, no data and no attempts
// are evidence of nothing. Gates of severity warning are reported and decide
// nothing; so do those that are not calibrated yet, and those that somebody
// waived while the waiver holds. Gates may be weighed into a score, which decides
// only where a gate asks for it.
package gates

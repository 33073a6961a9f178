// Package report tells people and pipelines what a run showed.
//
// A run leaves a record; judging the record gives one verdict for each phase.
// [NewDocument] puts the verdicts, a few examples of failures and the exit code
// into a [Document], which is everything that a report may say. A [Format]
// writes that document for one kind of reader: a terminal, a program, a CI
// system, a reviewer of a pull request. There is one file and one line in the
// table of formats for each, and all of them pass the same contract test.
//
// Reports compute no verdicts: what was observed, the objective and the
// evidence are shown in the words of package gates. The same document gives
// the same bytes, so that judging a record twice gives the same files.
//
// Names, messages and addresses in a document come from plans, scripts and the
// system under test and may hold anything. Each format makes them harmless for
// its reader: no control character reaches a terminal, no markup a page, no
// workflow command a CI log.
//
// [Live] is the view of a run that is still going on.
package report

// Package archtest holds the rules that keep this module simple, as tests.
//
// The rules are about source, so nothing is built: every Go file is parsed,
// those for other systems too, and each rule looks at all of them. A rule is a
// function in the table checks that gives one complaint for each place where it
// is broken. Beside the module, it is tried on a small module in
// testdata/RULE.txtar that breaks it, so that no rule can rot into one that
// never complains.
//
// The import rule is the table mayImport. A new package needs a row there.
package archtest

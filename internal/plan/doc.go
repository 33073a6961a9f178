// Package plan turns the YAML file that says what to run and what must hold
// into a [Plan]. [Load] is a pipeline, and each stage is a file:
//
//	read       the bytes of a file, at most 1 MiB                  load.go
//	guard      UTF-8, size, depth: what a parser may choke on       guard.go, shield.go
//	parse      YAML to a tree of nodes that know their places;
//	           anchors, aliases and merge keys are resolved        tree.go, alias.go
//	include    other files are merged into the tree                include.go
//	variables  ${VAR} is replaced; ${services.shop.url} and the
//	           like stay, and are checked                          variables.go, text.go
//	decode     the tree becomes a Plan: unknown keys, wrong types  decode.go, gate.go, units.go
//	defaults   what was left out is filled in, in one place        defaults.go
//	validate   rules, one small function each, in visible tables   validate.go, rules_*.go
//
// Every mistake is a [Problem] with file, line and column; all independent ones
// are reported together as [Errors].
//
// What comes out still holds placeholders for what is only known at run time,
// such as the port of a service; [Bind] replaces them in a copy. [Profile] and
// [Phase] know their own time line, which is what a dry run prints and the
// conductor follows.
package plan

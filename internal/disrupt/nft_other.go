//go:build !linux

package disrupt

import (
	"context"
	"errors"
	"time"
)

// errNotLinux is why an agent only works where pods run.
var errNotLinux = errors.New("an agent works in pods on Linux only")

// ruleset is for Linux.
type ruleset struct{}

func newRuleset(string) (*ruleset, error)                { return nil, errNotLinux }
func (*ruleset) redirect(int, int) error                 { return errNotLinux }
func (*ruleset) release() error                          { return errNotLinux }
func (*ruleset) lose([]int, string, float64) error       { return errNotLinux }
func (*ruleset) keep() (matched, lost uint64, _ error)   { return 0, 0, errNotLinux }
func (*ruleset) losses() (matched, lost uint64, _ error) { return 0, 0, errNotLinux }
func (*ruleset) close() error                            { return nil }
func ownTables(string) ([]string, error)                 { return nil, errNotLinux }

func resetConnections(context.Context, int, time.Duration) (int, error) { return 0, errNotLinux }

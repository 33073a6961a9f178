package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"resilience/internal/plan"
	"resilience/internal/shadow"
)

// shadowShow is one call of the command.
type shadowShow struct {
	out      io.Writer
	path     string
	asJSON   bool
	limit    uint64
	from, to string
	chosen   shadow.Selection
}

func shadowShowCommand(s *streams) *cobra.Command {
	v := &shadowShow{}
	cmd := &cobra.Command{
		Use:   "show RECORDING",
		Short: "Show what is in a recording",
		Long: `show counts the exchanges of a recording by route, and how they were answered.
With --json it writes the exchanges, one in a line. Parts that are damaged are
named and passed over; then the exit code is 1.`,
		Args: exactly(1, "a recording"),
		RunE: func(_ *cobra.Command, args []string) (err error) {
			v.out, v.path = s.out, args[0]
			return v.run()
		},
	}
	cmd.Flags().BoolVar(&v.asJSON, "json", false, "write exchanges as lines of JSON")
	cmd.Flags().Uint64Var(&v.limit, "limit", 0, "write so many exchanges at most; 0 is all of them")
	cmd.Flags().StringArrayVar(&v.chosen.Routes, "route", nil, "only exchanges of a `ROUTE`, such as \"GET /orders/{id}\"; repeatable")
	cmd.Flags().StringArrayVar(&v.chosen.Tenants, "tenant", nil, "only exchanges of a `TENANT`; repeatable")
	cmd.Flags().StringVar(&v.from, "from", "", "only exchanges that began at a `TIME` or later, such as 2026-01-02T15:04:05Z")
	cmd.Flags().StringVar(&v.to, "to", "", "only exchanges that began before a `TIME`")
	return cmd
}

func (v *shadowShow) run() (err error) {
	for flag, one := range map[string]struct {
		text string
		to   *time.Time
	}{"from": {v.from, &v.chosen.From}, "to": {v.to, &v.chosen.To}} {
		if one.text == "" {
			continue
		}
		if *one.to, err = time.Parse(time.RFC3339Nano, one.text); err != nil {
			return &usageError{fmt.Sprintf("--%s wants a time such as 2026-01-02T15:04:05Z; got %q", flag, one.text)}
		}
	}
	r, err := shadow.Open(v.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	r.Select(v.chosen)
	if v.asJSON {
		return v.list(r)
	}
	sum, err := r.Summarize()
	if err != nil {
		return err
	}
	v.summary(sum, r.Declared())
	return damaged(sum.Damage)
}

// damaged joins what was damaged into an error, nil where nothing was.
func damaged(all []*shadow.DamageError) error {
	var errs []error
	for _, d := range all {
		errs = append(errs, d)
	}
	return errors.Join(errs...)
}

func (v *shadowShow) summary(sum shadow.Summary, declared shadow.Declared) {
	fmt.Fprintf(v.out, "%s: %d exchanges in %d blocks; the file has %s\n", v.path, sum.Exchanges, sum.Blocks, plan.Size(sum.Size))
	if !sum.Complete {
		fmt.Fprintln(v.out, "! it has no end: its writer still writes, or was killed")
	}
	if len(declared.KeptCookies) > 0 {
		fmt.Fprintf(v.out, "cookies that are kept as they were: %s\n", printableText(strings.Join(declared.KeptCookies, ", ")))
	}
	if text := declared.String(); text != "" {
		fmt.Fprintf(v.out, "redacted beside what always is: %s\n", printableText(text))
	}
	if sum.Exchanges == 0 {
		return
	}
	fmt.Fprintf(v.out, "from %s to %s, %s\n", sum.First.Format(time.RFC3339Nano), sum.Last.Format(time.RFC3339Nano), sum.Last.Sub(sum.First))
	if tenants := slices.DeleteFunc(sum.Tenants, func(t string) bool { return t == "" }); len(tenants) > 0 {
		fmt.Fprintf(v.out, "%d tenants: %s\n", len(tenants), someOf(tenants))
	}
	t := tabwriter.NewWriter(v.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ROUTE\tEXCHANGES\tBODIES\tSTATUSES")
	for _, r := range sum.Routes {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\n", printableText(r.Route), r.Exchanges, plan.Size(r.Bytes), statusesText(r.Statuses))
	}
	_ = t.Flush()
}

// printableText writes what is not printable as \x1b, so that a terminal does not
// obey a recording.
func printableText(s string) string {
	quoted := fmt.Sprintf("%+q", s)
	if quoted == `"`+s+`"` {
		return s
	}
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x2028 && r <= 0x202e }) {
		return s
	}
	return quoted[1 : len(quoted)-1]
}

func someOf(names []string) string {
	const most = 10
	var all []string
	for _, n := range names[:min(most, len(names))] {
		all = append(all, printableText(n))
	}
	if more := len(names) - most; more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}

func statusesText(statuses map[int]uint64) string {
	var all []string
	for _, status := range slices.Sorted(maps.Keys(statuses)) {
		name := fmt.Sprint(status)
		if status == 0 {
			name = "no answer"
		}
		all = append(all, fmt.Sprintf("%s: %d", name, statuses[status]))
	}
	return strings.Join(all, ", ")
}

func (v *shadowShow) list(r *shadow.Reader) error {
	var bad []*shadow.DamageError
	e := json.NewEncoder(v.out)
	e.SetEscapeHTML(false)
	for n := uint64(0); v.limit == 0 || n < v.limit; {
		x, err := r.Next()
		var damage *shadow.DamageError
		switch {
		case errors.Is(err, io.EOF):
			return damaged(bad)
		case errors.As(err, &damage):
			bad = append(bad, damage)
			continue
		case err != nil:
			return err
		}
		n++
		if err := e.Encode(shadowLine(x)); err != nil {
			return err
		}
	}
	return damaged(bad)
}

// Lines of --json. Durations are in seconds.
type (
	exchangeJSON struct {
		At       time.Time    `json:"at"`
		Took     float64      `json:"took,omitempty"`
		Session  string       `json:"session,omitempty"`
		Tenant   string       `json:"tenant,omitempty"`
		Route    string       `json:"route"`
		Request  requestJSON  `json:"request"`
		Response responseJSON `json:"response"`
	}
	requestJSON struct {
		Method string              `json:"method"`
		Host   string              `json:"host,omitempty"`
		Target string              `json:"target"`
		Header map[string][]string `json:"header,omitempty"`
		Body   *bodyJSON           `json:"body,omitempty"`
	}
	responseJSON struct {
		Status  int                 `json:"status"` // 0 is no answer
		Failure string              `json:"failure,omitempty"`
		Header  map[string][]string `json:"header,omitempty"`
		Body    *bodyJSON           `json:"body,omitempty"`
	}
	bodyJSON struct {
		Text     string `json:"text,omitempty"`
		Base64   []byte `json:"base64,omitempty"` // what is not UTF-8
		Size     int64  `json:"size"`             // -1 is not known
		Cut      bool   `json:"cut,omitempty"`
		Digest   string `json:"digest,omitempty"`
		Encoding string `json:"encoding,omitempty"`
		Damage   string `json:"damage,omitempty"`
	}
)

func shadowLine(x shadow.Exchange) exchangeJSON {
	return exchangeJSON{
		At: x.At, Took: x.Took.Seconds(), Session: x.Session, Tenant: x.Tenant, Route: x.Route,
		Request:  requestJSON{x.Request.Method, x.Request.Host, x.Request.Target, x.Request.Header, bodyLine(x.Request.Body)},
		Response: responseJSON{x.Response.Status, x.Response.Failure, x.Response.Header, bodyLine(x.Response.Body)},
	}
}

func bodyLine(b shadow.Body) *bodyJSON {
	if b.Size == 0 && !b.Cut && b.Damage == "" {
		return nil
	}
	line := &bodyJSON{Size: b.Size, Cut: b.Cut, Digest: b.Digest, Encoding: b.Encoding, Damage: b.Damage}
	if utf8.Valid(b.Data) {
		line.Text = string(b.Data)
	} else {
		line.Base64 = b.Data
	}
	return line
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"resilience/internal/shadow"
)

// redactFlags are those of commands that write a recording.
type redactFlags struct {
	rules   shadow.RedactionRules
	keyEnv  string
	routes  []string
	maxBody string
}

func (f *redactFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.rules.Paths, "redact", nil, "redact a `PATH` of JSON bodies, such as user.email or cards[*].number, or a field of forms; repeatable")
	flags.StringArrayVar(&f.rules.Headers, "redact-header", nil, "redact a header by its `NAME`, beside those that always are; repeatable")
	flags.StringArrayVar(&f.rules.Query, "redact-query", nil, "redact a query parameter by its `NAME`, beside those that always are; repeatable")
	flags.StringArrayVar(&f.rules.KeepCookies, "keep-cookie", nil, "keep the value of the cookie of this `NAME`, which is no secret, such as lang; a replay sends it; repeatable")
	flags.StringVar(&f.rules.Session, "session", "", "what tells who asks: header:`NAME` or cookie:NAME; unless given, session cookies and Authorization")
	flags.StringVar(&f.rules.Tenant, "tenant", "", "what names the customer: header:`NAME` or cookie:NAME")
	flags.StringArrayVar(&f.routes, "route", nil, "a `TEMPLATE` of paths that are counted together, such as \"GET /users/{name}\"; repeatable")
	flags.StringVar(&f.maxBody, "max-body", "1MiB", "how much of a body is kept, at most 16MiB; of the rest, size and digest")
	flags.StringVar(&f.keyEnv, "key-env", "", "the environment `VARIABLE` with the key of pseudonyms, to have the same ones in several recordings; random unless given")
}

// made are what the flags ask for.
func (f *redactFlags) made() (redactor *shadow.Redactor, routes *shadow.Routes, maxBody int64, err error) {
	if f.keyEnv != "" {
		f.rules.Key = []byte(os.Getenv(f.keyEnv))
		if len(f.rules.Key) == 0 {
			return nil, nil, 0, &usageError{fmt.Sprintf("--key-env: the environment variable %s is empty", f.keyEnv)}
		}
	}
	if maxBody, err = bodySize(f.maxBody); err != nil {
		return nil, nil, 0, err
	}
	redactor, err = shadow.NewRedactor(f.rules)
	if err == nil {
		routes, err = shadow.NewRoutes(f.routes)
	}
	if err != nil {
		return nil, nil, 0, &usageError{err.Error()}
	}
	return redactor, routes, maxBody, nil
}

// shadowImport is one call of the command.
type shadowImport struct {
	streams *streams
	stdin   io.Reader
	options shadow.ImportOptions
	out     string
	strict  bool

	declared shadow.Declared
}

func shadowImportCommand(s *streams) *cobra.Command {
	i := &shadowImport{streams: s}
	var redact redactFlags
	var fields []string
	names, _ := shadow.Formats()
	cmd := &cobra.Command{
		Use:   "import FILE... --out RECORDING",
		Short: "Make a recording of traffic that others recorded or logged",
		Long: `import reads files of these formats, packed with gzip or zstd or not, and writes
one recording; - is the standard input:

` + formatsText() + `
Secrets are replaced by pseudonyms before anything is written. Everything that was
read is counted as kept or skipped, with the reason. Exit codes: 0, also when some
was skipped, unless --strict; 1 when a file could not be read to its end, or
nothing was kept; 2 when the command line is wrong, or a file is not there, empty,
or of none of these formats.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{fmt.Sprintf("%s wants files to import\nusage: %s", cmd.CommandPath(), cmd.UseLine())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if i.options.Redactor, i.options.Routes, i.options.MaxBody, err = redact.made(); err != nil {
				return err
			}
			if i.options.Fields, err = pairs("field", fields); err != nil {
				return err
			}
			i.declared = redact.rules.Declared()
			i.stdin = cmd.InOrStdin()
			return i.run(args)
		},
	}
	cmd.Flags().StringVarP(&i.out, "out", "o", "", "the `RECORDING` to write, a new file")
	cmd.Flags().StringVar(&i.options.Format, "format", "", "the format of all files, one of "+strings.Join(names, ", ")+"; guessed unless given")
	cmd.Flags().StringArrayVar(&fields, "field", nil, "`NAME=KEY`: how a log in JSON calls at, took, method, target, host, status, session, tenant or header.NAME; of an access log, took=10s says that its tenth word is seconds, session=13 that its thirteenth tells users apart; repeatable")
	cmd.Flags().StringArrayVar(&i.options.Hosts, "host", nil, "keep only what was asked of this `HOST`, such as shop.example, and of hosts that nobody knows; repeatable")
	cmd.Flags().BoolVar(&i.strict, "strict", false, "end with 1 when anything was skipped")
	redact.add(cmd)
	return cmd
}

// formatsText lists the formats, one in a line.
func formatsText() string {
	names, docs := shadow.Formats()
	var b strings.Builder
	for n, name := range names {
		fmt.Fprintf(&b, "  %-10s %s\n", name, docs[n])
	}
	return b.String()
}

func (i *shadowImport) run(files []string) error {
	names, _ := shadow.Formats()
	if f := i.options.Format; f != "" && !slices.Contains(names, f) {
		return &usageError{fmt.Sprintf("there is no format %q; use one of %s", f, strings.Join(names, ", "))}
	}
	if i.out == "" {
		return &usageError{"import wants --out RECORDING, the file to write"}
	}
	for _, name := range files {
		if err := shadow.CheckInput(name); name != "-" && err != nil {
			return err
		}
	}
	w, err := shadow.Create(i.out, shadow.Options{MaxBody: i.options.MaxBody, Declared: i.declared})
	if err != nil {
		return &usageError{fmt.Sprintf("--out: %v", err)}
	}
	counts, err := i.all(files, w)
	err = errors.Join(err, w.Close())
	if w.Count() == 0 { // an empty recording is of no use, and in the way of the next one
		err = errors.Join(err, os.Remove(i.out))
	}
	i.tell(files, counts, w.Count())
	return i.judged(counts, err)
}

// judged is what an import ends with.
func (i *shadowImport) judged(counts []shadow.Imported, err error) error {
	var read, kept, skipped uint64
	for _, c := range counts {
		read, kept, skipped = read+c.Read, kept+c.Kept, skipped+c.SkippedAll()
	}
	switch {
	case err != nil:
		return err
	case read == 0:
		return &usageError{"nothing was imported: the files hold no record of their format"}
	case kept == 0 && skipped == 0:
		return fmt.Errorf("nothing was imported: the files hold no exchange of --host %s", strings.Join(i.options.Hosts, ", "))
	case kept == 0:
		return errors.New("nothing was imported: the files hold no exchange that can be kept")
	case i.strict && skipped > 0:
		return fmt.Errorf("%d records were skipped, and --strict allows none", skipped)
	}
	return nil
}

// all imports each file, also after one that could not be read to its end.
func (i *shadowImport) all(files []string, to shadow.Sink) (counts []shadow.Imported, err error) {
	for _, name := range files {
		c, failed := i.one(name, to)
		counts = append(counts, c)
		err = errors.Join(err, failed)
	}
	return counts, err
}

func (i *shadowImport) one(name string, to shadow.Sink) (shadow.Imported, error) {
	options := i.options
	if options.Name = name; name == "-" {
		options.Name = "the standard input"
		return shadow.Import(i.stdin, options, to)
	}
	file, err := os.Open(name)
	if err != nil {
		return shadow.Imported{}, &shadow.InputError{Path: name, Why: err.Error(), Err: err}
	}
	defer func() { _ = file.Close() }() // only read from
	return shadow.Import(file, options, to)
}

func (i *shadowImport) tell(files []string, counts []shadow.Imported, written uint64) {
	t := tabwriter.NewWriter(i.streams.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FILE\tFORMAT\tREAD\tKEPT\tSKIPPED\tANSWERS JOINED")
	for n, c := range counts {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\n", files[n], orDash(c.Format), c.Read, c.Kept, c.SkippedAll(), c.Joined)
	}
	_ = t.Flush()
	for n, c := range counts {
		for _, s := range c.Skipped {
			fmt.Fprintf(i.streams.out, "%s: %d skipped, %s (%s)\n", files[n], s.Count, s.Reason, skipPlaces(s))
		}
		if c.Other > 0 {
			fmt.Fprintf(i.streams.out, "%s: %d not chosen, of other hosts\n", files[n], c.Other)
		}
		for _, text := range []string{i.severalHosts(c), crowdedText(c)} {
			if text != "" {
				fmt.Fprintf(i.streams.out, "%s: %s\n", files[n], text)
			}
		}
	}
	if written > 0 {
		fmt.Fprintf(i.streams.out, "%s: %d exchanges\n", i.out, written)
	}
	if text := i.options.Redactor.Unsought().String(); text != "" {
		fmt.Fprintln(i.streams.out, text)
	}
}

// severalHosts says of what a browser asked, which pages of others have a part in, that
// all of it would be replayed to one target; "" where there is nothing to say.
func (i *shadowImport) severalHosts(c shadow.Imported) string {
	if len(c.Hosts) < 2 || len(i.options.Hosts) > 0 || c.Format != "har" && c.Format != "k6" {
		return ""
	}
	var some []string
	for _, host := range c.Hosts[:min(len(c.Hosts), hostsTold)] {
		some = append(some, host.String())
	}
	if more := len(c.Hosts) - len(some); more > 0 {
		some = append(some, fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("%d hosts (%s), and a replay would ask all of it of one: choose by --host %s, or by hosts: in the plan",
		len(c.Hosts), strings.Join(some, ", "), c.Host)
}

// crowdedText warns of a session that is no user; "" where none is.
func crowdedText(c shadow.Imported) string {
	if !c.Crowded() {
		return ""
	}
	how := "--session header:NAME or cookie:NAME says what tells users apart"
	switch c.Format {
	case "accesslog":
		how = "--field session=13 says that the thirteenth word of a line tells users apart (what it was forwarded for, or a cookie)"
	case "envoy":
		how = "--field session=KEY says which key tells users apart (what it was forwarded for, or a cookie)"
	}
	return fmt.Sprintf("one session has %d of %d exchanges (%.0f%%): if it is many users, as behind a load balancer, they are replayed one after the other, and late; %s",
		c.Busiest, c.Kept, 100*float64(c.Busiest)/float64(c.Kept), how)
}

// hostsTold is how many hosts of a file are named.
const hostsTold = 10

func skipPlaces(s shadow.Skipped) string {
	text := strings.Join(s.Places, ", ")
	if more := s.Count - uint64(len(s.Places)); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
